"""The time of a point: its record's time, and in the digits below the record's place in Kafka.

InfluxDB keeps one point per series and nanosecond. Two records of one series with one
time would overwrite each other, and a record delivered twice would become two points if its time came from
a clock. So the digits below the source's own precision are the record's coordinates: equal for every
delivery of a record, different for different records.

The digits of a slot, from the last one: the class (is the source precise to the second or to the
millisecond; is this the first record of its message or a further one of an array), the partition, the
offset (with the place in the array, for further records). Both ticks are multiples of the number of
classes, so a point of one class never meets one of another.

Its limit: offsets repeat after `window` of them. Two records share a point only if series, time
and partition are equal and their offsets are that far apart: with 16 partitions 15,625,000 offsets
within one second, or 15,625 within one millisecond (for further records of arrays a 1,024th of that, less
one).
"""

from dataclasses import dataclass

from workers.records.timestamps import SECOND, Timestamp
from workers.types import MAX_RECORDS

#: Seconds or milliseconds, times first record of a message or a further one.
CLASSES = 4


@dataclass(frozen=True, slots=True)
class PointTime:
    """Gives each record of a topic its own nanosecond.

    Args:
        partitions: Number of partitions it has room for. It determines the digits: after a change,
            records that are read again become other points.
    """

    partitions: int

    def window(self, tick: int) -> int:
        """Offsets of one partition until a slot within `tick` nanoseconds is used again."""
        return tick // (CLASSES * self.partitions)

    def nanoseconds(self, timestamp: Timestamp, partition: int, offset: int, index: int = 0) -> int:
        """Nanoseconds since the epoch for one record's point.

        Args:
            timestamp: The record's time, a multiple of its tick.
            partition: Number of the partition, below `partitions`.
            offset: Offset of the message.
            index: Place of the record in its message, 0 unless the message is an array.

        Returns:
            A time within one tick after `timestamp.ns`.
        """
        class_ = (0 if timestamp.tick == SECOND else 1) + (2 if index else 0)
        place = offset * MAX_RECORDS + index if index else offset
        slot = (place % self.window(timestamp.tick) * self.partitions + partition) * CLASSES + class_
        return timestamp.ns + slot
