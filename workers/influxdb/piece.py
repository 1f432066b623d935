"""Lines that are written in one request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from workers.batch import Batch, without
from workers.types import MessageOrOrigin, message_of, partition_of


def do_nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines that are written together, and their origins.

    Two lists, because a pair for each line would cost more than all the other work on a request.

    Attributes:
        lines: Line protocol.
        origins: The origin of each line, in the same order.
        on_stored: Called if InfluxDB has stored the piece, or a part of it.
        bucket: Where they go; empty for the bucket of the settings.
    """

    lines: list[bytes]
    origins: list[MessageOrOrigin]
    on_stored: Callable[[], None] = do_nothing
    bucket: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> "Piece":
        """Return the lines from `start` to before `stop`."""
        return Piece(self.lines[start:stop], self.origins[start:stop], self.on_stored, self.bucket)

    def only(self, positions: Iterable[int]) -> "Piece":
        """Return the lines at these positions."""
        positions = list(positions)
        return Piece(
            [self.lines[position] for position in positions],
            [self.origins[position] for position in positions],
            self.on_stored,
            self.bucket,
        )

    def by_bucket(self, bucket_of: Callable[[str], str]) -> "list[Piece]":
        """Return the lines of each bucket, in their order.

        Args:
            bucket_of: Returns the bucket of a topic.
        """
        topics = [message_of(origin).topic() for origin in self.origins]
        buckets = {topic: bucket_of(topic) for topic in dict.fromkeys(topics)}
        positions: dict[str, list[int]] = {bucket: [] for bucket in buckets.values()}
        for position, topic in enumerate(topics):
            positions[buckets[topic]].append(position)
        return [replace(self.only(chosen), bucket=bucket) for bucket, chosen in positions.items()]

    def divided(self, positions: Iterable[int]) -> tuple["Piece", "Piece"]:
        """Return the lines at these positions, and the others."""
        chosen = sorted(set(positions))
        others = replace(self, lines=without(self.lines, chosen), origins=without(self.origins, chosen))
        return self.only(chosen), others

    def joined(self, other: "Piece") -> "Piece":
        """Return the lines of both, which go to the same bucket."""
        return replace(self, lines=self.lines + other.lines, origins=self.origins + other.origins)

    def halves(self) -> list["Piece"]:
        """Return the second half and the first, as a stack needs them."""
        middle = len(self) // 2
        return [self.part(middle, len(self)), self.part(0, middle)]

    def owned(self, batch: Batch) -> "Piece":
        """Return the lines whose partitions are still in the batch."""
        return self.only(
            position
            for position, message in enumerate(map(message_of, self.origins))
            if partition_of(message) in batch.next_offsets
        )


@dataclass(slots=True)
class Sorted:
    """The lines of a piece, sorted by what InfluxDB has said about lines like them.

    Attributes:
        ready: Lines to store.
        ask: Lines that InfluxDB may reject, in pieces to send on their own.
        rejected: Origins of lines that InfluxDB certainly rejects, each with the reason.
    """

    ready: Piece
    ask: list[Piece] = field(default_factory=list)
    rejected: list[tuple[MessageOrOrigin, str]] = field(default_factory=list)
