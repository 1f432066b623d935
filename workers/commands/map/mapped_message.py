"""What a route makes of one message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workers.batch import Batch
from workers.commands.check import line_parser
from workers.config.route import Route
from workers.errors import RecordError
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.records.flatten import Flattener
from workers.records.rename import Rename
from workers.types import NO_TIMESTAMP, MessageOrOrigin, origin_of


@dataclass(frozen=True)
class SampleMessage:
    """A message that never was in Kafka.

    Args:
        content: Its value.
        place: Topic, partition and offset.
        milliseconds: Kafka's timestamp, None for none.
        name: Its key.
        head: Its headers.
    """

    content: bytes
    place: tuple[str, int, int]
    milliseconds: int | None = None
    name: bytes | None = None
    head: Sequence[tuple[str, bytes | None]] = ()

    def topic(self) -> str:
        """Return the topic."""
        return self.place[0]

    def partition(self) -> int:
        """Return the partition."""
        return self.place[1]

    def offset(self) -> int:
        """Return the offset."""
        return self.place[2]

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of Kafka's timestamp and its milliseconds."""
        return (NO_TIMESTAMP, -1) if self.milliseconds is None else (1, self.milliseconds)

    def value(self) -> bytes:
        """Return the value."""
        return self.content

    def key(self) -> bytes | None:
        """Return the key."""
        return self.name

    def headers(self) -> list[tuple[str, bytes | None]]:
        """Return the headers."""
        return list(self.head)

    def error(self) -> None:
        """Return no error: this message is a record."""


@dataclass(frozen=True)
class MappedRecord:
    """One record of a message, as the point or the dead letter that it becomes.

    Args:
        line: Its line, empty for a dead letter.
        reason: Why it is a dead letter; empty for a point.
        detail: Details of the reason.
        omitted: Fields that the point does not have, because their values do not fit.
        dropped: Fields that the point does not have, because the route leaves them out.
    """

    line: str = ""
    reason: str = ""
    detail: str = ""
    omitted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def map_message(route: Route, message: SampleMessage) -> list[MappedRecord]:
    """Convert a message as a worker does.

    Args:
        route: The route.
        message: The message.

    Returns:
        Its records in their order.
    """
    own_route = route.for_partition(message.topic(), message.partition())
    batch = Batch()
    converter = Converter(own_route, Encoder(own_route))
    converter.convert([message], batch)
    records = {
        origin_of(dead.origin).element: MappedRecord(reason=str(dead.reason), detail=dead.detail)
        for dead in batch.dead_letters
    }
    sent = [record for record, _ in converter.decode(message.value())] if batch.lines else []
    for line, source in zip(batch.lines, batch.origins, strict=True):
        element = _element(source)
        missing = _missing(own_route, sent[element], line)
        is_dropped = {name: _is_dropped(own_route, name) for name in missing}
        records[element] = MappedRecord(
            line.decode(),
            omitted=tuple(name for name in missing if not is_dropped[name]),
            dropped=tuple(name for name in missing if is_dropped[name]),
        )
    return [records[element] for element in sorted(records)]


def _element(source: MessageOrOrigin) -> int:
    return origin_of(source).element


def _missing(route: Route, record: Any, line: bytes) -> list[str]:
    """Return the fields of a record, by their new names, that its line does not have."""
    if not isinstance(record, dict):
        # A line of line protocol has all of its fields.
        return []
    names = Encoder(route)
    try:
        values = Rename(route.rename).apply(Flattener(route.limits).flat(record))
    except RecordError:
        return []
    used = {*route.time_fields, *names.tag_fields}
    stored = line_parser.parse(line).types
    return [name for name in values if name not in used and names.stored_name(name) not in stored]


def _is_dropped(route: Route, name: str) -> bool:
    return name in route.drop or bool(route.keep and name not in route.keep)
