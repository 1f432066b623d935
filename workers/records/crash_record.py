"""Which record is being converted, in a file that outlives the process.

A record that ends the worker that converts it would end the next one too, and its partition would stand for
good: a crash of C code, a call that hangs until the watchdog ends the process, no memory. So each record's
place is written before it is converted. A record at which two workers in a row ended is a dead letter.
"""

import logging
import mmap
import struct
from pathlib import Path
from typing import NamedTuple

from workers.types import Message

#: Partition and offset of the record that is being converted; an offset of -1 means none. The C kernel
#: writes these two itself.
LIVE = struct.Struct("=qq")

#: The name of a topic, after its length. Kafka allows 249 bytes.
TOPIC = struct.Struct("=H254s")

#: The record at which the worker before ended: partition, offset, and the number of workers in a row.
PREVIOUS = struct.Struct("=qqq")

#: Where these begin in the file: the live record, its topic, the previous, and its topic.
LIVE_TOPIC_AT = LIVE.size
PREVIOUS_AT = LIVE_TOPIC_AT + TOPIC.size
PREVIOUS_TOPIC_AT = PREVIOUS_AT + PREVIOUS.size
SIZE = PREVIOUS_TOPIC_AT + TOPIC.size

#: Workers in a row that have to end at a record before it is set aside.
WORKERS = 2


class Place(NamedTuple):
    """The place of a record in Kafka."""

    topic: str
    partition: int
    offset: int


class CrashRecord:
    """The record that is being converted, and the one that ended the workers before.

    The file is mapped into memory. Writing to it costs nothing, and what was written is kept if the
    process ends in any way.

    Args:
        file: The file of this worker; None for none. If it cannot be written, nothing is remembered.

    Attributes:
        memory: What the C kernel writes `LIVE` to.
        excluded: The record that must not be converted any more; None if there is none.
    """

    def __init__(self, file: Path | None) -> None:
        self.excluded: Place | None = None
        self.memory: mmap.mmap | bytearray = bytearray(SIZE)
        self._topic = ""
        self._log = logging.getLogger("tower.converter")
        previous, workers = _read(file)
        if file is not None:
            try:
                # Written and not only made larger: a write to a page without room on the disk is a SIGBUS.
                file.write_bytes(bytes(SIZE))
                with file.open("r+b") as opened:
                    self.memory = mmap.mmap(opened.fileno(), SIZE)
            except OSError as error:
                self._log.warning(
                    "%s cannot be written (%s), so a record that ends this worker is not remembered",
                    file,
                    error.strerror,
                )
        self.clear()
        if previous is not None:
            self._remember(previous, workers)

    def _remember(self, previous: Place, workers: int) -> None:
        PREVIOUS.pack_into(self.memory, PREVIOUS_AT, previous.partition, previous.offset, workers)
        _put_topic(self.memory, PREVIOUS_TOPIC_AT, previous.topic)
        if workers >= WORKERS:
            self.excluded = previous
        else:
            self._log.warning(
                "The worker before ended while it converted the record at %s[%d] offset %d. If this one "
                "ends there too, the record becomes a dead letter",
                *previous,
            )

    def begin(self, topic: str) -> None:
        """Begin with messages of a topic."""
        if topic != self._topic:
            self._topic = topic
            _put_topic(self.memory, LIVE_TOPIC_AT, topic)

    def at(self, message: Message) -> None:
        """Note a message that is converted next; the C kernel notes its own."""
        LIVE.pack_into(self.memory, 0, message.partition(), message.offset())

    def clear(self) -> None:
        """Note that no record is being converted."""
        LIVE.pack_into(self.memory, 0, -1, -1)

    def excludes(self, message: Message) -> bool:
        """Return whether a message must not be converted."""
        return self.excluded == (self._topic, message.partition(), message.offset())

    def forget(self) -> None:
        """Forget the excluded record: it is a dead letter now."""
        self.excluded = None
        PREVIOUS.pack_into(self.memory, PREVIOUS_AT, -1, -1, 0)


def _read(file: Path | None) -> tuple[Place | None, int]:
    """Return the record at which the worker before ended, and how many workers in a row did."""
    try:
        content = file.read_bytes() if file is not None else b""
    except OSError:
        return None, 0
    if len(content) != SIZE:
        return None, 0
    partition, offset = LIVE.unpack_from(content)
    if offset < 0:
        return None, 0
    live = Place(_topic_at(content, LIVE_TOPIC_AT), partition, offset)
    partition, offset, workers = PREVIOUS.unpack_from(content, PREVIOUS_AT)
    previous = Place(_topic_at(content, PREVIOUS_TOPIC_AT), partition, offset)
    return live, workers + 1 if previous == live else 1


def _put_topic(memory: mmap.mmap | bytearray, at: int, topic: str) -> None:
    name = topic.encode()
    TOPIC.pack_into(memory, at, len(name), name)


def _topic_at(content: bytes, at: int) -> str:
    size, name = TOPIC.unpack_from(content, at)
    return str(name[:size], "utf-8", "replace")
