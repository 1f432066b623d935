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
from workers.types import NO_TIMESTAMP, Message, origin_of


@dataclass(frozen=True)
class Record:
    """One record, as the point or the dead letter that it would become.

    Args:
        place: Topic, partition and offset: `resource[0]@17`.
        kafka_s: Kafka's timestamp in seconds since the epoch, None if it has none.
        fresh: Whether it came during the check. Then its age shows only its sender's clock.
        reason: Why it would become a dead letter; empty for a point.
        detail: Details of the reason.
        types: Type of each field of the point.
        omitted: Fields of the record that the point does not have, because their values are not valid.
        point_s: Time of the point in seconds since the epoch.
        own_s: The record's own time, used or not; None if it has none.
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
        self._encoder = Encoder(route)
        self._converter = Converter(route, self._encoder)
        self._untimed = Converter(route, Encoder(route))
        self._names = Encoder(route)

    def records(self, message: Message, fresh: bool) -> list[Record]:
        """Convert the records of one message; dead letters come last."""
        kind, milliseconds = message.timestamp()
        kafka_s = None if kind == NO_TIMESTAMP else milliseconds / 1000
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        batch, before = Batch(), self._encoder.values_omitted
        self._converter.convert([message], batch)
        points = _points(batch)
        missing = self._missing(message, points)
        own_times = self._own_times(message)
        # The encoder counts invalid values and invalid times together.
        missing_names = [names for names in missing.values() if names is not None]
        all_known = len(missing_names) == len(points)
        has_bad_time = all_known and self._encoder.values_omitted - before > sum(map(len, missing_names))
        return [
            Record(
                place,
                kafka_s,
                fresh,
                types=stored.types,
                omitted=missing[element] or frozenset(),
                point_s=stored.time / timestamps.SECOND,
                own_s=own_times.get(element),
                unreadable=has_bad_time and element not in own_times,
            )
            for element, stored in points.items()
        ] + [Record(place, kafka_s, fresh, dead.reason, dead.detail) for dead in batch.dead_letters]

    def _own_times(self, message: Message) -> dict[int, float]:
        """Read each record's own time, by its place in the message, even if it is far from Kafka's."""
        batch = Batch()
        self._untimed.convert([_Untimed(message)], batch)
        return {element: stored.time / timestamps.SECOND for element, stored in _points(batch).items()}

    def _missing(
        self, message: Message, points: Mapping[int, line_parser.Point]
    ) -> dict[int, frozenset[str] | None]:
        """Find the fields of each record that its point does not have, by its place in the message.

        None if that is unknown, because the name of an omitted field is not a valid one.
        """
        missing: dict[int, frozenset[str] | None] = {}
        decoded = self._converter.decode(message.value()) if points else []
        for element, stored in points.items():
            if not isinstance(decoded[element][0], dict):
                # A line of line protocol: InfluxDB gets all of its fields.
                missing[element] = frozenset()
                continue
            record = _as_numbers(decoded[element][0])
            try:
                line = self._names.encode(record, 0, message.partition(), message.offset())
            except RecordError:
                missing[element] = None
            else:
                missing[element] = frozenset(line_parser.parse(line).types.keys() - stored.types.keys())
        return missing


def _points(batch: Batch) -> dict[int, line_parser.Point]:
    """Parse the points of one message, by the place of their records in it."""
    return {
        origin_of(source).element: line_parser.parse(line)
        for line, source in zip(batch.lines, batch.origins, strict=True)
    }


class _Untimed:
    """A message without Kafka's timestamp, so that the point can only get the record's own time."""

    def __init__(self, message: Message) -> None:
        self.topic, self.partition, self.offset = message.topic, message.partition, message.offset
        self.value, self.error = message.value, message.error
        self.key, self.headers = message.key, message.headers

    def timestamp(self) -> tuple[int, int]:
        """Return that there is none."""
        return NO_TIMESTAMP, -1


def _as_numbers(value: Any) -> Any:
    """Replace each value of a record by a number: a time by itself, others by an invalid time."""
    if isinstance(value, dict):
        return {name: _as_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_numbers(item) for item in value]
    timestamp = timestamps.parse(value)
    return -1 if timestamp is None else timestamp.ns
