"""A type conflict costs two requests, and none once it is known."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.examples import examples
from tests.support.fakes import FakeClock, FakeSink, FakeWait, partition
from tests.support.line_protocol import Integer, parse
from tests.support.typed_influxdb import HOUR_NS, TypedInfluxdb
from workers.batch import Batch
from workers.influxdb import retention, type_conflicts
from workers.influxdb.delivery import Delivery
from workers.log import ThrottledLogger
from workers.types import Reason

#: A full hour, at the beginning of a shard group of a week.
START_NS = 24 * 7 * HOUR_NS * 2_800


class Bench:
    """A delivery to a bucket with types."""

    def __init__(self, influxdb: TypedInfluxdb | None = None, **options: object) -> None:
        self.influxdb = influxdb or TypedInfluxdb()
        self.clock = FakeClock()
        self.sink = FakeSink(self.influxdb)
        self.delivery = Delivery(
            fakes.settings(**options),
            self.sink,
            FakeWait(),
            lambda: False,
            ThrottledLogger(logging.getLogger("tower.loop")),
            clock=self.clock,
        )

    def deliver(self, *fields: str, start_ns: int = START_NS) -> Batch:
        """Deliver one line for each text of fields, a second apart; the batch."""
        batch = Batch(first_at=0.0)
        for offset, text in enumerate(fields):
            line = f"labs,host=a {text},seq={offset} {start_ns + offset * 10**9}".encode()
            batch.lines.append(line)
            batch.origins.append(fakes.origin(0, offset))
            batch.next_offsets[partition(0)] = offset + 1
            batch.records[partition(0)] += 1
        self.sink.writes.clear()
        self.delivery.deliver(batch, 30.0)
        return batch

    @property
    def requests(self) -> int:
        return len(self.sink.writes)

    def values(self, name: str = "uid") -> list[object]:
        """The values of a field, by time."""
        points = sorted(self.influxdb.stored.items(), key=lambda item: item[0][2])  # type: ignore[index]
        return [fields.get(name) for _, fields in points]


def dead(batch: Batch) -> list[tuple[int, str]]:
    return sorted((letter.origin.message.offset(), letter.reason) for letter in batch.dead_letters)


def mixed(good: str, bad: str, each: int, lines: int = 300) -> list[str]:
    """Fields of lines, one of `each` of them bad."""
    return [bad if number % each == each - 1 else good for number in range(lines)]


@pytest.mark.parametrize("each", [2, 3, 100, 300])
def test_a_conflict_costs_two_requests_and_nothing_once_it_is_known(each: int) -> None:
    bench = Bench()
    bench.deliver("uid=1")
    lines = mixed("uid=1", 'uid="n/a"', each)
    first = bench.deliver(*lines, start_ns=START_NS + HOUR_NS // 2)
    requests = bench.requests
    second = bench.deliver(*lines, start_ns=START_NS + HOUR_NS // 4)

    assert requests == 1 + 2
    assert bench.requests == 1
    assert dead(first) == dead(second)
    assert dead(first) == [(number, Reason.TYPE_CONFLICT) for number in range(each - 1, 300, each)]
    assert len(first.lines) == len(first.origins) == 300 - 300 // each
    assert all(isinstance(value, float) for value in bench.values())


def test_a_batch_of_conflicts_alone_costs_one_request_and_then_none() -> None:
    bench = Bench()
    bench.deliver("uid=1")
    bench.deliver(*['uid="n/a"'] * 50)
    requests = bench.requests
    bench.deliver(*['uid="n/a"'] * 50)

    assert requests == 1
    assert bench.requests == 0


@pytest.mark.parametrize(
    ("stored", "sent", "value"),
    [
        pytest.param("uid=1", 'uid="12.5"', 12.5, id="text into float"),
        pytest.param("uid=1", "uid=7i", 7.0, id="integer into float"),
        pytest.param('uid="a"', "uid=7.25", "7.25", id="number into text"),
        pytest.param('uid="a"', "uid=t", "true", id="bool into text"),
        pytest.param("uid=1i", "uid=7.0", Integer(7), id="whole float into integer"),
        pytest.param("uid=f", 'uid="true"', True, id="text into bool"),
    ],
)
def test_a_value_that_loses_nothing_is_converted(stored: str, sent: str, value: object) -> None:
    bench = Bench()
    bench.deliver(stored)
    first = bench.deliver(*mixed(stored, sent, 3, 30), start_ns=START_NS + 10**10)
    requests = bench.requests
    bench.deliver(*mixed(stored, sent, 3, 30), start_ns=START_NS + 10**11)

    assert first.dead_letters == []
    assert requests == 1 + 2
    assert bench.requests == 1
    assert bench.values().count(value) == 20
    assert len(bench.values()) == 61
    assert bench.delivery.values_converted == 20


def test_without_conversion_every_conflict_is_a_dead_letter() -> None:
    bench = Bench(convert_values="no")
    bench.deliver("uid=1")
    batch = bench.deliver("uid=2", 'uid="12.5"')

    assert dead(batch) == [(1, Reason.TYPE_CONFLICT)]
    assert bench.delivery.values_converted == 0


def test_each_of_several_conflicts_costs_two_requests() -> None:
    bench = Bench()
    bench.deliver('a=1,b="x",c=t,d=1i')
    lines = ['a="n/a"', "b=7", "c=5", 'd="x"', 'a="7"', "a=1", 'b="y"', 'a="n/a",b=9,c=5', "e=1"] * 20
    first = bench.deliver(*lines)
    requests = bench.requests
    bench.deliver(*lines)

    # The line with three conflicts is refused for its first one. That is enough: `a` does not convert.
    assert requests <= 1 + 2 * 4
    assert bench.requests == 1
    assert [offset for offset, _ in dead(first)] == sorted(
        number for number in range(180) if number % 9 in {0, 2, 3, 7}
    )


def test_a_line_with_two_conflicts_that_convert_is_converted_twice() -> None:
    bench = Bench()
    bench.deliver('a=1,b="x"')
    batch = bench.deliver('a="5",b=7', "a=2")

    assert batch.dead_letters == []
    assert bench.values("b")[-2:] == ["7", None]


def test_what_is_known_is_asked_again_after_a_while() -> None:
    """The bucket was created again, and has no types: the records are stored as they are."""
    bench = Bench()
    bench.deliver("uid=1")
    bench.deliver(*mixed("a=1", 'uid="x"', 2, 4))
    bench.influxdb.types.clear()
    bench.clock.now += type_conflicts.RECHECK_S
    batch = bench.deliver(*mixed("a=1", 'uid="x"', 2, 4))

    assert batch.dead_letters == []
    assert bench.requests == 2
    assert bench.values()[-1] == "x"


def test_a_conflict_that_lasts_is_asked_for_with_its_own_lines_alone() -> None:
    bench = Bench()
    bench.deliver("uid=1")
    bench.deliver(*mixed("uid=1", 'uid="x"', 3))
    bench.clock.now += type_conflicts.RECHECK_S
    batch = bench.deliver(*mixed("uid=1", 'uid="x"', 3))
    asked = [len(lines) for lines in bench.sink.writes]
    bench.deliver(*mixed("uid=1", 'uid="x"', 3))

    assert asked == [100, 200]
    assert bench.requests == 1
    assert len(batch.dead_letters) == 100


def test_another_shard_group_may_have_another_type() -> None:
    """InfluxDB keeps types by shard group, so what is known of one hour is asked again for another."""
    bench = Bench(TypedInfluxdb(shard_hours=1))
    bench.deliver("uid=1")
    bench.deliver('uid="x"', "a=1")
    batch = bench.deliver('uid="x"', "a=1", start_ns=START_NS + 5 * HOUR_NS)

    assert batch.dead_letters == []
    assert bench.requests == 2


def test_lines_of_two_shard_groups_with_opposite_types_are_all_stored() -> None:
    bench = Bench(TypedInfluxdb(shard_hours=1))
    bench.deliver("uid=1")
    bench.deliver('uid="x"', start_ns=START_NS + 2 * HOUR_NS - 10**9)
    batch = bench.deliver(*["uid=2", 'uid="3"'] * 50, start_ns=START_NS + HOUR_NS - 50 * 10**9)

    assert batch.dead_letters == []
    assert bench.values() == [1.0, *[2.0, 3.0] * 25, *["2", "3"] * 25, "x"]


def test_a_conflict_that_no_longer_comes_is_forgotten() -> None:
    bench = Bench()
    bench.deliver("uid=1")
    bench.deliver('uid="x"', "a=1")
    bench.clock.now += type_conflicts.FORGET_S + 1
    bench.deliver("uid=1")

    assert bench.delivery.field_types() == []


def test_what_is_known_has_a_bound() -> None:
    bench = Bench()
    for number in range(type_conflicts.MOST + 10):
        bench.deliver(f"f{number}=1")
        bench.deliver(f'f{number}="x"', "a=1")

    assert len(bench.delivery.field_types()) == type_conflicts.MOST


def test_a_name_in_a_tag_or_in_a_text_is_not_the_field() -> None:
    bench = Bench()
    bench.deliver("uid=1")
    bench.deliver('uid="x"', "a=1")
    batch = bench.deliver('note="uid=\\"x\\",uid=",uid=2', 'xuid="x"', 'note=",uid=\\"n/a\\" 1"')

    assert batch.dead_letters == []
    assert bench.requests == 1


@pytest.mark.parametrize("old", [1, 3, 100, 299, 300])
def test_points_outside_retention_cost_two_requests_and_then_none(old: int) -> None:
    bench = Bench(TypedInfluxdb(oldest_ns=START_NS + old * 10**9))
    first = bench.deliver(*["a=1"] * 300)
    requests = bench.requests
    second = bench.deliver(*["a=1"] * 300)

    assert requests <= 1 + 2
    assert bench.requests == (1 if old < 300 else 0)
    assert dead(first) == dead(second) == [(number, Reason.REFUSED) for number in range(old)]
    assert len(bench.values("a")) == 300 - old


def test_a_backlog_of_old_records_costs_one_small_request_an_hour_of_records() -> None:
    """Each batch has newer records than the one before, and all are older than InfluxDB's bound."""
    bench = Bench(TypedInfluxdb(oldest_ns=START_NS))
    bench.deliver(*["a=1"] * 10, start_ns=START_NS - 5 * HOUR_NS)
    asked = []
    for hours, seconds in ((5, 1_000), (3, 0), (3, 1_000), (3, 3_000)):
        batch = bench.deliver(*["a=1"] * 10, start_ns=START_NS - hours * HOUR_NS + seconds * 10**9)
        asked.append([len(lines) for lines in bench.sink.writes])
        assert len(batch.dead_letters) == 10

    assert asked == [[], [10], [], []]


def test_old_records_of_another_hour_among_new_ones_are_asked_for_alone() -> None:
    bench = Bench(TypedInfluxdb(oldest_ns=START_NS + HOUR_NS + 10 * 10**9))
    bench.deliver(*["a=1"] * 5)
    batch = bench.deliver(*["a=1"] * 20, start_ns=START_NS + HOUR_NS)

    assert [len(lines) for lines in bench.sink.writes] == [10, 10]
    assert [offset for offset, _ in dead(batch)] == list(range(10))


def test_a_record_of_the_same_hour_that_is_newer_than_the_bound_is_stored() -> None:
    bench = Bench(TypedInfluxdb(oldest_ns=START_NS + 10 * 10**9))
    bench.deliver(*["a=1"] * 5)
    batch = bench.deliver(*["a=1"] * 20)

    assert [len(lines) for lines in bench.sink.writes] == [10]
    assert [offset for offset, _ in dead(batch)] == list(range(10))


def test_retention_that_was_extended_is_noticed() -> None:
    bench = Bench(TypedInfluxdb(oldest_ns=START_NS + 10**9))
    bench.deliver("a=1", "a=1")
    bench.influxdb.oldest_ns = 0
    bench.clock.now += retention.RECHECK_S
    batch = bench.deliver("a=1", "a=1")

    assert batch.dead_letters == []
    assert len(bench.values("a")) == 2


def test_records_of_1970_among_those_of_today_are_found() -> None:
    bench = Bench(TypedInfluxdb(oldest_ns=START_NS))
    bench.deliver("a=1", start_ns=5)
    batch = bench.deliver("a=1", "a=1", start_ns=-(10**9) - 7)

    assert [offset for offset, _ in dead(batch)] == [0, 1]
    assert bench.requests == 0


VALUES = st.sampled_from(["1", "1.5", "7i", "3u", "t", '"x"', '"7"', '"true"', '"1.50"'])
FIELDS = st.dictionaries(st.sampled_from(["a", "b\\,", 'c"']), VALUES, min_size=1, max_size=3).map(
    lambda fields: ",".join(f"{name}={value}" for name, value in fields.items())
)


@settings(max_examples=examples(200))
@given(
    st.lists(st.lists(st.tuples(FIELDS, st.integers(0, 12)), max_size=25), min_size=1, max_size=4),
    st.sampled_from([1, 3, 168]),
    st.integers(0, 3),
    st.sampled_from(["yes", "no"]),
    st.lists(st.sampled_from([0.0, 30.0, 61.0, 700.0]), min_size=4, max_size=4),
)
def test_every_line_is_stored_as_it_is_or_converted_or_a_dead_letter(
    batches: list[list[tuple[str, int]]], shard_hours: int, oldest: int, convert: str, pauses: list[float]
) -> None:
    influxdb = TypedInfluxdb(shard_hours, START_NS + oldest * HOUR_NS)
    bench = Bench(influxdb, convert_values=convert)
    for number, (records, pause) in enumerate(zip(batches, pauses, strict=False)):
        bench.clock.now += pause
        batch = Batch(first_at=0.0)
        for offset, (text, hour) in enumerate(records):
            time = START_NS + hour * HOUR_NS + number * 1_000 + offset
            batch.lines.append(f"labs {text} {time}".encode())
            batch.origins.append(fakes.origin(0, offset))
            batch.next_offsets[partition(0)] = offset + 1
        sent = list(batch.lines)
        bench.delivery.deliver(batch, 30.0)

        gone = {letter.origin.message.offset() for letter in batch.dead_letters}
        assert len(gone) == len(batch.dead_letters)
        for offset, line in enumerate(sent):
            point = parse(line.decode())
            stored = influxdb.stored.get(point.identity)
            if offset in gone:
                # A point that InfluxDB dropped cannot be there, whatever the others became.
                assert stored is None
                continue
            assert stored is not None
            assert {name: shown(value) for name, value in stored.items()} == {
                name: shown(value) for name, value in point.fields.items()
            }
        assert {origin.message.offset() for origin in batch.origins} == set(range(len(sent))) - gone  # type: ignore[union-attr]


def shown(value: object) -> str:
    """What a value says, whatever its type."""
    if isinstance(value, Integer):
        return str(float(value.value))
    try:
        return str(float(str(value)))
    except ValueError:
        return str(value).lower()
