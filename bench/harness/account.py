"""Produced records compared with stored points, by sequence number."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

#: More points of one record are counted as this many.
MAX_COUNTED = 255


@dataclass(frozen=True)
class Account:
    """Produced records and stored points of one bucket.

    Attributes:
        produced: Records that should be stored.
        points: Points in the bucket.
        stored: Records with at least one point.
        lost: Records without a point.
        duplicated: Points beyond the first of a record.
        unknown: Points of no record that was produced.
        partitions: Stored records by partition.
    """

    produced: int
    points: int
    stored: int
    lost: int
    duplicated: int
    unknown: int
    partitions: dict[int, int] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every record is stored exactly once, and nothing else is."""
        return not (self.lost or self.duplicated or self.unknown)


def count_points(
    sequences: Iterable[int], produced: int, partitions: int, is_bad: Callable[[int], bool] | None = None
) -> Account:
    """Count the points of each record.

    Args:
        sequences: `seq` of every point.
        produced: Number of records; their `seq` begins at 0.
        partitions: Number of partitions; record n is in partition n modulo this.
        is_bad: Whether a record cannot become a point; None: no record is bad.
    """
    times = bytearray(produced)
    points = unknown = duplicated = 0
    for seq in sequences:
        points += 1
        if not 0 <= seq < produced:
            unknown += 1
            continue
        seen = times[seq]
        if seen:
            duplicated += 1
        if seen < MAX_COUNTED:
            times[seq] = seen + 1
    wrong = {seq for seq in range(produced) if is_bad(seq)} if is_bad is not None else set()
    for seq in wrong:
        if times[seq]:
            unknown += times[seq]
            times[seq] = 0
    stored = produced - times.count(0)
    return Account(
        produced=produced - len(wrong),
        points=points,
        stored=stored,
        lost=produced - len(wrong) - stored,
        duplicated=duplicated,
        unknown=unknown,
        partitions={
            number: len(part) - part.count(0)
            for number in range(partitions)
            for part in [times[number::partitions]]
        },
    )
