"""Dead letters as they are stored in their topic."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.commands.clients.topic_reader import TopicReader
from workers.log import printable
from workers.message_headers import read_headers
from workers.types import NO_TIMESTAMP, Message

#: Bytes of a dead letter besides its record: headers and Kafka's own overhead.
OVERHEAD_BYTES = 2_048

#: Most characters of a payload that a list shows.
SHOWN_CHARACTERS = 2_000

#: Headers of a record that was sent back: partition and offset of its dead letter, and how many times it
#: was sent back.
REPLAYED = "tower.replayed"
REPLAYS = "tower.replays"

#: Identifies a record. Topic, partition and offset are not enough: after a topic was deleted and created
#: again, another record can have the same ones.
RecordId = tuple[str, int, int, int, int | None, int]


@dataclass(frozen=True)
class StoredDeadLetter:
    """One dead letter.

    Args:
        number: Its partition in the dead-letter topic.
        offset: Its offset there.
        kept_ms: When it was stored, milliseconds since the epoch.
        reason: One of `workers.types.Reason`, or a reason of a later version.
        error: Details of the reason.
        topic: Topic of the record.
        partition: Partition of the record.
        record_offset: Offset of the record.
        index: Place of the record in its message, from 0.
        timestamp_ms: Kafka's timestamp of the record's message, None if it had none.
        value: The record's own bytes.
        key: Key of the record's message. Tower 0.1.0 did not keep it.
        headers: Headers of the record's message, in their order. Tower 0.1.0 did not keep them.
    """

    number: int
    offset: int
    kept_ms: int
    reason: str
    error: str
    topic: str
    partition: int
    record_offset: int
    index: int
    timestamp_ms: int | None
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def replays(self) -> int:
        """How many times its record has been sent back before it became this dead letter."""
        counts = [value for name, value in self.headers if name == REPLAYS]
        text = (counts[-1] or b"").decode("ascii", "replace") if counts else ""
        return int(text) if _is_whole(text) else 0

    @property
    def place(self) -> str:
        """Where the record came from, for people: `resource[0]@17`."""
        element = f" element {self.index}" if self.index else ""
        return f"{self.topic}[{self.partition}]@{self.record_offset}{element}"

    @property
    def record_id(self) -> RecordId:
        """Equal for two dead letters of the same record: a worker that is killed may store it twice."""
        content = zlib.crc32(self.value or b"")
        return self.topic, self.partition, self.record_offset, self.index, self.timestamp_ms, content


@dataclass(frozen=True)
class UnknownMessage:
    """A message of the dead-letter topic that Tower did not write, or that somebody changed."""

    number: int
    offset: int


def from_message(message: Any) -> StoredDeadLetter | UnknownMessage:
    """Parse a message of the dead-letter topic."""
    pairs = read_headers(message).pairs
    # Tower's own come last, so that no header of a sender can pass for one.
    own = {name: (value or b"").decode("utf-8", "replace") for name, value in pairs}
    kind, kept_ms = message.timestamp()
    stamp = own.get("tower.timestamp", "")
    try:
        return StoredDeadLetter(
            number=message.partition(),
            offset=message.offset(),
            kept_ms=kept_ms if kind != NO_TIMESTAMP else 0,
            reason=printable(own["tower.reason"]),
            error=printable(own.get("tower.error", "")),
            topic=printable(own["tower.topic"]),
            partition=_whole(own["tower.partition"]),
            record_offset=_whole(own["tower.offset"]),
            index=_whole(own.get("tower.index", "0")),
            # Before 1970 it is negative, and Kafka allows that.
            timestamp_ms=_whole(stamp.removeprefix("-")) * (-1 if stamp[0] == "-" else 1)
            if stamp
            else None,
            value=message.value(),
            key=message.key(),
            headers=tuple(pairs[: _whole(own.get("tower.headers", "0"))]),
        )
    except (KeyError, ValueError):
        return UnknownMessage(message.partition(), message.offset())


def read(
    reader: TopicReader, topic: str, number: int, start: int, end: int
) -> Iterator[StoredDeadLetter | UnknownMessage]:
    """Read a range of offsets of one partition of the dead-letter topic."""
    message: Message
    for message in reader.read(topic, number, start, end):
        yield from_message(message)


def printable_payload(value: bytes | None, most: int | None = SHOWN_CHARACTERS) -> str:
    """Escape bytes to one printable line, because terminals obey control codes.

    Args:
        value: A payload, a key or a header.
        most: Most characters that are shown; None for all.
    """
    if value is None:
        return "null"
    cut = value if most is None else value[: most + 4]
    text = cut.decode("utf-8", "backslashreplace")[:most]
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    is_cut = most is not None and len(value) > most
    return escaped + (f" … ({len(value)} bytes)" if is_cut else "")


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def _whole(text: str) -> int:
    if not _is_whole(text):
        raise ValueError("not a whole number")
    return int(text)
