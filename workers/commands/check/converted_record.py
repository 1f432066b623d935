"""One record, and what the worker's own path makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.batch import Batch
from workers.commands.check import point
from workers.config.settings import Settings
from workers.errors import RecordError
from workers.records import timestamps
from workers.records.converter import Converter
from workers.records.decoder import decode
from workers.records.encoder import Encoder
from workers.types import NO_TIMESTAMP, Message, origin_of


@dataclass(frozen=True)
class Record:
    """One record, as the point or the dead letter it would be.

    Args:
        place: Where it stands, as `resource[0]@17`.
        kafka_s: Kafka's timestamp in seconds since the epoch, None without one.
        fresh: Whether it came during the check, so that its age is its sender's clock alone.
        reason: Why it would be a dead letter; empty for a point.
        detail: More about that.
        types: Type of each field that the point has.
        left_out: Fields of the record that the point has not, as their value is none for them.
        point_s: Time of the point in seconds since the epoch.
        own_s: The record's own time, believed or not; None without one.
        unreadable: Whether it has a field for its time, and no time in it.
    """

    place: str
    kafka_s: float | None
    fresh: bool
    reason: str = ""
    detail: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    point_s: float = 0.0
    own_s: float | None = None
    unreadable: bool = False

    @property
    def is_point(self) -> bool:
        """True if it would be stored."""
        return not self.reason

    @property
    def is_by_own_time(self) -> bool:
        """True if its point has the record's own time, and not Kafka's."""
        return self.own_s == self.point_s

    @property
    def newness(self) -> tuple[bool, float]:
        """Grows with the time at which it came."""
        return self.fresh, self.kafka_s or 0.0


class Path:
    """Decoder and encoder as the workers have them.

    Args:
        settings: How records become points.
    """

    def __init__(self, settings: Settings) -> None:
        self._format = settings.format
        self._encoder = Encoder(settings)
        self._converter = Converter(settings, self._encoder)
        self._untimed = Converter(settings, Encoder(settings))
        self._names = Encoder(settings)

    def records(self, message: Message, fresh: bool) -> list[Record]:
        """The records of one message; those that are no points come last."""
        kind, milliseconds = message.timestamp()
        kafka_s = None if kind == NO_TIMESTAMP else milliseconds / 1000
        place = f"{message.topic()}[{message.partition()}]@{message.offset()}"
        batch, before = Batch(), self._encoder.values_omitted
        self._converter.convert([message], batch)
        points = _points(batch)
        missing = self._missing(message, points)
        own_times = self._own_times(message)
        # The encoder counts both: values that are none for their field, and times that are none.
        known = [names for names in missing.values() if names is not None]
        all_known = len(known) == len(points)
        has_bad_time = all_known and self._encoder.values_omitted - before > sum(map(len, known))
        return [
            Record(
                place,
                kafka_s,
                fresh,
                types=stored.types,
                left_out=missing[element] or frozenset(),
                point_s=stored.time / timestamps.SECOND,
                own_s=own_times.get(element),
                unreadable=has_bad_time and element not in own_times,
            )
            for element, stored in points.items()
        ] + [Record(place, kafka_s, fresh, dead.reason, dead.detail) for dead in batch.dead_letters]

    def _own_times(self, message: Message) -> dict[int, float]:
        """Each record's own time, by its place in the message, however far it is from Kafka's."""
        batch = Batch()
        self._untimed.convert([_Untimed(message)], batch)
        return {element: stored.time / timestamps.SECOND for element, stored in _points(batch).items()}

    def _missing(
        self, message: Message, points: Mapping[int, point.Point]
    ) -> dict[int, frozenset[str] | None]:
        """The fields of each record that its point has not, by the record's place in the message.

        None if that cannot be told: a field is left out, and its name is one that no field can have.
        """
        missing: dict[int, frozenset[str] | None] = {}
        decoded = decode(message.value(), self._format) if points else []
        for element, stored in points.items():
            record = _as_numbers(decoded[element][0])
            try:
                line = self._names.encode(record, 0, message.partition(), message.offset())
            except RecordError:
                missing[element] = None
            else:
                missing[element] = frozenset(point.parse(line).types.keys() - stored.types.keys())
        return missing


def _points(batch: Batch) -> dict[int, point.Point]:
    """The points of one message's lines, by the place of their records in it."""
    return {
        origin_of(source).element: point.parse(line)
        for line, source in zip(batch.lines, batch.origins, strict=True)
    }


class _Untimed:
    """A message without Kafka's timestamp, so that only the record's own time can be its point's."""

    def __init__(self, message: Message) -> None:
        self.topic, self.partition, self.offset = message.topic, message.partition, message.offset
        self.value, self.error = message.value, message.error

    def timestamp(self) -> tuple[int, int]:
        """Say that there is none."""
        return NO_TIMESTAMP, -1


def _as_numbers(value: Any) -> Any:
    """A record with a number for each value: a time stays the same time, anything else becomes no time."""
    if isinstance(value, dict):
        return {name: _as_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_numbers(item) for item in value]
    moment = timestamps.parse(value)
    return -1 if moment is None else moment.ns
