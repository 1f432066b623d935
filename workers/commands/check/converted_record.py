"""A record of the topic, converted as the workers do it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.batch import Batch
from workers.commands.check import line_parser
from workers.config.settings import Settings
from workers.errors import RecordError
from workers.records import timestamps
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.records.line_protocol import Line
from workers.records.record_time import EARLIEST_NS, kafka_time
from workers.records.timestamps import Timestamp
from workers.types import Message, Unreadable, origin_of

#: A timestamp of Kafka's that is plausible: a record without a time needs one to become a line.
SOME_MS = EARLIEST_NS // timestamps.MILLISECOND


@dataclass(frozen=True)
class Record:
    """One record, as the point or the dead letter that it would become.

    Args:
        place: Topic, partition and offset: `resource[0]@17`.
        kafka_s: Kafka's timestamp in seconds since the epoch, None if it has none.
        fresh: Whether it came during the check. Then its age shows only its sender's clock.
        reason: Why it would become a dead letter; empty for a point.
        detail: Details of the reason.
        measurement: The point's measurement; empty for that of the route.
        types: Type of each field of the point.
        omitted: Fields of the record that the point does not have, because their values are not valid.
        point_s: Time of the point in seconds since the epoch.
        own_s: The record's own time, used or not; None if it has none.
        is_local: Whether its own time is a local one, without a zone.
        unreadable: Whether its time field holds no time.
    """

    place: str
    kafka_s: float | None
    fresh: bool
    reason: str = ""
    detail: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    omitted: frozenset[str] = frozenset()
    point_s: float = 0.0
    own_s: float | None = None
    is_local: bool = False
    measurement: str = ""
    unreadable: bool = False

    @property
    def is_point(self) -> bool:
        """Whether it would become a point."""
        return not self.reason

    @property
    def is_by_own_time(self) -> bool:
        """Whether its point has the record's own time, not Kafka's."""
        return self.own_s == self.point_s

    @property
    def newness(self) -> tuple[bool, float]:
        """Sort key: larger for records that came later."""
        return self.fresh, self.kafka_s or 0.0


class SampleConverter:
    """Converts records with the workers' own decoder and encoder.

    Args:
        settings: The workers' settings.
    """

    def __init__(self, settings: Settings) -> None:
        route = settings.route
        self._time_fields = route.time_fields
        self._converter = Converter(route, Encoder(route))
        self._names = Encoder(route)

    def records(self, message: Message, fresh: bool) -> list[Record]:
        """Convert the records of one message; dead letters come last."""
        kafka_ms = kafka_time(message)
        kafka_s = None if kafka_ms is None else kafka_ms / 1000
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        batch = Batch()
        self._converter.convert([message], batch)
        points = _points(batch)
        decoded = self._converter.decode(message.value()) if points else []
        records = []
        for element, stored in points.items():
            own, unreadable = self._own_time(decoded[element][0])
            is_own = own is not None and self._is_used(own, kafka_ms)
            point_s = stored.time / timestamps.SECOND
            records.append(
                Record(
                    place,
                    kafka_s,
                    fresh,
                    measurement=stored.measurement,
                    types=stored.types,
                    omitted=self._missing(decoded[element][0], stored),
                    point_s=point_s,
                    own_s=None if own is None else point_s if is_own else own.ns / timestamps.SECOND,
                    is_local=own is not None and own.is_local,
                    unreadable=unreadable,
                )
            )
        return records + [
            Record(place, kafka_s, fresh, dead.reason, dead.detail) for dead in batch.dead_letters
        ]

    def _own_time(self, record: Any) -> tuple[Timestamp | None, bool]:
        """Find the time that a record has, plausible or not, and whether it has one that is no time."""
        if isinstance(record, Line):
            time = record.time
            if isinstance(time, Unreadable):
                return None, True
            return Timestamp(time, timestamps.NANOSECOND) if isinstance(time, int) else time, False
        values = self._names.renamed(record)
        fields = [values[name] for name in self._time_fields if name in values]
        times = [timestamp for value in fields if (timestamp := self._names.times.read(value)) is not None]
        plausible = [timestamp for timestamp in times if self._names.times.is_plausible(timestamp)]
        return next(iter([*plausible, *times]), None), bool(fields) and not times

    def _is_used(self, own: Timestamp, kafka_ms: int | None) -> bool:
        times = self._names.times
        return times.is_plausible(own) and times.choose(own, kafka_ms)[1]

    def _missing(self, record: Any, stored: line_parser.Point) -> frozenset[str]:
        """Find the fields of a record that its point does not have.

        None are found if the name of an omitted field is not a valid one.
        """
        if isinstance(record, Line):
            # InfluxDB gets all of its fields.
            return frozenset()
        try:
            line = self._names.encode(self._as_numbers(record), SOME_MS, 0, 0)
        except RecordError:
            return frozenset()
        return frozenset(line_parser.parse(line).types.keys() - stored.types.keys())

    def _as_numbers(self, value: Any) -> Any:
        """Replace each value of a record by a number: a time by itself, others by an invalid time."""
        if isinstance(value, dict):
            return {name: self._as_numbers(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._as_numbers(item) for item in value]
        timestamp = self._names.times.read(value)
        return -1 if timestamp is None else timestamp.ns


def _points(batch: Batch) -> dict[int, line_parser.Point]:
    """Parse the points of one message, by the place of their records in it."""
    return {
        origin_of(source).element: line_parser.parse(line)
        for line, source in zip(batch.lines, batch.origins, strict=True)
    }
