"""One record, one line, one point: whatever its sender wrote."""

import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support import fakes, line_protocol
from tests.support.examples import examples
from tests.support.fakes import KAFKA_MS
from workers.errors import RecordError
from workers.records.encoder import CACHED, Encoder
from workers.records.point_time import share_of
from workers.records.timestamps import MILLISECOND, SECOND
from workers.types import Reason, Untyped

HEAD = "labs,host=Labs,region=GIST "

#: Digits of the first record of partition 0 in a millisecond.
OF_MILLISECONDS = share_of(MILLISECOND, 0).start

#: Text with everything in it that means something to line protocol, or to a reader of it.
HOSTILE = st.text(
    st.one_of(
        st.sampled_from(list(',= "\\\n\r\t\0#;\x7f\u2028\ufeff😀_')),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=24,
)
VALUES = st.one_of(
    HOSTILE,
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.binary(max_size=8),
)
NAMES = st.one_of(
    HOSTILE, st.sampled_from(["memory", "disk", "ip", "deviceId", "host", "time", "timestamp"])
)
RECORDS = st.dictionaries(
    NAMES,
    st.recursive(
        VALUES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(HOSTILE, inner, max_size=3),
        max_leaves=5,
    ),
    max_size=6,
)
COORDINATES = st.tuples(st.integers(0, 15), st.integers(0, 2**62), st.integers(0, 1023))


def encoded(record: dict[Any, Any], kafka_ms: int | None = KAFKA_MS, /, **options: object) -> str:
    """The line of a record at partition 0, offset 0."""
    return Encoder(fakes.route(**options)).encode(record, kafka_ms, 0, 0).decode()


def fields(record: dict[Any, Any], **options: object) -> str:
    """The fields of its line alone."""
    line = encoded(record, **options)
    return line.removeprefix(HEAD).rpartition(" ")[0]


def reason_of(record: dict[Any, Any], **options: object) -> str:
    with pytest.raises(RecordError) as caught:
        encoded(record, **options)
    return caught.value.reason


class TestProperties:
    """Over records nobody would think of."""

    @settings(max_examples=examples(30))
    @given(st.lists(st.tuples(RECORDS, COORDINATES), max_size=8))
    def test_n_records_are_exactly_n_points(
        self, records: list[tuple[dict[str, Any], tuple[int, int, int]]]
    ) -> None:
        encoder = Encoder(fakes.route())
        lines = []
        reasons: set[str] = set()
        for record, coordinates in records:
            try:
                lines.append(encoder.encode(record, KAFKA_MS, *coordinates))
            except RecordError as error:
                reasons.add(error.reason)

        assert reasons <= set(Reason)
        body = b"\n".join(lines).decode()
        points = [line_protocol.parse(line) for line in line_protocol.split_lines(body)] if lines else []

        assert len(points) == len(lines)
        for point in points:
            assert point.measurement == "labs"
            assert point.fields
            assert {"host": "Labs", "region": "GIST"}.items() <= point.tags.items()
            assert point.tags.keys() <= {"host", "region", "ip", "deviceId"}

    @settings(max_examples=examples(30))
    @given(RECORDS, COORDINATES)
    def test_the_same_coordinates_give_the_same_line(
        self, record: dict[str, Any], coordinates: tuple[int, int, int]
    ) -> None:
        lines = []
        for _ in range(2):
            try:
                lines.append(Encoder(fakes.route()).encode(record, KAFKA_MS, *coordinates))
            except RecordError:
                assume(False)

        assert lines[0] == lines[1]

    @settings(max_examples=examples(30))
    @given(RECORDS, st.tuples(st.integers(0, 15), st.integers(0, 14), st.integers(0, 1023)), st.data())
    def test_equal_records_at_different_coordinates_are_different_points(
        self, record: dict[str, Any], first: tuple[int, int, int], data: st.DataObject
    ) -> None:
        second = data.draw(st.tuples(st.integers(0, 15), st.integers(0, 14), st.integers(0, 1023)))
        assume(first != second)
        encoder = Encoder(fakes.route())
        try:
            lines = [encoder.encode(record, KAFKA_MS, *place).decode() for place in (first, second)]
        except RecordError:
            assume(False)

        assert line_protocol.parse(lines[0]).identity != line_protocol.parse(lines[1]).identity

    @settings(max_examples=examples(30))
    @given(HOSTILE)
    def test_text_comes_back_as_it_was_sent(self, text: str) -> None:
        point = line_protocol.parse(encoded({"name": text}))

        assert point.fields == {"name": text}

    @settings(max_examples=examples(30))
    @given(HOSTILE)
    def test_a_tag_comes_back_but_for_control_characters_and_last_backslashes(self, text: str) -> None:
        assume(text)
        point = line_protocol.parse(encoded({"ip": text, "memory": 1}))

        kept = point.tags["ip"]
        stripped = text.rstrip("\\")
        assert len(kept) == len(text)
        assert kept[len(stripped) :] == "/" * (len(text) - len(stripped))
        assert all(
            new == old or (new == "_" and not old.isprintable())
            for old, new in zip(stripped, kept, strict=False)
        )

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_a_float_comes_back_exactly(self, number: float) -> None:
        for record in ({"memory": number}, {"memory": repr(number)}, {"load": number}):
            (value,) = line_protocol.parse(encoded(record)).fields.values()

            assert value == number
            assert math.copysign(1, float(value)) == math.copysign(1, number)

    @given(st.integers(-(10**30), 10**30))
    def test_an_integer_is_the_nearest_float(self, number: int) -> None:
        for record in ({"memory": number}, {"memory": str(number)}, {"load": number}):
            assert list(line_protocol.parse(encoded(record)).fields.values()) == [float(number)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(5, "5", id="integer"),
        pytest.param(-5, "-5", id="negative"),
        pytest.param(1.5, "1.5", id="float"),
        pytest.param(10**15, "1000000000000000.0", id="past the digits a double holds"),
        pytest.param(2**70, "1.1805916207174113e+21", id="past int64"),
        pytest.param("5", "5", id="number as text"),
        pytest.param(" 5\n", "5", id="space around"),
        pytest.param("007", "7", id="leading zeros"),
        pytest.param("000", "0", id="zeros"),
        pytest.param("+5", "5.0", id="plus"),
        pytest.param("-5", "-5.0", id="minus as text"),
        pytest.param(".5", "0.5", id="no zero before the point"),
        pytest.param("5.", "5.0", id="no digit after the point"),
        pytest.param("5e3", "5000.0", id="exponent"),
        pytest.param("5E-3", "0.005", id="negative exponent"),
        pytest.param("1" * 16, "1111111111111111.0", id="16 digits"),
        pytest.param(b"5", "5", id="number as bytes"),
    ],
)
def test_a_lab_field_is_a_float(value: object, text: str) -> None:
    assert fields({"memory": value}) == f"memory={text}"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "No Such Instance currently exists at this OID",
        "NaN",
        "nan",
        "Infinity",
        "-inf",
        "1e999",
        "0x10",
        "1_000",
        "1,5",
        "1 2",
        "5 kB",
        "--5",
        "e5",
        ".",
        "٣",
        "1" * 400,
        float("nan"),
        float("inf"),
        10**400,
        True,
        None,
        b"\xff",
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_lab_field_that_is_no_number_is_left_out_and_counted(value: object) -> None:
    encoder = Encoder(fakes.route())

    line = encoder.encode({"memory": value, "tx": 1}, KAFKA_MS, 0, 0)

    assert b" tx=1 " in line
    assert encoder.values_omitted == 1


@pytest.mark.timeout(10)
@pytest.mark.parametrize("tail", ["x", ".x", "e", "e+", " "])
def test_a_megabyte_of_digits_costs_no_quadratic_time(tail: str) -> None:
    assert fields({"memory": "1" * 1_000_000 + tail, "tx": 1}) == "tx=1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), ("5", '"5"'), ("", '""'), (5, "5"), (0.1, "0.1"), (b"x", '"x"')],
)
def test_any_other_field_has_its_own_type(value: object, text: str) -> None:
    assert fields({"other": value}) == f"other={text}"


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf"), 10**400])
def test_a_value_without_a_type_is_left_out_and_counted(value: object) -> None:
    encoder = Encoder(fakes.route())

    encoder.encode({"other": value, "tx": 1}, KAFKA_MS, 0, 0)

    assert encoder.values_omitted == 1


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("5", "5"),
        ("-1.5", "-1.5"),
        ("0012", "12"),
        ("a:b", '"a:b"'),
        ("nan", '"nan"'),
        ("1_0", '"1_0"'),
        ("", '""'),
    ],
)
def test_a_value_without_a_type_is_a_number_where_it_reads_as_one(text: str, field: str) -> None:
    assert fields({"other": Untyped(text)}) == f"other={field}"


@pytest.mark.parametrize("text", ["007", "1e5", "10.10"])
def test_a_tag_without_a_type_stays_as_it_was_written(text: str) -> None:
    assert f",deviceId={text}," in encoded({"deviceId": Untyped(text), "memory": Untyped("1")})


class TestTime:
    """The record's, else Kafka's."""

    @staticmethod
    def time(record: dict[str, Any], kafka_ms: int | None = KAFKA_MS, **options: object) -> int:
        return int(encoded({**record, "memory": 1}, kafka_ms, **options).rpartition(" ")[2])

    @pytest.mark.parametrize("name", ["timestamp", "time", "@timestamp"])
    def test_it_is_read_from_the_record_and_is_no_field(self, name: str) -> None:
        record = {name: 1_700_000_000, "memory": 1}

        assert encoded(record) == f"{HEAD}memory=1 1700000000000000000"

    def test_without_one_it_is_kafkas(self) -> None:
        assert self.time({}) == KAFKA_MS * 10**6 + OF_MILLISECONDS

    def test_the_first_field_that_holds_one_counts(self) -> None:
        assert self.time({"timestamp": 1_700_000_001, "time": 1_700_000_002}) == 1_700_000_001 * SECOND
        assert self.time({"timestamp": "?", "time": 1_700_000_002}) == 1_700_000_002 * SECOND
        assert self.time({"timestamp": "?", "time": 1_700_000_002}, None) == 1_700_000_002 * SECOND

    def test_the_names_are_a_setting(self) -> None:
        assert self.time({"at": 1_700_000_001}, time_fields="at") == 1_700_000_001 * SECOND

    @pytest.mark.parametrize("apart_s", [86_400, -86_400])
    def test_one_as_far_as_the_window_is_believed(self, apart_s: int) -> None:
        kafka_ms = 1_700_000_000_000

        assert self.time({"time": 1_700_000_000 + apart_s}, kafka_ms) == (1_700_000_000 + apart_s) * SECOND

    @pytest.mark.parametrize("apart_s", [86_401, -86_401])
    def test_one_further_is_not_and_is_counted(self, apart_s: int) -> None:
        encoder = Encoder(fakes.route())
        record = {"time": 1_700_000_000 + apart_s, "memory": 1}

        line = encoder.encode(record, 1_700_000_000_000, 0, 0)

        assert line.decode() == f"{HEAD}memory=1 {1_700_000_000_000_000_000 + OF_MILLISECONDS}"
        assert encoder.times.counts["times_outside_window"] == 1
        assert encoder.values_omitted == 0

    def test_one_that_cannot_be_read_is_left_out_and_counted(self) -> None:
        encoder = Encoder(fakes.route())

        line = encoder.encode({"timestamp": "?", "memory": 1}, KAFKA_MS, 0, 0)

        assert b"timestamp" not in line
        assert encoder.times.counts["times_unreadable"] == 1

    def test_without_any_it_is_a_dead_letter(self) -> None:
        with pytest.raises(RecordError) as caught:
            encoded({"memory": 1}, None)

        assert caught.value.reason == Reason.NO_TIME


#: One sample of the lab's Pi as Fluentd sends it, as an older sender did, and as the Flume years did.
SENT = [
    pytest.param(
        {
            "tx_bytes": 11, "rx_bytes": 22, "tx_drops": 0, "rx_drops": 1, "tx_errors": 0, "rx_errors": 0,
            "cpu_load": "3.80", "free_ram": 16_479_928, "disk_util": 7, "time": "2026-11-26T07:50:00+0900",
        },
        id="Fluentd",
    ),
    pytest.param(
        {
            "memory": 16_479_928, "cpu": 3.8, "tx": "11", "rx": "22", "txDropped": "0", "rxDropped": "1",
            "txError": 0, "rxError": 0, "disk": 7, "time": 1_795_647_000,
        },
        id="older",
    ),
    pytest.param(
        {
            "memory": Untyped("16479928"), "tx": Untyped("11"), "rx": Untyped("22"),
            "CPU_Usage": Untyped("3.80"), "tx_dropped": Untyped("0"), "rx_dropped": Untyped("1"),
            "txError": Untyped("0"), "rxError": Untyped("0"), "disk": Untyped("7"),
            "time": Untyped("1795647000"),
        },
        id="Flume",
    ),
]  # fmt: skip


class TestRename:
    """A renamed field is all that its new name says."""

    @pytest.mark.parametrize("record", SENT)
    def test_each_sender_of_the_lab_fills_the_same_fields(self, record: dict[str, Any]) -> None:
        point = line_protocol.parse(encoded(record, 1_795_647_000_500))

        assert point.fields == {
            "memory": 16_479_928, "tx": 11, "rx": 22, "CPU_Usage": 3.8, "tx_dropped": 0, "rx_dropped": 1,
            "txError": 0, "rxError": 0, "disk": 7,
        }  # fmt: skip
        assert point.time == 1_795_647_000 * SECOND

    def test_without_a_map_every_field_keeps_its_name(self) -> None:
        assert fields({"free_ram": 1, "cpu_load": "2"}, rename="") == 'free_ram=1,cpu_load="2"'

    @pytest.mark.parametrize(
        ("record", "line"),
        [
            pytest.param({"free_ram": 1, "memory": 2}, "free_ram=1,memory=2", id="the new name itself"),
            pytest.param({"cpu": 1, "cpu_load": 2}, "cpu=1,CPU_Usage=2", id="earlier in the map"),
            pytest.param({"cpu": "1", "cpu_load": "x"}, "cpu=1", id="which is left out"),
            pytest.param(
                {"cpu": 1, "CPU_Usage": 2, "cpu_load": 3}, "cpu=1,CPU_Usage=2,cpu_load=3", id="three"
            ),
        ],
    )
    def test_of_two_fields_that_become_one_the_other_keeps_its_name(
        self, record: dict[str, Any], line: str
    ) -> None:
        assert fields(record) == line

    def test_a_field_that_keeps_its_name_is_a_number_as_the_new_one(self) -> None:
        assert fields({"cpu": "1", "CPU_Usage": "2"}) == "cpu=1,CPU_Usage=2"

    def test_a_field_that_becomes_a_tag_is_one_alone(self) -> None:
        options = {"rename": "dev:deviceId"}

        assert encoded({"dev": "pi", "tx": 1}, **options).startswith("labs,deviceId=pi,host=Labs")
        assert fields({"dev": "a", "deviceId": "b", "tx": 1}, **options).endswith('dev="a",tx=1')

    def test_a_field_that_becomes_the_time_is_it_alone(self) -> None:
        time, options = 1_700_000_000, {"rename": "at:timestamp"}

        assert encoded({"at": time, "tx": 1}, **options) == f"{HEAD}tx=1 {time * SECOND}"
        assert (
            encoded({"at": 1, "timestamp": time, "tx": 1}, **options) == f"{HEAD}at=1,tx=1 {time * SECOND}"
        )

    @pytest.mark.parametrize("new", ["host", "_field"])
    def test_a_new_name_that_is_taken_gets_an_underscore_as_if_it_was_sent(self, new: str) -> None:
        assert fields({"a": 1}, rename=f"a:{new}") == f"{new}_=1"

    def test_it_is_by_the_name_of_a_nested_field(self) -> None:
        options = {"rename": "a_b:memory,list_1:time", "time_fields": "time"}

        line = encoded({"a": {"b": "5"}, "list": ["x", 1_700_000_000]}, **options)

        assert line == f'{HEAD}memory=5,list_0="x" 1700000000000000000'

    def test_a_limit_of_names_is_for_the_new_one(self) -> None:
        assert fields({"k" * 300: 1}, rename=f"{'k' * 300}:short") == "short=1"
        assert reason_of({"k": 1}, rename=f"k:{'n' * 300}") == Reason.KEY_TOO_LONG

    @settings(max_examples=examples(200))
    @given(
        st.dictionaries(st.sampled_from(list("abcde")), st.sampled_from(list("abcdef")), max_size=5),
        st.dictionaries(st.sampled_from(list("abcdef")), st.integers(0, 99), min_size=1),
    )
    def test_no_name_is_twice_in_a_line_and_no_value_is_lost(
        self, names: dict[str, str], record: dict[str, int]
    ) -> None:
        pairs = ",".join(f"{name}:{new}" for name, new in names.items() if name != new)

        text = fields(record, rename=pairs)

        written = [pair.partition("=")[::2] for pair in text.split(",")]
        assert len({name for name, _ in written}) == len(written)
        assert [int(value) for _, value in written] == list(record.values())


class TestTags:
    """Constant ones, and fields of the record."""

    def test_they_stand_in_the_order_of_their_names(self) -> None:
        line = encoded({"ip": "1.2.3.4", "deviceId": "pi", "memory": 1})

        assert line.startswith("labs,deviceId=pi,host=Labs,ip=1.2.3.4,region=GIST memory=1 ")

    @pytest.mark.parametrize("value", [None, "", b""])
    def test_an_empty_one_is_left_out(self, value: object) -> None:
        assert encoded({"ip": value, "memory": 1}).startswith(HEAD)

    @pytest.mark.parametrize(
        ("value", "text"), [(True, "true"), (5, "5"), (1.5, "1.5"), ("NaN", "NaN"), (b"x", "x")]
    )
    def test_one_that_is_no_text_is_spelled_out(self, value: object, text: str) -> None:
        assert f",ip={text}," in encoded({"ip": value, "memory": 1})

    def test_a_record_of_tags_alone_has_nothing_to_store(self) -> None:
        assert reason_of({"ip": "1.2.3.4"}) == Reason.NO_FIELDS

    def test_a_field_that_shares_a_constant_tags_name_gets_an_underscore(self) -> None:
        assert fields({"host": 1}) == "host_=1"

    def test_a_tag_of_the_record_takes_the_place_of_a_constant_one(self) -> None:
        line = encoded({"host": "pi", "memory": 1}, tag_fields="host")

        assert line.startswith("labs,host=pi,region=GIST memory=1 ")

    def test_none_at_all_is_a_line_too(self) -> None:
        assert encoded({"ip": "x", "memory": 1}, tags="", tag_fields="").startswith('labs ip="x",memory=1 ')


class TestLimits:
    """Each has a setting and a reason."""

    @pytest.mark.parametrize(
        ("record", "options", "reason"),
        [
            ({"a": {"b": 1}}, {"max_depth": 1}, Reason.TOO_DEEP),
            ({"a": [[1]]}, {"max_depth": 2}, Reason.TOO_DEEP),
            ({"a": 1, "b": 2}, {"max_fields": 1}, Reason.TOO_MANY_FIELDS),
            ({"abc": 1}, {"max_key_bytes": 2}, Reason.KEY_TOO_LONG),
            ({"üü": 1}, {"max_key_bytes": 3}, Reason.KEY_TOO_LONG),
            ({"a": {"b": 1}}, {"max_key_bytes": 2}, Reason.KEY_TOO_LONG),
            ({"ip": "abc", "memory": 1}, {"max_tag_bytes": 2}, Reason.TAG_TOO_LONG),
            ({"ip": "üü", "memory": 1}, {"max_tag_bytes": 3}, Reason.TAG_TOO_LONG),
            ({"a": "abc"}, {"max_text_bytes": 2}, Reason.TEXT_TOO_LONG),
            ({"a": "üü"}, {"max_text_bytes": 3}, Reason.TEXT_TOO_LONG),
            ({"a": b"abc"}, {"max_text_bytes": 2}, Reason.TEXT_TOO_LONG),
            ({}, {}, Reason.NO_FIELDS),
            ({"": 1}, {}, Reason.NOT_A_RECORD),
            ({1: 2}, {}, Reason.NOT_A_RECORD),
            ({None: 2}, {}, Reason.NOT_A_RECORD),
            ({"a": {None: 2}}, {}, Reason.NOT_A_RECORD),
            ({"a": {(1,): 2}}, {}, Reason.NOT_A_RECORD),
            ({"a": b"\xff"}, {}, Reason.TEXT),
            ({"ip": b"\xff", "memory": 1}, {}, Reason.TEXT),
            ({"a": "\ud800"}, {}, Reason.TEXT),
            ({"\ud800": 1}, {}, Reason.TEXT),
            ({"ip": "\ud800", "memory": 1}, {}, Reason.TEXT),
        ],
        ids=repr,
    )
    def test_what_is_over_is_a_dead_letter_with_its_reason(
        self, record: dict[Any, Any], options: dict[str, object], reason: str
    ) -> None:
        assert reason_of(record, **options) == reason

    def test_empty_objects_and_arrays_are_no_fields_but_have_an_end(self) -> None:
        """A record of one field with TOWER_MAX_DEPTH times TOWER_MAX_FIELDS of them, itself counted."""
        record = {"a": 1, "b": [{}, []] * 11}

        assert fields(record, max_depth=3, max_fields=8) == "a=1"
        assert reason_of({**record, "c": {}}, max_depth=3, max_fields=8) == Reason.TOO_MANY_FIELDS

    @pytest.mark.parametrize(
        ("record", "options"),
        [
            ({"a": [1]}, {"max_depth": 2}),
            ({"a": 1, "b": 2}, {"max_fields": 2}),
            ({"üü": 1}, {"max_key_bytes": 4}),
            ({"ip": "üü", "memory": 1}, {"max_tag_bytes": 4}),
            ({"a": "üü"}, {"max_text_bytes": 4}),
        ],
        ids=repr,
    )
    def test_what_is_just_within_is_stored(
        self, record: dict[str, Any], options: dict[str, object]
    ) -> None:
        assert encoded(record, **options)

    @pytest.mark.timeout(10)
    def test_a_long_name_above_many_fields_is_not_repeated_in_memory(self) -> None:
        record = {"k" * 900_000: {str(number): number for number in range(10_000)}}

        assert reason_of(record, max_fields=10_000) == Reason.KEY_TOO_LONG

    def test_names_and_tags_without_end_do_not_fill_the_memory(self) -> None:
        encoder = Encoder(fakes.route(max_field_names=2 * CACHED))

        for number in range(CACHED + 10):
            encoder.encode({"ip": f"t{number}", f"f{number}": 1}, KAFKA_MS, 0, number)

        assert len(encoder._series) <= CACHED
        assert len(encoder._names) <= CACHED
        assert len(encoder._names_by_sent) <= CACHED


def test_a_measurement_is_escaped() -> None:
    line = encoded({"memory": 1}, measurement="my labs,x=y\\")

    assert line.startswith("my\\ labs\\,x=y/,host=Labs,region=GIST memory=1 ")
