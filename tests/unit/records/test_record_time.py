"""The time of a point is the record's or Kafka's, whichever can be right, and never that of a clock."""

import json
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.examples import examples
from tests.support.fakes import KAFKA_MS, FakeMessage
from tests.support.kernel import needs_kernel
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.records.record_time import EARLIEST_NS, LATEST_NS, PROBLEMS, RecordTimes, kafka_time
from workers.types import AppendTime, Message, Reason

NOW = KAFKA_MS // 1000
DAY = 86_400
CREATE, APPEND = 1, 2

#: Each test of an outcome runs twice: in Python alone, and with the C kernel taking what it can.
both_paths = pytest.mark.parametrize(
    "native", [False, pytest.param(True, marks=needs_kernel)], ids=["python", "native"]
)


class Stamped(FakeMessage):
    """A message with any timestamp of Kafka's."""

    def __init__(self, value: bytes, timestamp: tuple[int, int], place: int = 0) -> None:
        super().__init__(value, place=place)
        object.__setattr__(self, "_stamp", timestamp)

    def timestamp(self) -> tuple[int, int]:
        return cast("tuple[int, int]", self._stamp)  # type: ignore[attr-defined]


class Path:
    """One way from messages to lines."""

    def __init__(self, native: bool, **options: object) -> None:
        route = fakes.route(**options)
        self.encoder = Encoder(route)
        self.converter = Converter(route, self.encoder, native)

    def convert(self, *messages: Message) -> Batch:
        batch = Batch()
        self.converter.convert(messages, batch)
        return batch

    def seconds(self, record: dict[str, Any], stamp: tuple[int, int]) -> float | str:
        """Seconds of the one point, cut to the millisecond; or the reason of the dead letter."""
        batch = self.convert(Stamped(json.dumps({"memory": 1, **record}).encode(), stamp))
        if batch.dead_letters:
            return batch.dead_letters[0].reason
        return int(batch.lines[0].rsplit(b" ", 1)[1]) // 10**6 / 1000

    @property
    def counted(self) -> dict[str, int]:
        return {name: count for name, count in self.encoder.times.counts.items() if count}


#: A time of the record, a timestamp of Kafka's, the point's second, and what is counted.
CHOICES = [
    pytest.param(NOW, (CREATE, -1), NOW, {}, id="-1 is Kafka's word for none"),
    pytest.param(NOW * 1000, (CREATE, -1), NOW, {}, id="-1, and milliseconds in the record"),
    pytest.param(NOW, (CREATE, 0), NOW, {}, id="0 is none"),
    pytest.param(NOW, (0, 5), NOW, {}, id="no timestamp, whatever the number"),
    pytest.param(None, (CREATE, -1), Reason.NO_TIME, {}, id="no time at all"),
    pytest.param(None, (APPEND, -1), Reason.NO_TIME, {}, id="no append time either"),
    pytest.param(NOW, (CREATE, NOW), NOW, {"kafka_times_implausible": 1}, id="Kafka's in seconds"),
    pytest.param(NOW, (CREATE, NOW * 10**6), NOW, {"kafka_times_implausible": 1}, id="in microseconds"),
    pytest.param(
        None, (CREATE, NOW), Reason.NO_TIME, {"kafka_times_implausible": 1}, id="Kafka's alone, in seconds"
    ),
    pytest.param(None, (APPEND, 5_000), 5, {"kafka_times_implausible": 1}, id="the broker's, unset clock"),
    pytest.param(
        5, (APPEND, 5_000), 5, {"times_implausible": 1, "kafka_times_implausible": 1}, id="both unset"
    ),
    pytest.param(
        5,
        (CREATE, 5_000),
        Reason.NO_TIME,
        {"times_implausible": 1, "kafka_times_implausible": 1},
        id="neither plausible",
    ),
    pytest.param(5, (CREATE, -1), Reason.NO_TIME, {"times_implausible": 1}, id="an unset clock alone"),
    pytest.param(5, (CREATE, KAFKA_MS), NOW + 0.123, {"times_implausible": 1}, id="an unset clock"),
    pytest.param(
        "2150-01-01T00:00:00Z", (CREATE, KAFKA_MS), NOW + 0.123, {"times_implausible": 1}, id="after 2099"
    ),
    pytest.param(NOW, (CREATE, KAFKA_MS), NOW, {}, id="both, near each other"),
    pytest.param(NOW, (APPEND, KAFKA_MS), NOW, {}, id="near the broker's"),
    pytest.param(NOW - DAY - 1, (CREATE, KAFKA_MS), NOW + 0.123, {"times_outside_window": 1}, id="old"),
    pytest.param(NOW + DAY + 1, (CREATE, KAFKA_MS), NOW + 0.123, {"times_outside_window": 1}, id="ahead"),
    pytest.param("soon", (CREATE, KAFKA_MS), NOW + 0.123, {"times_unreadable": 1}, id="unreadable"),
    pytest.param(False, (CREATE, KAFKA_MS), NOW + 0.123, {"times_unreadable": 1}, id="no time"),
    pytest.param("soon", (CREATE, -1), Reason.NO_TIME, {"times_unreadable": 1}, id="unreadable alone"),
    pytest.param(
        "2023-11-15 07:13:20", (CREATE, KAFKA_MS), NOW + 9 * 3600, {"local_times_ahead": 1}, id="from Korea"
    ),
    pytest.param("2023-11-15T07:13:20+0900", (CREATE, KAFKA_MS), NOW, {}, id="from Korea, with its zone"),
    pytest.param("2023-11-14 22:13:30", (CREATE, KAFKA_MS), NOW + 10, {}, id="local, ten seconds ahead"),
    pytest.param("2023-11-14 13:13:20", (CREATE, KAFKA_MS), NOW - 9 * 3600, {}, id="local, nine hours old"),
]


@both_paths
@pytest.mark.parametrize(("time", "stamp", "second", "counted"), CHOICES)
def test_the_time_that_can_be_right_is_the_points(
    native: bool, time: object, stamp: tuple[int, int], second: float | str, counted: dict[str, int]
) -> None:
    path = Path(native)
    record = {} if time is None else {"timestamp": time}

    assert path.seconds(record, stamp) == second
    assert path.counted == counted


@both_paths
@pytest.mark.parametrize("days", [3, 400, 7_000])
def test_with_a_window_of_0_old_records_are_stored_at_their_own_times(native: bool, days: int) -> None:
    path = Path(native, time_window_s=0)
    then = NOW - days * DAY

    assert path.seconds({"timestamp": then}, (CREATE, KAFKA_MS)) == then
    assert path.counted == {}


@both_paths
def test_with_a_window_of_0_a_clock_that_was_never_set_is_still_not_believed(native: bool) -> None:
    path = Path(native, time_window_s=0)

    assert path.seconds({"timestamp": 5}, (CREATE, KAFKA_MS)) == NOW + 0.123
    assert path.counted == {"times_implausible": 1}


@both_paths
def test_a_local_time_is_read_in_the_zone_that_is_set(native: bool) -> None:
    path = Path(native, time_zone="Asia/Seoul")

    assert path.seconds({"time": "2023-11-15 07:13:20"}, (CREATE, KAFKA_MS)) == NOW
    assert path.seconds({"time": "2023-11-14T22:13:20Z"}, (CREATE, KAFKA_MS)) == NOW
    assert path.counted == {}


@both_paths
def test_the_next_time_field_is_used_if_the_first_one_is_not_plausible(native: bool) -> None:
    path = Path(native)

    assert path.seconds({"timestamp": 5, "time": NOW + 1}, (CREATE, KAFKA_MS)) == NOW + 1
    assert path.seconds({"@timestamp": NOW + 2}, (CREATE, KAFKA_MS)) == NOW + 2


@both_paths
@pytest.mark.parametrize("edge", [EARLIEST_NS, LATEST_NS])
def test_a_time_is_plausible_from_2000_to_2099(native: bool, edge: int) -> None:
    milliseconds = edge // 10**6
    inside = milliseconds if edge == EARLIEST_NS else milliseconds - 1
    outside = milliseconds - 1 if edge == EARLIEST_NS else milliseconds

    assert Path(native).seconds({}, (CREATE, inside)) == inside / 1000
    assert Path(native).seconds({}, (CREATE, outside)) == Reason.NO_TIME
    assert Path(native).seconds({"time": inside}, (CREATE, -1)) == inside / 1000
    assert Path(native).seconds({"time": outside}, (CREATE, -1)) == Reason.NO_TIME


@both_paths
@pytest.mark.parametrize("identity", ["kafka", "record", "auto"])
@pytest.mark.parametrize(
    ("time", "own_ns"),
    [
        pytest.param(NOW, None, id="seconds"),
        pytest.param(NOW * 1000 + 5, None, id="milliseconds"),
        pytest.param(NOW * 10**9 + 123_456_789, NOW * 10**9 + 123_456_789, id="nanoseconds"),
        pytest.param("2023-11-14T22:13:20.123456789Z", NOW * 10**9 + 123_456_789, id="RFC 3339"),
        pytest.param(NOW + 0.123456, NOW * 10**9 + 123_456_000, id="a double"),
    ],
)
def test_the_same_record_sent_twice_is_two_points_unless_its_own_time_is_the_identity(
    native: bool, identity: str, time: object, own_ns: int | None
) -> None:
    """Fluentd sends a chunk again if its acknowledgement was lost: at other offsets."""
    value = json.dumps({"memory": 1, "timestamp": time}).encode()
    path = Path(native, identity=identity)

    lines = path.convert(*[FakeMessage(value, place=place) for place in range(2)]).lines

    is_kept = identity == "record" or (identity == "auto" and own_ns is not None)
    assert len(set(lines)) == (1 if is_kept else 2)
    if is_kept and own_ns:
        assert lines[0].endswith(b" %d" % own_ns)


@both_paths
def test_eventtime_keeps_its_nanoseconds(native: bool) -> None:
    event_time = msgpack.ExtType(0, struct.pack(">II", NOW, 123_456_789))

    (line,) = Path(native).convert(FakeMessage(msgpack.packb({"memory": 1, "time": event_time}))).lines

    assert line.endswith(b" 1700000000123456789")


@both_paths
@pytest.mark.parametrize("partition", [8191, 8192, 10**6])
def test_a_partition_without_room_costs_its_own_records_only(native: bool, partition: int) -> None:
    path = Path(native)
    fine = json.dumps({"memory": 1, "time": NOW * 10**9 + 1}).encode()

    batch = path.convert(FakeMessage(), FakeMessage(number=partition), FakeMessage(fine, partition))

    dead = [] if partition < 8192 else [(partition, Reason.PARTITION_TOO_HIGH)]
    assert [(each.origin.message.partition(), each.reason) for each in batch.dead_letters] == dead
    assert len(batch.lines) == 3 - len(dead)
    assert batch.records.total() == 3


def test_the_types_of_kafkas_timestamps_are_told_apart() -> None:
    assert kafka_time(Stamped(b"", (CREATE, 5))) == 5
    assert not isinstance(kafka_time(Stamped(b"", (CREATE, 5))), AppendTime)
    assert isinstance(kafka_time(Stamped(b"", (APPEND, 5))), AppendTime)


#: Times as senders write them, of any second near Kafka's, with any digits.
FORMS = [
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dt%H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%d.%m.%Y %H:%M:%S",
]
FRACTIONS = st.one_of(
    st.just(""),
    st.integers(0, 10**9 - 1).map(lambda ns: f".{ns:09}"),
    st.text("0123456789", min_size=1, max_size=11).map(",".__add__),
)
ZONES = [
    "",
    "Z",
    "z",
    " UTC",
    "+0900",
    "+09:00",
    " +0900",
    "-0330",
    "+01:00[Europe/Paris]",
    " +0900 KST",
    "+09",
]
MOMENTS = st.integers(NOW - 2 * DAY, NOW + 2 * DAY)
TEXTS = st.builds(
    lambda second, form, fraction, zone: (
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).strftime(form) + fraction + zone
    ),
    MOMENTS,
    st.sampled_from(FORMS),
    FRACTIONS,
    st.sampled_from(ZONES),
)
TIMES = st.one_of(
    TEXTS,
    MOMENTS,
    st.builds(lambda second, unit, part: second * unit + part % unit, MOMENTS,
              st.sampled_from([10**3, 10**6, 10**9]), st.integers(0, 10**9)),
    st.builds(lambda second, part: second + part, MOMENTS, st.floats(0, 1)),
    st.builds(lambda second, part: (second + part) * 1000, MOMENTS, st.floats(0, 1)),
    st.builds(lambda second, digits: f"{second}.{digits}", MOMENTS, st.text("0123456789", max_size=11)),
    st.sampled_from([0, -1, 5, "", None, True, 1e300, 4_102_444_800, 946_684_799]),
)  # fmt: skip
STAMPS = st.tuples(
    st.sampled_from([CREATE, APPEND, 0]),
    st.one_of(
        st.integers(KAFKA_MS - 10**8, KAFKA_MS + 10**8),
        st.sampled_from(
            [-1, 0, 1, NOW, NOW * 10**6, 946_684_799_999, 4_102_444_800_000, -(2**63), 2**63 - 1]
        ),
    ),
)
OPTIONS: list[dict[str, object]] = [
    {},
    {"identity": "kafka", "time_window_s": 3600},
    {"identity": "record", "time_window_s": 0},
    {"time_zone": "Europe/Paris"},
    {"time_format": "%d.%m.%Y %H:%M:%S", "time_zone": "America/St_Johns"},
]


@needs_kernel
@pytest.mark.parametrize("options", OPTIONS)
@budget(max_examples=examples(150))
@given(st.lists(st.tuples(TIMES, STAMPS, st.integers(0, 2**62)), min_size=1, max_size=4))
def test_both_paths_agree_on_times_of_all_forms_and_on_a_second_delivery(
    options: dict[str, object], records: Sequence[tuple[object, tuple[int, int], int]]
) -> None:
    messages = [
        Stamped(pack({"memory": 1, "timestamp": time}), stamp, offset)
        for time, stamp, offset in records
        for pack in (msgpack.packb, lambda record: json.dumps(record).encode())
    ]
    python, native = Path(native=False, **options), Path(native=True, **options)

    one, other, again = python.convert(*messages), native.convert(*messages), native.convert(*messages)

    assert one.lines == other.lines == again.lines
    assert [(dead.reason, dead.detail) for dead in one.dead_letters] == [
        (dead.reason, dead.detail) for dead in other.dead_letters
    ]
    assert {name: 2 * count for name, count in python.counted.items()} == native.counted


def test_the_kernels_counts_are_added_by_their_order() -> None:
    times = RecordTimes(fakes.route())

    times.add(tuple(range(len(PROBLEMS))))

    assert list(times.counts.values()) == list(range(len(PROBLEMS)))
    with pytest.raises(ValueError, match="zip"):
        times.add((1,))
