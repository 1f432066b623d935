"""Every record has its own nanosecond, and the same one at every delivery."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workers.records.point_time import CLASSES, PointTime
from workers.records.timestamps import MILLISECOND, SECOND, Timestamp
from workers.types import MAX_RECORDS

PARTITIONS = 16
POINT_TIME = PointTime(PARTITIONS)

#: The largest offset Kafka can have.
OFFSETS = st.integers(0, 2**63 - 1)
NUMBERS = st.integers(0, PARTITIONS - 1)
INDEXES = st.one_of(st.just(0), st.integers(0, MAX_RECORDS - 1))
TIMESTAMPS = st.one_of(
    st.integers(0, 9_000_000_000).map(lambda seconds: Timestamp(seconds * SECOND, SECOND)),
    st.integers(0, 9_000_000_000_000).map(lambda ms: Timestamp(ms * MILLISECOND, MILLISECOND)),
)
Coordinates = tuple[Timestamp, int, int, int]
COORDINATES = st.tuples(TIMESTAMPS, NUMBERS, OFFSETS, INDEXES)


def nearby(first: Coordinates) -> st.SearchStrategy[Coordinates]:
    """Coordinates that differ from `first` in some parts only: where a collision would be."""
    timestamp, number, offset, index = first
    near = st.integers(-20_000, 20_000).map(lambda by: max(0, offset + by))
    timestamps = [
        timestamp,
        Timestamp(timestamp.ns // SECOND * SECOND, SECOND),
        Timestamp(timestamp.ns, MILLISECOND),
    ]
    return st.tuples(
        st.sampled_from(timestamps),
        st.one_of(st.just(number), NUMBERS),
        st.one_of(st.just(offset), near),
        st.one_of(st.just(index), INDEXES),
    )


def within_the_window(first: Coordinates, second: Coordinates) -> bool:
    """What the module's documentation promises to keep apart."""
    window = POINT_TIME.window(min(first[0].tick, second[0].tick))
    room = MAX_RECORDS if first[3] and second[3] else 1
    return abs(first[2] - second[2]) < window // room - (room > 1)


@settings(max_examples=200)
@given(st.data())
def test_two_records_never_share_a_nanosecond(data: st.DataObject) -> None:
    first = data.draw(COORDINATES)
    second = data.draw(nearby(first))
    assume(first != second)
    assume(within_the_window(first, second))

    assert POINT_TIME.nanoseconds(*first) != POINT_TIME.nanoseconds(*second)


@given(COORDINATES)
def test_a_record_has_the_same_nanosecond_every_time(coordinates: Coordinates) -> None:
    assert PointTime(PARTITIONS).nanoseconds(*coordinates) == POINT_TIME.nanoseconds(*coordinates)


@given(COORDINATES)
def test_the_digits_stay_within_the_tick(coordinates: Coordinates) -> None:
    timestamp = coordinates[0]

    assert 0 <= POINT_TIME.nanoseconds(*coordinates) - timestamp.ns < timestamp.tick


@given(st.integers(1, 4_096), st.data())
def test_every_partition_there_is_room_for_has_digits_of_its_own(
    partitions: int, data: st.DataObject
) -> None:
    point_time = PointTime(partitions)
    timestamp, offset, index = data.draw(TIMESTAMPS), data.draw(OFFSETS), data.draw(INDEXES)
    numbers = {0, partitions // 2, partitions - 1}

    times = {point_time.nanoseconds(timestamp, number, offset, index) for number in numbers}

    assert len(times) == len(numbers)
    assert all(0 <= time - timestamp.ns < timestamp.tick for time in times)


@pytest.mark.parametrize(
    ("tick", "offsets"),
    [pytest.param(SECOND, 15_625_000, id="second"), pytest.param(MILLISECOND, 15_625, id="ms")],
)
def test_the_window_is_as_documented(tick: int, offsets: int) -> None:
    timestamp = Timestamp(1_700_000_000 * SECOND, tick)

    assert POINT_TIME.window(tick) == offsets
    assert POINT_TIME.nanoseconds(timestamp, 0, 7) == POINT_TIME.nanoseconds(timestamp, 0, 7 + offsets)


def test_a_whole_message_of_records_and_its_neighbours_share_no_nanosecond() -> None:
    timestamp = Timestamp(1_700_000_000_123 * MILLISECOND, MILLISECOND)
    places = [(offset, index) for offset in range(100, 112) for index in range(MAX_RECORDS)]

    times = {POINT_TIME.nanoseconds(timestamp, 3, offset, index) for offset, index in places}

    assert len(times) == len(places)


@pytest.mark.parametrize("tick", [SECOND, MILLISECOND])
def test_a_tick_is_a_multiple_of_the_classes(tick: int) -> None:
    assert tick % CLASSES == 0
