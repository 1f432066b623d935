"""The batch in hand: lines that are not yet written, and the offsets to commit after them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from workers.types import (
    DeadLetter,
    Message,
    MessageOrOrigin,
    Partition,
    Reason,
    message_of,
    partition_of,
)

Item = TypeVar("Item")


@dataclass(slots=True)
class Batch:
    """All records between the last commit and the next.

    Attributes:
        lines: Line protocol, one record each.
        origins: The origin of each line, in the same order (see `origin_of`).
        dead_letters: Records that cannot be stored as lines.
        next_offsets: For each partition the offset after the last message in this batch. It is committed
            once all of the batch is stored.
        records: For each partition the number of records in this batch, lines and dead letters.
        size: Bytes of the lines, including a newline each.
        dead_size: Bytes of the dead letters that never were lines.
        first_at: Monotonic seconds when the first message was consumed; None if the batch is empty.
        oldest_ms: For each partition Kafka's time of its first message in this batch, in milliseconds since
            the epoch.
    """

    lines: list[bytes] = field(default_factory=list)
    origins: list[MessageOrOrigin] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    records: Counter[Partition] = field(default_factory=Counter)
    size: int = 0
    dead_size: int = 0
    first_at: float | None = None
    oldest_ms: dict[Partition, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.next_offsets)

    def is_due(self, now: float, lines: int, size: int, age_s: float) -> bool:
        """Return whether the batch has to be written.

        Args:
            now: Monotonic seconds.
            lines: Number of lines, or of dead letters, that make it full.
            size: Bytes that make it full.
            age_s: Seconds after its first message.
        """
        if self.first_at is None:
            return False
        return self.is_full(lines, size) or now - self.first_at >= age_s

    def is_full(self, lines: int, size: int) -> bool:
        """Return whether the batch has as many lines or dead letters, or as many bytes."""
        return max(len(self.lines), len(self.dead_letters)) >= lines or self.size + self.dead_size >= size

    def note_oldest(self, messages: Iterable[Message]) -> None:
        """Take over Kafka's time of the first message of each partition that is new in this batch.

        Args:
            messages: Messages that were just added, in order within each partition.
        """
        missing = self.next_offsets.keys() - self.oldest_ms.keys()
        # Ends at the first message if the worker has one partition, and is skipped in the rest of a batch.
        for message in messages if missing else ():
            partition = partition_of(message)
            if partition in missing:
                self.oldest_ms[partition] = message.timestamp()[1]
                missing.remove(partition)
                if not missing:
                    return

    def drop(self, partitions: set[Partition]) -> None:
        """Remove all records of some partitions. The next owner reads them again."""
        if not partitions & self.next_offsets.keys():
            return
        messages = enumerate(map(message_of, self.origins))
        self._remove([position for position, message in messages if partition_of(message) in partitions])
        self.dead_letters = [
            dead_letter
            for dead_letter in self.dead_letters
            if partition_of(dead_letter.origin.message) not in partitions
        ]
        for partition in partitions:
            self.next_offsets.pop(partition, None)
            self.records.pop(partition, None)
            self.oldest_ms.pop(partition, None)

    def remove_dead_letters(self) -> None:
        """Remove the lines that InfluxDB rejected and that are dead letters now."""
        rejected = [
            dead_letter.origin
            for dead_letter in self.dead_letters
            if dead_letter.reason in {Reason.REFUSED, Reason.TYPE_CONFLICT}
        ]
        if not rejected:
            return
        # A line's source is the origin itself, or the message of which it is the only record.
        sources = set(map(id, rejected)) | {id(origin.message) for origin in rejected if not origin.element}
        self._remove([position for position, key in enumerate(map(id, self.origins)) if key in sources])

    def _remove(self, positions: Sequence[int]) -> None:
        """Remove the lines at ascending positions."""
        self.size -= sum(len(self.lines[position]) + 1 for position in positions)
        self.lines, self.origins = without(self.lines, positions), without(self.origins, positions)

    def dead_by_partition(self) -> Counter[Partition]:
        """Return the number of dead letters by partition."""
        return Counter(partition_of(dead_letter.origin.message) for dead_letter in self.dead_letters)


def without(items: list[Item], positions: Sequence[int]) -> list[Item]:
    """Return the items but those at ascending positions.

    Slices between them, because a few bad lines must not cost a look at each of the thousands of good ones.
    """
    kept: list[Item] = []
    start = 0
    for position in positions:
        kept += items[start:position]
        start = position + 1
    return kept + items[start:]
