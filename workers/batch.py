"""The batch in hand: lines that are not yet written, and the offsets they reach up to."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from workers.types import DeadLetter, MessageOrOrigin, Origin, Partition, Reason, origin_of, partition_of


@dataclass(slots=True)
class Batch:
    """Everything between the last commit and the next.

    Attributes:
        lines: Line protocol, one record each.
        origins: Where each line came from, in the same order (`origin_of` gives it in full).
        dead_letters: Records that are no lines.
        next_offsets: For each partition the offset after the last message in this batch. It is committed
            once all of the batch is stored.
        records: For each partition the number of records in this batch, lines and dead letters.
        size: Bytes of the lines, with a newline each.
        dead_size: Bytes of the records among the dead letters that are no lines.
        first_at: Monotonic seconds at which the first message came in, None while empty.
    """

    lines: list[bytes] = field(default_factory=list)
    origins: list[MessageOrOrigin] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    next_offsets: dict[Partition, int] = field(default_factory=dict)
    records: Counter[Partition] = field(default_factory=Counter)
    size: int = 0
    dead_size: int = 0
    first_at: float | None = None

    def __bool__(self) -> bool:
        return bool(self.next_offsets)

    def is_due(self, now: float, lines: int, size: int, age_s: float) -> bool:
        """True where the batch is full, by lines or bytes, or old enough to be written."""
        if self.first_at is None:
            return False
        full = max(len(self.lines), len(self.dead_letters)) >= lines or self.size + self.dead_size >= size
        return full or now - self.first_at >= age_s

    def drop(self, partitions: set[Partition]) -> None:
        """Forget all records of some partitions: uncommitted, they are read again by the next owner."""
        if not partitions & self.next_offsets.keys():
            return
        self._keep(lambda origin: partition_of(origin.message) not in partitions)
        self.dead_letters = [
            letter for letter in self.dead_letters if partition_of(letter.origin.message) not in partitions
        ]
        for partition in partitions:
            self.next_offsets.pop(partition, None)
            self.records.pop(partition, None)

    def take_out_dead_letters(self) -> None:
        """Remove the lines that are among the dead letters."""
        dead = {_record_of(each.origin) for each in self.dead_letters if each.reason == Reason.REFUSED}
        if dead:
            self._keep(lambda origin: _record_of(origin) not in dead)

    def _keep(self, wanted: Callable[[Origin], bool]) -> None:
        kept = [each for each in zip(self.lines, self.origins, strict=True) if wanted(origin_of(each[1]))]
        self.lines = [line for line, _ in kept]
        self.origins = [origin for _, origin in kept]
        self.size = sum(map(len, self.lines)) + len(self.lines)

    def dead_by_partition(self) -> Counter[Partition]:
        """Number of dead letters by partition."""
        return Counter(partition_of(letter.origin.message) for letter in self.dead_letters)


def _record_of(origin: Origin) -> tuple[int, int]:
    """What tells records in hand apart."""
    return id(origin.message), origin.element
