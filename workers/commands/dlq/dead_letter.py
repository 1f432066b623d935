"""Dead letters as they stand in their topic: read, shown, sent back."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workers.commands.clients.topic_reader import TopicReader
from workers.log import printable
from workers.types import NO_TIMESTAMP, Message

#: Bytes of a dead letter besides its record: headers, and what Kafka puts around both.
BESIDES_BYTES = 2_048

#: Characters of a payload that are shown.
SHOWN = 2_000

#: What tells the same record from another one with the same coordinates, as after a topic was made anew.
Identity = tuple[str, int, int, int, int | None, int]


@dataclass(frozen=True)
class Letter:
    """One dead letter.

    Args:
        number: Partition of the dead-letter topic it stands in.
        offset: Its offset there.
        kept_ms: When it was kept, milliseconds since the epoch.
        reason: One of `workers.types.Reason`, or what a later version calls it.
        error: More about it.
        topic: Topic it came from; `partition`, `origin` (offset) and `index` say where it stood.
        timestamp_ms: Kafka's timestamp of the original, None where it had none.
        value: The record's own bytes.
    """

    number: int
    offset: int
    kept_ms: int
    reason: str
    error: str
    topic: str
    partition: int
    origin: int
    index: int
    timestamp_ms: int | None
    value: bytes | None

    @property
    def place(self) -> str:
        """Where the record came from, for people."""
        element = f" element {self.index}" if self.index else ""
        return f"{self.topic}[{self.partition}]@{self.origin}{element}"

    @property
    def identity(self) -> Identity:
        """Equal for two letters about the same record: a worker that was killed may have kept it twice."""
        content = zlib.crc32(self.value or b"")
        return self.topic, self.partition, self.origin, self.index, self.timestamp_ms, content


def from_message(message: Any) -> Letter | None:
    """The letter in a message of the dead-letter topic; None where Tower did not write it."""
    headers = {key: (value or b"").decode("utf-8", "replace") for key, value in message.headers() or []}
    kind, kept_ms = message.timestamp()
    stamp = headers.get("tower.timestamp", "")
    try:
        return Letter(
            number=message.partition(),
            offset=message.offset(),
            kept_ms=kept_ms if kind != NO_TIMESTAMP else 0,
            reason=printable(headers["tower.reason"]),
            error=printable(headers.get("tower.error", "")),
            topic=printable(headers["tower.topic"]),
            partition=_whole(headers["tower.partition"]),
            origin=_whole(headers["tower.offset"]),
            index=_whole(headers.get("tower.index", "0")),
            timestamp_ms=_whole(stamp) if stamp else None,
            value=message.value(),
        )
    except (KeyError, ValueError):
        return None


def read(reader: TopicReader, topic: str, number: int, start: int, end: int) -> Iterator[Letter]:
    """Tower's letters in a range of one partition, in order; other messages are passed over."""
    message: Message
    for message in reader.read(topic, number, start, end):
        letter = from_message(message)
        if letter is not None:
            yield letter


def shown(value: bytes | None) -> str:
    """A payload as one line of printable text: it is a stranger's, and a terminal obeys what it prints."""
    if value is None:
        return "null"
    text = value[: SHOWN + 4].decode("utf-8", "backslashreplace")[:SHOWN]
    escaped = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    return escaped + (f" … ({len(value)} bytes)" if len(value) > SHOWN else "")


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ValueError("no whole number")
    return int(text)
