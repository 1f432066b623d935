"""The newest records of the topic, through the worker's own path."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tests import corpus
from tests.support import fakes, line_protocol
from tests.support.examples import examples
from tests.support.fakes import KAFKA_MS, FakeMessage
from workers.batch import Batch
from workers.commands.check import line_parser, newest_records
from workers.commands.check.converted_record import Record
from workers.errors import RecordError
from workers.records.converter import Converter
from workers.records.encoder import Encoder

if TYPE_CHECKING:
    from workers.commands.clients.topic_reader import TopicReader

KAFKA_S = KAFKA_MS / 1000
NUMBERS = {"memory", "tx", "rx", "CPU_Usage", "tx_dropped", "rx_dropped", "txError", "rxError", "disk"}

#: What the lab's Pi sends: the time is a few seconds before Kafka's.
PI = {
    "tx_bytes": 11, "rx_bytes": 22, "tx_drops": 0, "rx_drops": 1, "tx_errors": 0, "rx_errors": 0,
    "cpu_load": "3.80", "free_ram": 16_479_928, "disk_util": 7, "time": "2023-11-15T07:13:15+0900",
}  # fmt: skip


def records(*values: Any, milliseconds: int | None = KAFKA_MS, **options: object) -> list[Record]:
    """What becomes of messages with these values, in their order."""
    messages = [
        FakeMessage(
            value if isinstance(value, bytes | None) else json.dumps(value).encode(),
            place=place,
            milliseconds=milliseconds,
        )
        for place, value in enumerate(values)
    ]
    return [*reversed(newest_records.sample(messages, fakes.settings(**options), {}).records)]


def one(value: Any, **options: Any) -> Record:
    (record,) = records(value, **options)
    return record


def test_the_labs_record_fills_the_dashboards_fields_at_its_own_time() -> None:
    record = one(PI)

    assert record.is_point
    assert set(record.types) == NUMBERS
    assert set(record.types.values()) == {"float"}
    assert not record.omitted
    assert record.is_by_own_time
    assert record.own_s == pytest.approx(1_700_000_000 - 5, abs=1e-3)
    assert record.kafka_s == KAFKA_S


def test_a_strangers_record_has_its_own_fields_and_kafkas_time() -> None:
    record = one({"temperature": 21.5, "room": "kitchen", "on": True, "s": {"id": 7}})

    assert record.types == {"temperature": "float", "room": "string", "on": "boolean", "s_id": "float"}
    assert record.own_s is None
    assert not record.is_by_own_time
    assert not record.unreadable
    assert record.point_s == pytest.approx(KAFKA_S, abs=1e-3)


def test_a_time_that_is_not_believed_is_told_beside_kafkas() -> None:
    record = one({**PI, "time": 5_000})

    assert record.own_s == pytest.approx(5_000, abs=1e-3)
    assert record.point_s == pytest.approx(KAFKA_S, abs=1e-3)
    assert not record.is_by_own_time


@pytest.mark.parametrize(
    ("times", "unreadable"),
    [
        pytest.param({"time": "yesterday"}, True, id="no time"),
        pytest.param({"time": None}, True, id="null"),
        pytest.param({"timestamp": "yesterday", "time": 1_700_000_000}, False, id="the second is one"),
        pytest.param({"timestamp": 1_700_000_000, "time": "yesterday"}, False, id="the first is one"),
        pytest.param({}, False, id="none at all"),
    ],
)
def test_a_time_that_cannot_be_read_is_seen(times: dict[str, Any], unreadable: bool) -> None:
    without = {name: value for name, value in PI.items() if name != "time"}

    assert one(without | times).unreadable is unreadable


@pytest.mark.parametrize(
    "value", ["No Such Instance currently exists at this OID", None, math.nan, "", True, [], {}]
)
def test_a_value_that_is_left_out_is_told_by_the_name_of_its_field(value: Any) -> None:
    record = one({**PI, "cpu_load": value})

    # An empty list or object has no value that could be left out.
    assert record.omitted == (set() if value in ([], {}) else {"CPU_Usage"})
    assert "CPU_Usage" not in record.types
    assert not record.unreadable


def test_a_second_time_is_a_field_that_may_be_left_out() -> None:
    """The first field that holds a time is taken, the other one is a field as any."""
    record = one({**PI, "timestamp": 1_700_000_000, "time": None})

    assert record.omitted == {"time_"}
    assert not record.unreadable


def test_a_name_too_long_whose_value_is_left_out_anyway_is_no_trouble() -> None:
    record = one({"memory": 1, "k" * 300: None})

    assert record.types == {"memory": "float"}
    assert not record.unreadable


def test_each_record_of_an_array_is_one() -> None:
    good, stranger, dead = records([PI, {"temperature": 1}, 7])

    assert (good.is_point, stranger.is_point, dead.is_point) == (False, True, True)
    assert {record.reason for record in (good, stranger, dead)} == {"", "not_a_record"}
    assert {record.place for record in (good, stranger, dead)} == {"resource[0]@0"}


def test_a_dead_letter_has_its_reason() -> None:
    record = one(b'{"half')

    assert (record.is_point, record.reason) == (False, "json")
    assert record.detail


def test_a_record_that_came_during_the_check_is_fresh() -> None:
    messages = [FakeMessage(place=place) for place in range(4)]

    result = newest_records.sample(messages, fakes.settings(), {0: 3})

    assert [(record.place, record.fresh) for record in result.records] == [
        ("resource[0]@3", True),
        ("resource[0]@2", False),
        ("resource[0]@1", False),
        ("resource[0]@0", False),
    ]


def test_arrays_of_a_thousand_do_not_keep_other_partitions_out() -> None:
    arrays = [FakeMessage(json.dumps([{"memory": 1}] * 1024).encode(), 0, place) for place in range(10)]

    result = newest_records.sample(
        [*arrays, FakeMessage(number=1), FakeMessage(number=1, place=1)], fakes.settings(), {}
    )

    assert len(result.records) <= newest_records.RECORDS + 1024
    assert "resource[1]@1" in {record.place for record in result.records}


def test_the_newest_by_kafkas_time_comes_first() -> None:
    messages = [FakeMessage(number=number, milliseconds=KAFKA_MS + number * 2 % 5) for number in range(5)]

    result = newest_records.sample(messages, fakes.settings(), dict.fromkeys(range(5), 1))

    assert [record.place[9] for record in result.records] == ["2", "4", "1", "3", "0"]


@pytest.mark.parametrize("milliseconds", [KAFKA_MS, None, -1, 0, 2**62])
def test_of_whatever_stands_in_the_topic_it_says_what_the_worker_makes(milliseconds: int | None) -> None:
    settings = fakes.settings()
    messages = [
        FakeMessage(case.value, place=place, milliseconds=milliseconds)
        for place, case in enumerate(corpus.load())
    ]
    batch = Batch()
    Converter(settings.route, Encoder(settings.route)).convert(messages, batch)

    result = newest_records.sample(messages, settings, {}).records

    assert len(messages) > 50
    assert sorted(record.reason for record in result if not record.is_point) == sorted(
        letter.reason for letter in batch.dead_letters
    )
    stored = [line_protocol.parse(line.decode()) for line in batch.lines]
    assert sorted(sorted(record.types) for record in result if record.is_point) == sorted(
        sorted(point.fields) for point in stored
    )
    assert sorted(record.point_s for record in result if record.is_point) == sorted(
        point.time / 10**9 for point in stored
    )


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=6),
    st.integers(-(2**40), 2**60),
    st.floats(),
    st.binary(max_size=4),
)
NAMES = st.one_of(st.sampled_from([*PI, *NUMBERS, "timestamp", "ip", "host"]), st.text(max_size=6))


@budget(max_examples=examples(100))
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6))
def test_a_line_is_read_back_as_influxdb_reads_it(record: dict[str, Any]) -> None:
    try:
        line = Encoder(fakes.route()).encode(record, KAFKA_MS, 1, 2)
    except RecordError:
        return
    expected = line_protocol.parse(line.decode())

    result = line_parser.parse(line)

    words = {float: "float", str: "string", bool: "boolean"}
    assert result.types == {name: words[type(value)] for name, value in expected.fields.items()}
    assert result.time == expected.time


@budget(max_examples=examples(100))
@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6))
def test_what_is_left_out_adds_up_with_the_workers_count(record: dict[str, Any]) -> None:
    """Each value the encoder leaves out is a field's, or a time that cannot be read."""
    encoder = Encoder(fakes.route())
    try:
        encoder.encode(record, KAFKA_MS, 0, 0)
    except RecordError:
        return

    result = one(msgpack.packb(record))

    assert len(result.omitted) <= encoder.values_omitted
    assert result.omitted.isdisjoint(result.types)
    if not {"time", "timestamp"} & record.keys() and "" not in record:
        assert len(result.omitted) == encoder.values_omitted


class Partitions:
    """A reader's end of Kafka: partitions of messages, all of one size each.

    Attributes:
        asked: The ranges of each call.
    """

    def __init__(self, sizes: Mapping[int, int]) -> None:
        self._sizes = sizes
        self.asked: list[dict[int, tuple[int, int]]] = []

    def read_together(
        self, topic: str, ranges: Mapping[int, tuple[int, int]], within_s: float, most_bytes: int
    ) -> list[Any]:
        assert within_s > 0
        assert most_bytes > 0
        self.asked.append(dict(ranges))
        return [
            FakeMessage(b"x" * self._sizes[number], number, place, topic)
            for number, (start, end) in ranges.items()
            for place in range(start, end)
        ]


def newest(sizes: Mapping[int, int], starts: int, ends: int) -> tuple[list[Any], Partitions]:
    reader = Partitions(sizes)
    messages = newest_records._newest(
        cast("TopicReader", reader), "resource", dict.fromkeys(sizes, starts), dict.fromkeys(sizes, ends)
    )
    return messages, reader


def test_small_messages_are_read_up_to_a_hundred_of_each_partition() -> None:
    messages, _ = newest({0: 100, 1: 100, 2: 100}, 0, 1_000)

    assert len(messages) == 300
    assert {message.offset() for message in messages} == set(range(900, 1_000))


def test_the_last_message_is_read_however_large_and_no_more_than_eight_megabytes_are_begun() -> None:
    messages, reader = newest({0: 3_000_000, 1: 3_000_000, 2: 3_000_000}, 0, 1_000)

    assert [message.offset() for message in messages] == [999] * 3
    assert len(reader.asked) == 1


def test_many_partitions_share_the_number_of_messages() -> None:
    messages, _ = newest(dict.fromkeys(range(400), 10), 0, 1_000)

    assert len(messages) == newest_records.MESSAGES


def test_a_partition_is_not_read_before_its_first_offset() -> None:
    messages, _ = newest({0: 10}, 995, 1_000)

    assert [message.offset() for message in messages] == [999, 995, 996, 997, 998]
