"""Chooses the time of a record: its own, or Kafka's."""

from typing import Any, NamedTuple

from workers.config.route import Route
from workers.errors import RecordError
from workers.records import timestamps
from workers.records.timestamps import MILLISECOND, SECOND, Timestamp
from workers.types import NO_TIMESTAMP, AppendTime, Message, Reason

#: Kafka's timestamp types: the producer's time, the broker's.
LOG_APPEND_TIME = 2

#: The first plausible time, and the first that is not plausible any more: 2000-01-01 and 2100-01-01. These
#: are fixed, and not a distance from the worker's clock: a record that is read again after a week must get
#: the same time. What they catch are clocks that were never set and numbers in a wrong unit.
EARLIEST_NS = 946_684_800 * SECOND
LATEST_NS = 4_102_444_800 * SECOND

#: A local time this far ahead of Kafka's was read in a wrong zone. Zones differ by 15 minutes or more, and
#: by at most 14 hours from UTC; a minute is left for a clock that is wrong.
ZONE_AHEAD_NS = 14 * 60 * SECOND
FARTHEST_ZONE_NS = (14 * 60 + 1) * 60 * SECOND


class TimeProblem(NamedTuple):
    """What can be wrong with the times of records.

    Args:
        cause: What is wrong with them and what Tower does, as a sentence without its full stop.
        remedy: What to do.
    """

    cause: str
    remedy: str


#: Problems by the names of their counters, in the order in which the C kernel counts them.
PROBLEMS = {
    "times_unreadable": TimeProblem(
        "Times of records cannot be read, so their next time field or Kafka's time is used",
        "Let the sender send RFC 3339 or seconds since 1970, or set TOWER_TIME_FORMAT",
    ),
    "times_implausible": TimeProblem(
        "Times of records are before 2000 or after 2099, so Kafka's are used", "Set the clock of the sender"
    ),
    "times_outside_window": TimeProblem(
        "Times of records are further than TOWER_TIME_WINDOW_S from Kafka's, so Kafka's are used",
        "Set TOWER_TIME_WINDOW_S=0 and read them again if they are old on purpose, or set the clock of "
        "the sender",
    ),
    "kafka_times_implausible": TimeProblem(
        "Kafka's timestamps are before 2000 or after 2099, so the records' own times are used. Records "
        "without one are dead letters",
        "Correct the producer's timestamps (milliseconds since 1970), or set "
        "message.timestamp.type=LogAppendTime on the topic",
    ),
    "local_times_ahead": TimeProblem(
        "Records have local times without a zone, hours ahead of Kafka's, and are stored ahead of the "
        "right time",
        "Set TOWER_TIME_ZONE to the zone of the sender (such as Asia/Seoul), or let it send the zone",
    ),
}


def kafka_time(message: Message) -> int | None:
    """Return Kafka's timestamp of a message in milliseconds since the epoch, None if it has none.

    Kafka's word for none is a type of its own or -1; 0 is what a client sends that never set it.
    """
    kind, milliseconds = message.timestamp()
    if kind == NO_TIMESTAMP or milliseconds <= 0:
        return None
    return AppendTime(milliseconds) if kind == LOG_APPEND_TIME else milliseconds


class RecordTimes:
    """Chooses the times of the records of one route.

    The choice depends on the record and on Kafka's timestamp alone, never on a clock.

    Args:
        route: Names and form of the time fields, and how far a time may be from Kafka's.

    Attributes:
        counts: Records by what was wrong with their times (see `PROBLEMS`).
    """

    def __init__(self, route: Route) -> None:
        self.counts = dict.fromkeys(PROBLEMS, 0)
        self._fields = route.time_fields
        self._zone = route.time_zone
        self._format = route.time_format
        self._window_ns = route.time_window_s * SECOND or LATEST_NS

    def choose(self, own: Timestamp | None, kafka_ms: int | None) -> tuple[Timestamp, bool]:
        """Choose the record's own time or Kafka's.

        Args:
            own: The record's time, if it has a plausible one.
            kafka_ms: Kafka's timestamp as `kafka_time` returns it.

        Returns:
            The time, and whether it is the record's own and not Kafka's.

        Raises:
            RecordError: Neither the record nor Kafka has a time that can be right.
        """
        if kafka_ms is None:
            if own is None:
                raise RecordError(Reason.NO_TIME, "the record has no plausible time, and Kafka has none")
            return own, True
        kafka_ns = kafka_ms * MILLISECOND
        if not EARLIEST_NS <= kafka_ns < LATEST_NS:
            self.counts["kafka_times_implausible"] += 1
            if own is not None:
                return own, True
            if not isinstance(kafka_ms, AppendTime):
                raise RecordError(
                    Reason.NO_TIME, f"the record has no plausible time, and Kafka's is {kafka_ms} ms"
                )
        elif own is not None:
            ahead_ns = own.ns - kafka_ns
            if own.is_local and ZONE_AHEAD_NS < ahead_ns <= FARTHEST_ZONE_NS:
                self.counts["local_times_ahead"] += 1
            if abs(ahead_ns) <= self._window_ns:
                return own, True
            self.counts["times_outside_window"] += 1
        return timestamps.from_milliseconds(kafka_ms), False

    def own(self, values: dict[str, Any]) -> Timestamp | None:
        """Return the first plausible time of the time fields; remove those that were read from `values`."""
        for name in self._fields:
            if name in values:
                timestamp = self.read(values.pop(name))
                if timestamp is None:
                    self.counts["times_unreadable"] += 1
                elif self.is_plausible(timestamp):
                    return timestamp
        return None

    def read(self, value: Any) -> Timestamp | None:
        """Read the value of a time field, plausible or not; None if it is no time."""
        return timestamps.parse(value, self._zone, self._format)

    def is_plausible(self, timestamp: Timestamp) -> bool:
        """Return whether a record's own time can be right; count it if not."""
        if EARLIEST_NS <= timestamp.ns < LATEST_NS:
            return True
        self.counts["times_implausible"] += 1
        return False

    def add(self, counts: tuple[int, ...]) -> None:
        """Add what the C kernel has counted."""
        for name, count in zip(PROBLEMS, counts, strict=True):
            self.counts[name] += count
