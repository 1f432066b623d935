"""The time of a point: its record's time, and in the digits below the record's place in Kafka.

InfluxDB keeps one point per series and nanosecond. Two records of one series with one
time would overwrite each other, and a record delivered twice would become two points if its time came from
a clock. So the digits below the source's own precision are the record's coordinates: equal for every
delivery of a record, different for different records.

The number that fills the digits of a second or a millisecond is made of the partition and the offset (with
the index in the message, for the second and later records of an array). It is written with a remainder by
`RESIDUES` that belongs to its class alone: the precision (second or millisecond), first or later record of
its message, and the band of its partition. Both ticks are multiples of `RESIDUES`, so a point of one class
never meets one of another.

The bands make room for partitions that a topic gets later, without taking it from those it has: the first
16 partitions keep their digits, and the most of the room, whatever comes after them.

Its limit: offsets repeat after `window` of them. Two records share a point only if series, time
and partition are equal and their offsets are a multiple of that apart. docs/records.md has the numbers.

A record's own nanoseconds are used untouched if TOWER_IDENTITY is `record`, or if it is `auto` and the time
has digits below the millisecond. Two records of one series and nanosecond are one point then.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from workers.errors import RecordError
from workers.records.timestamps import MILLISECOND, NANOSECOND, SECOND, Timestamp
from workers.types import MAX_RECORDS, Reason

#: Remainders that the classes share. It divides a second and a millisecond of nanoseconds.
RESIDUES = 64


class Band(NamedTuple):
    """Partitions that share the digits of their classes.

    Args:
        first: Lowest partition.
        size: Number of partitions.
        width: Remainders of one class with the precision of a millisecond. One with that of a second has
            1,000 times the room, and needs only one.
    """

    first: int
    size: int
    width: int


BANDS = (Band(0, 16, 14), Band(16, 112, 8), Band(128, 896, 4), Band(1024, 7168, 2))

#: Partitions from this one on have no digits.
PARTITIONS = BANDS[-1].first + BANDS[-1].size


class Share(NamedTuple):
    """The part of the digits that one class of records has.

    Args:
        start: The first of its remainders.
        width: Number of its remainders.
        first: Lowest partition of its band.
        size: Number of partitions of its band.
        window: Offsets of one partition until a slot is used again.
    """

    start: int
    width: int
    first: int
    size: int
    window: int


def _shares() -> dict[tuple[int, bool], tuple[Share, ...]]:
    """Return the classes of each band, by precision and by whether it is a later record of its message."""
    shares, start = {}, 0
    for tick in (SECOND, MILLISECOND):
        for is_later in (False, True):
            of_bands = []
            for first, size, width_ms in BANDS:
                width = 1 if tick == SECOND else width_ms
                window = tick // RESIDUES * width // size
                # An odd window: every message of an array begins at a multiple of MAX_RECORDS.
                window = (window - 1) | 1 if is_later else window
                of_bands.append(Share(start, width, first, size, window))
                start += width
            shares[tick, is_later] = tuple(of_bands)
    return shares


SHARES = _shares()


@lru_cache(maxsize=1024)
def share_of(tick: int, partition: int, is_later: bool = False) -> Share:
    """Return the class of a record.

    Args:
        tick: `SECOND` or `MILLISECOND`.
        partition: Number of the partition.
        is_later: Whether it is the second or a later record of its message.

    Raises:
        RecordError: There is no room for the partition.
    """
    for share in SHARES[tick, is_later]:
        if partition < share.first + share.size:
            return share
    raise RecordError(
        Reason.PARTITION_TOO_HIGH,
        f"partition {partition}: there is room for {PARTITIONS}, unless TOWER_IDENTITY is record",
    )


@dataclass(frozen=True, slots=True)
class PointTime:
    """Gives each record of a topic its nanosecond.

    Args:
        identity: kafka, record or auto (TOWER_IDENTITY).
    """

    identity: str = "auto"

    def nanoseconds(
        self,
        timestamp: Timestamp,
        partition: int,
        offset: int,
        index: int = 0,
        *,
        is_own: bool = True,
    ) -> int:
        """Return the nanoseconds since the epoch for one record's point.

        Args:
            timestamp: The record's time.
            partition: Number of the partition.
            offset: Offset of the message.
            index: Place of the record in its message, 0 unless the message holds several.
            is_own: Whether it is the record's own time, not Kafka's.

        Returns:
            The time itself, or a time within one tick from it.

        Raises:
            RecordError: There is no room for the partition, or for the index.
        """
        ns, tick, _ = timestamp
        if tick == NANOSECOND or self.identity == "record":
            if is_own and self.identity != "kafka":
                return ns
            if tick == NANOSECOND:
                tick = MILLISECOND
                ns -= ns % MILLISECOND
        if index >= MAX_RECORDS:
            raise RecordError(
                Reason.TOO_MANY_RECORDS, f"over {MAX_RECORDS} records without times of their own"
            )
        start, width, first, size, window = share_of(tick, partition, index > 0)
        place = offset * MAX_RECORDS + index if index else offset
        group, remainder = divmod(place % window * size + partition - first, width)
        return ns + group * RESIDUES + start + remainder
