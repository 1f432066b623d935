"""Dead letters as they are stored in their topic."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.commands.clients.topic_reader import TopicReader
from workers.log import printable
from workers.types import NO_TIMESTAMP, Message

#: Bytes of a dead letter besides its record: headers and Kafka's own overhead.
OVERHEAD_BYTES = 2_048

#: Most characters of a payload that are shown.
SHOWN_CHARACTERS = 2_000

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


def from_message(message: Any) -> StoredDeadLetter | None:
    """Parse a message of the dead-letter topic; None if Tower did not write it."""
    headers = {key: (value or b"").decode("utf-8", "replace") for key, value in message.headers() or []}
    kind, kept_ms = message.timestamp()
    stamp = headers.get("tower.timestamp", "")
    try:
        return StoredDeadLetter(
            number=message.partition(),
            offset=message.offset(),
            kept_ms=kept_ms if kind != NO_TIMESTAMP else 0,
            reason=printable(headers["tower.reason"]),
            error=printable(headers.get("tower.error", "")),
            topic=printable(headers["tower.topic"]),
            partition=_whole(headers["tower.partition"]),
            record_offset=_whole(headers["tower.offset"]),
            index=_whole(headers.get("tower.index", "0")),
            timestamp_ms=_whole(stamp) if stamp else None,
            value=message.value(),
        )
    except (KeyError, ValueError):
        return None


def read(reader: TopicReader, topic: str, number: int, start: int, end: int) -> Iterator[StoredDeadLetter]:
    """Read Tower's dead letters in a range of offsets of one partition; ignores other messages."""
    message: Message
    for message in reader.read(topic, number, start, end):
        letter = from_message(message)
        if letter is not None:
            yield letter


def printable_payload(value: bytes | None) -> str:
    """Escape a payload to one printable line, because terminals obey control codes."""
    if value is None:
        return "null"
    text = value[: SHOWN_CHARACTERS + 4].decode("utf-8", "backslashreplace")[:SHOWN_CHARACTERS]
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    return escaped + (f" … ({len(value)} bytes)" if len(value) > SHOWN_CHARACTERS else "")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError("not a whole number")
    return int(text)
