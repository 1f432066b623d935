"""The native path makes of every message what the Python path makes of it."""

import json
import struct
import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgpack
import pytest
from confluent_kafka import Message as KafkaMessage
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tests import corpus
from tests.support import fakes, line_protocol, variants
from tests.support.examples import examples
from tests.support.fakes import FakeMessage, partition
from tests.support.kernel import needs_kernel
from tests.support.variants import NOW, SETTINGS, Path
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.types import Message, Origin, Partition

if TYPE_CHECKING:
    from workers._kernel import Kernel

#: Without the kernel, both paths are the same one.
pytestmark = needs_kernel

#: What the lab's Fluentd sends, in each form it comes in. Unformatted, here and below: one field a line
#: would fill a page with a dozen numbers.
LAB = {
    "memory": 5_123_456, "tx": 123_456, "rx": 99, "CPU_Usage": 12.5, "tx_dropped": 0, "rx_dropped": 0,
    "rxError": 0, "txError": 1, "disk": 70_123, "timestamp": NOW, "ip": "192.168.0.7",
}  # fmt: skip
#: What the lab's Pi sends, what an older sender of the lab did, and what the Flume years did. Each fills
#: the same fields. If snmpget knows no MIB, the load is text.
PI = {
    "tx_bytes": 11, "rx_bytes": 22, "tx_drops": 0, "rx_drops": 1, "tx_errors": 0, "rx_errors": 0,
    "cpu_load": "3.80", "free_ram": 16_479_928, "disk_util": 7, "time": "2026-11-26T07:50:00+0900",
}  # fmt: skip
PI_OLDER = {
    "memory": 16_479_928, "cpu": 3.8, "tx": 11, "rx": 22, "txDropped": 0, "rxDropped": 1, "txError": 0,
    "rxError": 0, "disk": 7, "ip": "192.168.0.7", "deviceId": "pi-1",
}  # fmt: skip
PI_FLUME = {
    "memory": 16_479_928, "tx": 11, "rx": 22, "CPU_Usage": 3.8, "tx_dropped": 0, "rx_dropped": 1,
    "rxError": 0, "txError": 0, "disk": 7,
}  # fmt: skip
#: Milliseconds of Kafka's timestamp of a record that the Pi sent at 07:50:00 in Korea.
PI_MS = 1_795_647_000_123
AS_TEXT = {name: str(value) for name, value in LAB.items()}
COMMON = [
    pytest.param(json.dumps(LAB).encode(), id="json"),
    pytest.param(json.dumps(LAB, separators=(",", ":")).encode(), id="json without spaces"),
    pytest.param(json.dumps(LAB, indent=1).encode() + b"\n", id="json on lines"),
    pytest.param(json.dumps(AS_TEXT).encode(), id="json, numbers as text"),
    pytest.param(
        json.dumps({**LAB, "timestamp": "2023-11-14T22:13:20.123Z"}).encode(), id="json, ISO 8601"
    ),
    pytest.param(json.dumps({**LAB, "timestamp": NOW + 0.125}).encode(), id="json, fraction of a second"),
    pytest.param(json.dumps({**LAB, "timestamp": NOW * 1000 + 1}).encode(), id="json, milliseconds"),
    pytest.param(json.dumps({**LAB, "timestamp": NOW + 10**6}).encode(), id="json, time not believed"),
    pytest.param(json.dumps({**LAB, "disk": "No Such Instance"}).encode(), id="json, no such instance"),
    pytest.param(json.dumps({**LAB, "disk": None, "up": True}).encode(), id="json, null and true"),
    pytest.param(json.dumps({**LAB, "note": "부엌"}, ensure_ascii=False).encode(), id="json, Korean text"),
    pytest.param(json.dumps({**LAB, "CPU_Usage": 100 / 7, "load": 1e-7}).encode(), id="json, many digits"),
    pytest.param(msgpack.packb(LAB), id="msgpack"),
    pytest.param(msgpack.packb(AS_TEXT), id="msgpack, numbers as text"),
    pytest.param(msgpack.packb(LAB, use_single_float=True), id="msgpack, single floats"),
    pytest.param(
        msgpack.packb({**LAB, "timestamp": msgpack.ExtType(0, struct.pack(">II", NOW, 123_456_789))}),
        id="msgpack, EventTime",
    ),
    pytest.param(
        msgpack.packb({**LAB, "deviceId": 7, "disk": -5, "CPU_Usage": 0.0}), id="msgpack, integers"
    ),
    pytest.param(json.dumps(PI).encode(), id="json of the Pi"),
    pytest.param(msgpack.packb(PI), id="msgpack of the Pi"),
    pytest.param(json.dumps(PI_OLDER).encode(), id="json of the older sender"),
]

#: Made once: that also shows that nothing of one record stays behind for the next.
NATIVE, PYTHON = Path(fakes.route(), native=True), Path(fakes.route(), native=False)


#: Least share of deliberately odd records that the kernel converts. With less, comparing both paths would
#: mostly compare Python with itself.
LEAST_SHARE = 0.1


def kernel_share(paths: Sequence[Path]) -> float:
    """Share of the records of some paths that the kernel converted."""
    by_kernel = sum(path.converter.by_kernel for path in paths)
    return by_kernel / (by_kernel + sum(path.converter.by_python for path in paths))


def message(value: bytes | None, place: int = 0, number: int = 0) -> Message:
    """A message as the Kafka client makes them, of the common kind."""
    stamp = (1, NOW * 1000 + 123)
    kafka_message = KafkaMessage(
        topic="resource", partition=number, offset=place, value=value, timestamp=stamp
    )
    return cast("Message", kafka_message)


def assert_same(values: list[bytes | None]) -> None:
    """Both paths make the same of messages with these values."""
    messages = [message(value, place) for place, value in enumerate(values)]

    assert NATIVE.outcome(messages) == PYTHON.outcome(messages)


@pytest.mark.parametrize("value", COMMON)
def test_the_kernel_converts_what_is_common(value: bytes) -> None:
    queue = [message(value, place) for place in range(3)]
    batch = Batch()
    kernel = NATIVE.converter._kernel
    assert kernel is not None

    place, _, size, _, _ = kernel.convert(
        queue, 0, batch.lines, batch.origins, batch.next_offsets, batch.records
    )

    assert place == 3
    assert size == sum(len(line) + 1 for line in batch.lines)
    assert all(kept is given for kept, given in zip(batch.origins, queue, strict=True))
    assert batch.lines == PYTHON.outcome(queue)["lines"]
    assert (batch.next_offsets, batch.records) == ({partition(0): 3}, {partition(0): 3})


def lines_of(kernel: "Kernel | None", values: Sequence[bytes], kafka_ms: int = PI_MS) -> list[bytes]:
    """The lines of messages with these values, all of which the kernel takes."""
    assert kernel is not None
    queue: list[Message] = [
        FakeMessage(value, place=place, milliseconds=kafka_ms) for place, value in enumerate(values)
    ]
    lines: list[bytes] = []
    assert kernel.convert(queue, 0, lines, [], {}, {})[0] == len(queue)
    return lines


@pytest.mark.parametrize("load", [pytest.param("3.80", id="quoted"), pytest.param(3.8, id="bare")])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda record: json.dumps(record, separators=(",", ":")).encode(), id="json"),
        pytest.param(lambda record: json.dumps(record).encode(), id="json with spaces"),
        pytest.param(msgpack.packb, id="msgpack"),
    ],
)
def test_the_kernel_converts_the_record_of_the_labs_pi(
    form: Callable[[dict[str, Any]], bytes], load: object
) -> None:
    value = form({**PI, "cpu_load": load})

    assert lines_of(NATIVE.converter._kernel, [value] * 3) == [
        b"labs,host=Labs,region=GIST tx=11,rx=22,tx_dropped=0,rx_dropped=1,txError=0,rxError=0,"
        b"CPU_Usage=3.8,memory=16479928,disk=7 %d" % (1_795_647_000_000_000_000 + place * 16 * 64)
        for place in range(3)
    ]


@pytest.mark.parametrize("form", [lambda record: json.dumps(record).encode(), msgpack.packb])
@pytest.mark.parametrize("record", [PI_OLDER, PI_FLUME])
def test_the_kernel_converts_the_records_of_older_senders(
    form: Callable[[dict[str, Any]], bytes], record: dict[str, Any]
) -> None:
    (line,) = lines_of(NATIVE.converter._kernel, [form(record)])

    assert line_protocol.parse(line.decode()).fields == PI_FLUME


def test_a_renamed_field_may_be_a_tag_or_the_time() -> None:
    options = {"rename": "dev:deviceId,at:time,up:uptime"}
    kernel = Path(fakes.route(**options), native=True).converter._kernel

    (line,) = lines_of(kernel, [b'{"dev":"pi","up":5,"at":"2026-11-26T07:50:00+0900"}'])

    assert line == b"labs,deviceId=pi,host=Labs,region=GIST uptime=5 1795647000000000000"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"memory": 1, "free_ram": 2}, id="new name first"),
        pytest.param({"free_ram": 2, "tx": 3, "memory": 1}, id="new name last"),
        pytest.param({"cpu": 1, "cpu_load": 2}, id="two that become one"),
        pytest.param({"cpu": 1, "cpu_load": 2, "CPU_Usage": 3}, id="three of one group"),
    ],
)
def test_the_kernel_leaves_a_record_in_which_two_fields_would_share_a_name(record: dict[str, Any]) -> None:
    kernel = NATIVE.converter._kernel
    assert kernel is not None
    one_each = json.dumps({"free_ram": 1, "cpu": 2}).encode()

    for value in (json.dumps(record).encode(), msgpack.packb(record)):
        queue: list[Message] = [FakeMessage(one_each), FakeMessage(value), FakeMessage(one_each)]
        assert kernel.convert(queue, 0, [], [], {}, {})[0] == 1
        assert NATIVE.outcome(queue) == PYTHON.outcome(queue)


#: Maps under which a few names meet in every way: alone, in a chain, swapped, as tags and times.
RENAMES = ["", "a:b", "a:b,b:c", "a:b,b:a", "a:c,b:c", "a:ip,b:time,c:memory", "ip:a,time:b,memory:c"]
MET = st.dictionaries(
    st.sampled_from(["a", "b", "c", "ip", "time", "memory"]),
    st.sampled_from([1, "2", "x", NOW, None, True]),
    min_size=1,
)


@pytest.mark.parametrize("rename", RENAMES)
@budget(max_examples=examples(50))
@given(st.lists(MET, min_size=1, max_size=5))
def test_both_paths_rename_alike(rename: str, records: list[dict[str, Any]]) -> None:
    options = {"rename": rename, "tag_fields": "ip", "number_fields": "", "time_fields": "time"}
    if "ip:a" in rename:
        options = {"rename": rename, "tag_fields": "a", "number_fields": "c", "time_fields": "b"}
    native, python = (Path(fakes.route(**options), native=native) for native in (True, False))
    messages = [message(form(record)) for record in records for form in (msgpack.packb, _json)]

    assert native.outcome(messages) == python.outcome(messages)


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()


def test_the_kernel_converts_a_record_whose_own_time_is_the_only_one() -> None:
    message_ = FakeMessage(json.dumps(LAB).encode(), milliseconds=None)
    kernel = NATIVE.converter._kernel
    assert kernel is not None

    assert kernel.convert([message_], 0, [], [], {}, {})[0] == 1


@pytest.mark.parametrize("value", COMMON)
@pytest.mark.parametrize("options", SETTINGS)
def test_both_paths_agree_on_what_is_common(value: bytes, options: dict[str, object]) -> None:
    chosen_route = fakes.route(**options)
    messages = [message(value, place) for place in range(3)]

    assert Path(chosen_route, native=True).outcome(messages) == Path(chosen_route, native=False).outcome(
        messages
    )


@pytest.mark.parametrize(
    ("limit", "record"),
    [
        ("max_text_bytes", lambda size: LAB | {"note": "n" * size}),
        ("max_tag_bytes", lambda size: LAB | {"ip": "1" * size}),
        ("max_key_bytes", lambda size: LAB | {"k" * size: 1}),
        ("max_record_bytes", lambda size: {"tx": 1, "note": "n" * (size - len('{"tx": 1, "note": ""}'))}),
    ],
    ids=["text", "tag", "name", "record"],
)
def test_a_limit_of_bytes_is_the_same_byte_on_both_paths(
    limit: str, record: Callable[[int], dict[str, Any]]
) -> None:
    bytes_allowed = 120
    chosen_route = fakes.route(**{limit: bytes_allowed})
    accepted = []
    for size in (bytes_allowed - 1, bytes_allowed, bytes_allowed + 1):
        one = [message(_json(record(size)), 0)]
        native, python = (Path(chosen_route, native=kernel).outcome(one) for kernel in (True, False))
        assert native == python
        accepted.append(bool(native["lines"]))

    assert accepted == [True, True, False]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in corpus.load()])
def test_both_paths_agree_on_the_corpus(case: corpus.Case) -> None:
    neighbour = json.dumps(LAB).encode()

    assert_same([neighbour, case.value, neighbour])


@pytest.mark.parametrize("value", [COMMON[0], COMMON[3], COMMON[12], COMMON[13]])
def test_both_paths_agree_on_a_record_cut_off_anywhere(value: bytes) -> None:
    assert_same([value[:end] for end in range(len(value))])


@pytest.mark.parametrize("value", [COMMON[1], COMMON[3], COMMON[12], COMMON[15]])
def test_both_paths_agree_on_a_record_with_any_byte_changed(value: bytes) -> None:
    others = b'\x00\x1f "\\,.-09:ek{}\x7f\x80\xa5\xc0\xc3\xca\xcf\xd3\xd9\xdb\xde\xff'

    assert_same(
        [
            value[:place] + bytes([other]) + value[place + 1 :]
            for place in range(len(value))
            for other in others
        ]
    )


def test_both_paths_agree_on_records_of_any_kind_and_bytes_near_them() -> None:
    """The short form of `python -m tests.support.variants`."""
    generator = variants.Variants(seed=5)
    pairs = variants.pairs()
    for native, python in pairs:
        for _ in range(25):
            messages = generator.messages(50)
            assert native.outcome(messages) == python.outcome(messages)
    assert kernel_share([native for native, _ in pairs]) > LEAST_SHARE


TEXTS = st.one_of(
    st.text(max_size=12),
    st.from_regex(r"[+-]?[0-9]{0,19}(\.[0-9]{0,18})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(variants.ODD_NUMBERS + variants.ODD_TEXTS),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(10**8, 10**10),
    st.floats(),
    st.floats(width=32),
    st.decimals(0, 10**6, allow_nan=False, places=3).map(float),
)
NAMES = st.one_of(st.sampled_from([*LAB, *PI, "time", "deviceId", "host", "_field"]), st.text(max_size=8))
RECORDS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=6)


@budget(max_examples=examples(100))
@given(RECORDS, st.booleans())
def test_both_paths_agree_on_json(record: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(record, ensure_ascii=ascii_only)

    assert_same([text.encode("utf-8", "surrogatepass")])


@budget(max_examples=examples(100))
@given(RECORDS)
def test_both_paths_agree_on_msgpack(record: dict[str, Any]) -> None:
    assert_same([msgpack.packb(record)])


@budget(max_examples=examples(100))
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_both_paths_spell_a_number_alike(value: float) -> None:
    text = repr(value)
    near = [
        f"{value:.{digits}{form}}" for digits in (0, 2, 6, 14, 17) for form in "feg" if abs(value) < 1e20
    ]
    values = [f'{{"load":{spelling}}}'.encode() for spelling in (text, *near)]
    values += [f'{{"memory":"{spelling}"}}'.encode() for spelling in (text, *near)]
    values.append(msgpack.packb({"memory": value}))

    assert_same(list(values))


@budget(max_examples=examples(100))
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"{", b'{"tx":1,', b"\x82\xa2tx\x01", b"\xde\x00\x02\xa2tx"]),
)
def test_both_paths_agree_on_any_bytes(value: bytes, start: bytes) -> None:
    assert_same([start + value])


@pytest.mark.parametrize("time", [*variants.ODD_TIMES, NOW, NOW + 0.9999996, NOW * 1000 + 1, -(10**30)])
@pytest.mark.parametrize("kafka_ms", [NOW * 1000, 0, 1, None, 2**62])
def test_both_paths_read_a_time_alike(time: object, kafka_ms: int | None) -> None:
    values = [json.dumps({"timestamp": time, "tx": 1}).encode()]
    if not isinstance(time, int) or abs(time) < 2**63:
        values.append(msgpack.packb({"timestamp": time, "tx": 1}))
    messages = [FakeMessage(value, milliseconds=kafka_ms) for value in values]

    assert NATIVE.outcome(messages) == PYTHON.outcome(messages)


@pytest.mark.parametrize("year", [1972, 1999, 2000, 2023, 2024, 2099, 2100])
def test_both_paths_read_every_day_of_a_year_alike(year: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(366)]
    texts = [f"{day}T12:34:56+09:00" for day in days] + [
        f"{year}-{month:02}-31 00:00:00" for month in range(14)
    ]
    values = [json.dumps({"timestamp": text, "tx": 1}).encode() for text in texts]
    messages = [FakeMessage(value, place=place, milliseconds=None) for place, value in enumerate(values)]

    assert NATIVE.outcome(messages) == PYTHON.outcome(messages)


@pytest.mark.parametrize(
    "milliseconds", [-86_400_001, -86_400_000, -86_399_999, 86_399_999, 86_400_000, 86_400_001]
)
def test_both_paths_believe_the_same_times(milliseconds: int) -> None:
    value = json.dumps({"timestamp": NOW * 1000 + milliseconds, "tx": 1}).encode()
    messages = [FakeMessage(value, milliseconds=NOW * 1000)]

    assert NATIVE.outcome(messages) == PYTHON.outcome(messages)


@pytest.mark.parametrize("digits", range(9, 20))
def test_both_paths_take_a_number_for_the_same_unit_of_time(digits: int) -> None:
    """Seconds, milliseconds, microseconds or nanoseconds, by the number's size."""
    first = 10**digits
    stamps = [first - 1, first, first + 1, 2 * first, 5 * first, 10 * first - 1]
    # Without a window, a time is believed if it lies in this century: 999,999,999,999,999 us are in 2001.
    chosen_route = fakes.route(time_window_s=0)
    queue = [message(_json({"tx": 1, "timestamp": stamp}), place) for place, stamp in enumerate(stamps)]

    native, python = (Path(chosen_route, native=kernel).outcome(queue) for kernel in (True, False))

    assert native == python


def test_the_kernel_itself_reads_a_time_of_each_unit() -> None:
    """In another unit, none of these is plausible, and the kernel would leave the record to Python."""
    stamps = [999_999_999, 999_999_999_999, 999_999_999_999_999, 999_999_999_999_999_999]
    queue = [message(_json({"tx": 1, "timestamp": stamp})) for stamp in stamps]
    kernel = Path(fakes.route(time_window_s=0), native=True).converter._kernel
    assert kernel is not None

    assert kernel.convert(queue, 0, [], [], {}, {})[0] == len(stamps)


class Wrapped(KafkaMessage):
    """A message of Kafka's client that may have attributes of its own."""


def test_what_stands_in_for_a_method_of_a_message_is_called() -> None:
    wrapped = Wrapped(topic="resource", partition=0, offset=0, value=b'{"tx":1}', timestamp=(1, NOW * 1000))
    setattr(wrapped, "value", lambda: b'{"tx":2}')  # noqa: B010 - mypy knows that it is a method
    queue = [message(b'{"tx":0}'), cast("Message", wrapped)]

    native = NATIVE.outcome(queue)

    assert native == PYTHON.outcome(queue)
    assert b"tx=2" in native["lines"][1]


def test_partitions_and_topics_have_their_own_accounts() -> None:
    value = json.dumps(LAB).encode()
    messages: list[Message] = [
        FakeMessage(
            value, number=place % 5 + 10 * (place % 7 == 0), place=place, name=f"resource{place % 2}"
        )
        for place in range(40)
    ]
    messages[13] = FakeMessage(b"[1]", place=13)

    assert NATIVE.outcome(messages) == PYTHON.outcome(messages)


def test_ever_new_names_and_devices_are_forgotten_again() -> None:
    """More than either path keeps, and the lab's own records in between."""
    values: list[bytes | None] = []
    for number in range(12_000):
        record = {f"field{number}": 1, "ip": f"10.{number}", "timestamp": NOW} if number % 4 else LAB
        values.append(json.dumps(record).encode())

    assert_same(values)


@pytest.mark.parametrize("count", [63, 64, 65, 256, 257])
def test_both_paths_agree_on_records_of_many_fields(count: int) -> None:
    record = {f"f{number}": number for number in range(count)}

    assert_same([json.dumps(record).encode(), msgpack.packb(record), json.dumps(record).encode()])


@pytest.mark.parametrize("start", [2**30, 2**32, 2**33, 9_999_999_000, 10**9])
def test_both_paths_spell_doubles_alike_where_six_decimals_no_longer_tell_them_apart(start: int) -> None:
    """Above 2^33 two numbers with six decimals may be one double, and repr() takes the shorter one."""
    values = [start + place * 2**-19 for place in range(100)]
    assert_same(
        [
            packed
            for value in values
            for packed in (msgpack.packb({"memory": value}), b'{"memory":%b}' % repr(value).encode())
        ]
    )


@pytest.mark.parametrize(
    "number", ["1.50", "1.0", "1e3", "-0", "-0.0", "0", "-7", "1.5", "12345678901234567890"]
)
def test_both_paths_spell_a_number_that_is_a_tag_alike(number: str) -> None:
    assert_same([b'{"ip":%b,"memory":1}' % number.encode(), b'{"memory":1,"ip":%b}' % number.encode()])


@pytest.mark.parametrize("byte", range(256))
def test_both_paths_agree_on_any_byte_in_text_names_and_tags(byte: int) -> None:
    """Control characters, quotes, DEL and bytes beyond ASCII among them."""
    text = b"a%cb" % byte
    packed = b"\xa3" + text
    assert_same(
        [
            b'{"note":"%b","memory":1}' % text,
            b'{"%b":1,"memory":1}' % text,
            b'{"ip":"%b","memory":1}' % text,
            b'{"memory":"1%c","tx":2}' % byte,
            b"\x82\xa4note%b\xa6memory\x01" % packed,
            b"\x82%b\x01\xa6memory\x01" % packed,
            b"\x82\xa2ip%b\xa6memory\x01" % packed,
        ]
    )


@pytest.mark.parametrize("size", [65_000, 65_500, 65_536, 65_537, 70_000])
def test_both_paths_agree_on_lines_too_long_for_the_kernel(size: int) -> None:
    assert_same([json.dumps({"note": "n" * size, "tx": 1}).encode(), msgpack.packb({"note": "n" * size})])


@pytest.mark.parametrize("more", range(-8, 9))
def test_both_paths_agree_on_lines_that_fill_the_kernels_room_to_the_byte(more: int) -> None:
    """`make sanitize` runs this too: a byte more would be written past the room's end."""
    room = 65_536 + more
    alone = {"note": "n" * (room - len('note=""'))}
    last = {"tx": 1, "note": "n" * (room - len('tx=1,note=""'))}
    first = {"note": "n" * (room - len('note="",tx=1')), "tx": 1}
    assert_same(
        [
            pack(record)
            for record in (alone, last, first)
            for pack in (msgpack.packb, lambda it: json.dumps(it).encode())
        ]
    )


class Broken(FakeMessage):
    """A message that cannot say its offset."""

    def offset(self) -> int:
        raise OSError("gone")


def test_what_was_converted_before_an_error_is_accounted_for() -> None:
    default_route = fakes.route()
    batch = Batch()
    good, broken = FakeMessage(place=4), Broken(place=5)

    with pytest.raises(OSError, match="gone"):
        Converter(default_route, Encoder(default_route)).convert([good, broken], batch)

    assert len(batch.lines) == len(batch.origins) == 1
    assert (batch.next_offsets, batch.records) == ({partition(0): 5}, {partition(0): 1})


def test_no_count_is_left_for_the_next_batch_if_it_cannot_be_added() -> None:
    kernel, queue = built(), [message(b'{"rx":1}')]
    records: dict[Partition, int] = {}

    with pytest.raises(TypeError):
        kernel.convert(queue, 0, [], [], {}, cast("Any", {partition(0): "no number"}))
    kernel.convert(queue, 0, [], [], {}, records)

    assert records == {partition(0): 1}


def built(name_of: Callable[[str], bytes | None] | None = None, **options: Any) -> "Kernel":
    """A kernel made by hand."""
    from workers._kernel import Kernel  # noqa: PLC0415 - it may not be there

    given: dict[str, Any] = {
        "json": True, "msgpack": True, "line": True, "max_bytes": 1000, "max_fields": 10, "max_key": 10,
        "max_tag": 10, "max_text": 10,
        "window": 10, "keep_own": False, "keep_fine": True, "read_texts": True, "read_local": True,
        "partition_type": Partition, "origin_type": Origin, "line_tags": (), "tag_count": 1,
        "fields": [(b"ip", 2, 0, 0, b"")], "series_of": lambda _: b"m", "admit": lambda _, __: True,
        "mark": None,
        "name_of": name_of or (lambda name: f"{name}=".encode()),
    }  # fmt: skip
    return Kernel(**(given | options))


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": -1},
        {"tag_count": -1},
        {"tag_count": 0},
        {"max_fields": -1},
        {"mark": bytearray(15)},
        {"fields": [(b"tx", 9, 0, 0, b"")]},
        {"fields": [(b"ip", 2, 7, 0, b"")]},
        {"fields": [(b"tx", 1, 0, 1, b"")]},
        {"fields": [(b"tx", 1, 0, -1, b"")]},
        {"fields": [(b"tx", 1, 0, 0, b""), (b"tx", 1, 0, 1, b"")]},
        {"fields": [(b"x" * 257, 1, 0, 0, b"")]},
        {"fields": [(f"f{number}".encode(), 1, 0, number, b"") for number in range(1100)]},
    ],
    ids=str,
)
def test_a_kernel_refuses_what_it_has_no_room_for(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        built(**wrong)


def test_a_kernel_refuses_wrong_arguments() -> None:
    kernel = built()
    lists: list[Any] = [[], 0, [], [], {}, {}]
    wrong = [[*lists[:place], None, *lists[place + 1 :]] for place in range(len(lists))]
    for arguments in [*wrong, lists[:-1]]:
        with pytest.raises(TypeError):
            kernel.convert(*arguments)
    with pytest.raises(ValueError, match="negative"):
        kernel.convert([], -1, [], [], {}, {})
    with pytest.raises(RuntimeError):
        type(kernel).__new__(type(kernel)).convert([], 0, [], [], {}, {})


def test_a_kernel_converts_one_list_at_a_time() -> None:
    def again(_: str) -> bytes:
        kernel.convert([message(b'{"rx":1}')], 0, [], [], {}, {})
        return b"tx="

    kernel = built(again)

    with pytest.raises(RuntimeError, match="one list at a time"):
        kernel.convert([message(b'{"tx":1}')], 0, [], [], {}, {})


def test_a_list_that_shrinks_meanwhile_ends_early() -> None:
    queue: list[Message] = []

    class Shrinking(FakeMessage):
        def value(self) -> bytes | None:
            queue.clear()
            return super().value()

    queue += [Shrinking(), Shrinking()]
    lines: list[bytes] = []

    assert built().convert(queue, 0, lines, [], {}, {})[0] == 1
    assert len(lines) == 1


def test_no_reference_is_lost_or_kept() -> None:
    """What a record touches has as many references afterwards as before."""
    value, broken = json.dumps(LAB).encode(), b'{"tx":1,"rx":"'
    converted, left = message(value), message(broken)
    topic = converted.topic()

    def counts() -> list[int]:
        return [sys.getrefcount(counted) for counted in (value, broken, converted, left, topic)]

    NATIVE.converter.convert([converted, left], Batch())  # from here on it knows topic and partition
    before = counts()
    for _ in range(1000):
        NATIVE.converter.convert([converted, left], Batch())

    assert counts() == before
