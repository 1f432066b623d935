"""Every record has its own nanosecond, and the same one at every delivery."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workers.errors import RecordError
from workers.records.point_time import BANDS, PARTITIONS, RESIDUES, SHARES, PointTime, share_of
from workers.records.timestamps import MILLISECOND, NANOSECOND, SECOND, Timestamp
from workers.types import MAX_RECORDS, Reason

POINT_TIME = PointTime("kafka")

#: The largest offset Kafka can have.
OFFSETS = st.integers(0, 2**63 - 1)
#: Each band as often as the others, though the last has most of the partitions.
NUMBERS = st.one_of([st.integers(band.first, band.first + band.size - 1) for band in BANDS])
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
    near = st.one_of(st.integers(-20, 20), st.integers(-20_000, 20_000)).map(lambda by: max(0, offset + by))
    timestamps = [
        timestamp,
        Timestamp(timestamp.ns // SECOND * SECOND, SECOND),
        Timestamp(timestamp.ns, MILLISECOND),
    ]
    return st.tuples(
        st.sampled_from(timestamps),
        st.one_of(st.just(number), NUMBERS, st.sampled_from([band.first for band in BANDS])),
        st.one_of(st.just(offset), near),
        st.one_of(st.just(index), INDEXES),
    )


def place(coordinates: Coordinates) -> int:
    """What the digits count: offsets, or places in messages for the later records of an array."""
    _, _, offset, index = coordinates
    return offset * MAX_RECORDS + index if index else offset


def within_the_window(first: Coordinates, second: Coordinates) -> bool:
    """What the module's documentation promises to keep apart: all but a whole number of windows."""
    if first[:2] != second[:2] or bool(first[3]) != bool(second[3]):
        return True
    return (place(first) - place(second)) % share_of(first[0].tick, first[1], first[3] > 0).window != 0


@settings(max_examples=examples(500))
@given(st.data())
def test_two_records_never_share_a_nanosecond(data: st.DataObject) -> None:
    first = data.draw(COORDINATES)
    second = data.draw(nearby(first))
    assume(first != second)
    assume(within_the_window(first, second))

    assert POINT_TIME.nanoseconds(*first) != POINT_TIME.nanoseconds(*second)


@given(COORDINATES)
def test_a_record_has_the_same_nanosecond_every_time(coordinates: Coordinates) -> None:
    share_of.cache_clear()

    assert PointTime("kafka").nanoseconds(*coordinates) == POINT_TIME.nanoseconds(*coordinates)


@given(COORDINATES)
def test_the_digits_stay_within_the_tick(coordinates: Coordinates) -> None:
    timestamp = coordinates[0]

    assert 0 <= POINT_TIME.nanoseconds(*coordinates) - timestamp.ns < timestamp.tick


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("tick", [SECOND, MILLISECOND])
def test_all_partitions_of_a_topic_have_digits_of_their_own(tick: int, index: int) -> None:
    timestamp = Timestamp(1_700_000_000 * SECOND, tick)

    times = {
        POINT_TIME.nanoseconds(timestamp, number, offset, index)
        for number in range(PARTITIONS)
        for offset in (0, 1)
    }

    assert len(times) == 2 * PARTITIONS


def test_a_topic_that_grows_keeps_the_digits_of_its_partitions() -> None:
    """They depend on the partition alone, not on how many there are."""
    timestamp = Timestamp(1_700_000_000 * SECOND, SECOND)

    assert POINT_TIME.nanoseconds(timestamp, 15, 7) - timestamp.ns == (7 * 16 + 15) * RESIDUES
    assert POINT_TIME.nanoseconds(timestamp, 16, 7) - timestamp.ns == 7 * 112 * RESIDUES + 1


@pytest.mark.parametrize(
    ("tick", "partition", "offsets"),
    [
        pytest.param(SECOND, 0, 976_562, id="second, partition 0"),
        pytest.param(SECOND, 15, 976_562, id="second, partition 15"),
        pytest.param(SECOND, 16, 139_508, id="second, partition 16"),
        pytest.param(SECOND, 128, 17_438, id="second, partition 128"),
        pytest.param(SECOND, 8191, 2_179, id="second, partition 8191"),
        pytest.param(MILLISECOND, 0, 13_671, id="ms, partition 0"),
        pytest.param(MILLISECOND, 16, 1_116, id="ms, partition 16"),
        pytest.param(MILLISECOND, 128, 69, id="ms, partition 128"),
        pytest.param(MILLISECOND, 1024, 4, id="ms, partition 1024"),
    ],
)
def test_the_window_is_as_documented(tick: int, partition: int, offsets: int) -> None:
    timestamp = Timestamp(1_700_000_000 * SECOND, tick)

    times = [POINT_TIME.nanoseconds(timestamp, partition, 7 + by) for by in (0, 1, offsets - 1, offsets)]

    assert share_of(tick, partition).window == offsets
    assert times[0] == times[3]
    assert len(set(times)) == 3


@pytest.mark.parametrize(
    ("tick", "partition"),
    [(MILLISECOND, 3), (MILLISECOND, 127), (SECOND, 3), (SECOND, 127), (SECOND, 1023), (SECOND, 8191)],
)
def test_a_whole_message_of_records_and_its_neighbour_share_no_nanosecond(
    tick: int, partition: int
) -> None:
    timestamp = Timestamp(1_700_000_000 * SECOND, tick)
    places = [(100, index) for index in range(MAX_RECORDS)] + [(101, 0), (99, 0)]

    times = {POINT_TIME.nanoseconds(timestamp, partition, offset, index) for offset, index in places}

    assert len(times) == len(places)


def test_the_classes_share_no_remainder_and_leave_none_unused() -> None:
    remainders = [
        remainder
        for shares in SHARES.values()
        for share in shares
        for remainder in range(share.start, share.start + share.width)
    ]

    assert sorted(remainders) == list(range(RESIDUES))
    assert SECOND % RESIDUES == MILLISECOND % RESIDUES == 0


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("tick", [SECOND, MILLISECOND, NANOSECOND])
def test_a_partition_without_room_costs_its_record(tick: int, index: int) -> None:
    with pytest.raises(RecordError, match="TOWER_IDENTITY") as caught:
        POINT_TIME.nanoseconds(Timestamp(1_700_000_000 * SECOND, tick), PARTITIONS, 0, index)

    assert caught.value.reason == Reason.PARTITION_TOO_HIGH


FINE = Timestamp(1_700_000_000_123_456_789, NANOSECOND)
MILLI = Timestamp(1_700_000_000_123_000_000, MILLISECOND)
WHOLE = Timestamp(1_700_000_000_000_000_000, SECOND)


@pytest.mark.parametrize(
    ("identity", "timestamp", "is_untouched"),
    [
        ("record", FINE, True),
        ("record", MILLI, True),
        ("record", WHOLE, True),
        ("auto", FINE, True),
        ("auto", MILLI, False),
        ("auto", WHOLE, False),
        ("kafka", FINE, False),
        ("kafka", MILLI, False),
        ("kafka", WHOLE, False),
    ],
)
def test_the_identity_says_whether_a_records_own_time_is_kept(
    identity: str, timestamp: Timestamp, is_untouched: bool
) -> None:
    times = {PointTime(identity).nanoseconds(timestamp, 3, offset) for offset in range(100)}

    assert times == {timestamp.ns} if is_untouched else len(times) == 100


@pytest.mark.parametrize("identity", ["record", "auto"])
def test_nanoseconds_of_the_record_need_no_room_for_its_partition(identity: str) -> None:
    assert PointTime(identity).nanoseconds(FINE, PARTITIONS, 0) == FINE.ns


@pytest.mark.parametrize("identity", ["record", "auto", "kafka"])
def test_records_with_kafkas_time_keep_apart_whatever_the_identity(identity: str) -> None:
    """Kafka's time is a millisecond that many records share, and no choice of their sender."""
    times = {PointTime(identity).nanoseconds(MILLI, 3, offset, is_own=False) for offset in range(100)}

    assert len(times) == 100
    assert all(0 <= time - MILLI.ns < MILLISECOND for time in times)


def test_a_time_cut_for_kafkas_digits_stays_in_its_millisecond() -> None:
    assert 0 <= POINT_TIME.nanoseconds(FINE, 3, 5) - MILLI.ns < MILLISECOND
