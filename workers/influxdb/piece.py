"""Lines that are written in one request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from workers.batch import Batch
from workers.types import MessageOrOrigin, origin_of, partition_of


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines that are written together, and their origins.

    Two lists, because a pair for each line would cost more than all the other work on a request.

    Attributes:
        lines: Line protocol.
        origins: The origin of each line, in the same order.
        on_stored: Called if InfluxDB has stored the piece, or a part of it.
    """

    lines: list[bytes]
    origins: list[MessageOrOrigin]
    on_stored: Callable[[], None] = _nothing

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> "Piece":
        """Return the lines from `start` to before `stop`."""
        return Piece(self.lines[start:stop], self.origins[start:stop], self.on_stored)

    def only(self, positions: Iterable[int]) -> "Piece":
        """Return the lines at these positions."""
        positions = list(positions)
        return Piece(
            [self.lines[position] for position in positions],
            [self.origins[position] for position in positions],
            self.on_stored,
        )

    def divided(self, positions: Iterable[int]) -> tuple["Piece", "Piece"]:
        """Return the lines at these positions, and the others."""
        chosen = set(positions)
        others = (position for position in range(len(self)) if position not in chosen)
        return self.only(sorted(chosen)), self.only(others)

    def halves(self) -> list["Piece"]:
        """Return the second half and the first, as a stack needs them."""
        middle = len(self) // 2
        return [self.part(middle, len(self)), self.part(0, middle)]

    def owned(self, batch: Batch) -> "Piece":
        """Return the lines whose partitions are still in the batch."""
        return self.only(
            position
            for position, origin in enumerate(map(origin_of, self.origins))
            if partition_of(origin.message) in batch.next_offsets
        )
