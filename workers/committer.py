"""Which offsets are committed, and when."""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Protocol

from workers.batch import Batch
from workers.types import Partition

#: Seconds after which a commit is repeated that failed, and after which an offset is committed that no
#: record has moved.
SOON_S = 1.0


class Member(Protocol):
    """The part of the group's member that commits (see `workers.kafka.consumer.GroupConsumer`)."""

    @property
    def commit_failures(self) -> int:
        """Commits that failed."""

    @property
    def committed(self) -> Mapping[Partition, int]:
        """Offsets that the group has acknowledged."""

    def positions(self) -> Mapping[Partition, int]:
        """Where reading stands in each partition that may be committed."""

    def commit(self, next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        """Commit offsets."""


class Committer:
    """Commits the offset of a partition up to which every record is stored or a dead letter.

    A partition without records in hand is committed up to where reading stands. Transaction markers and
    aborted records have offsets but are no records: a lag would remain for ever, and if retention removes
    them, the committed offset would not exist any more although nothing was lost.

    Args:
        member: The group's member.
        idle_s: Seconds after which the last offsets are committed again, for lag monitors.
        clock: Monotonic seconds.
    """

    def __init__(self, member: Member, idle_s: float, clock: Callable[[], float]) -> None:
        self._member = member
        self._idle_s = idle_s
        self._clock = clock
        self._offsets: dict[Partition, int] = {}
        self._committed_at = clock()
        self._failures = 0

    def commit(self, stored: Batch, is_final: bool) -> None:
        """Commit a batch of which every record is stored or a dead letter. No other batch is in hand.

        Args:
            stored: The batch.
            is_final: Wait for Kafka's answer, and commit older offsets too, whose commit may have failed.
        """
        self._offsets |= stored.next_offsets
        self._pass_gaps(in_hand=())
        offsets = {
            partition: offset
            for partition, offset in self._offsets.items()
            if is_final or partition in stored.next_offsets
        }
        self._committed_at = self._clock()
        self._member.commit(offsets, blocking=is_final)

    def repeat(self, in_hand: Container[Partition]) -> None:
        """Commit again what is safe, if it is time to.

        Args:
            in_hand: Partitions with records that are not stored yet.
        """
        has_failed = self._member.commit_failures != self._failures
        passed_gaps = self._pass_gaps(in_hand)
        if self._clock() - self._committed_at > (SOON_S if has_failed or passed_gaps else self._idle_s):
            self._failures = self._member.commit_failures
            self._committed_at = self._clock()
            self._member.commit(self._offsets)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Commit nothing more for partitions that are given up."""
        for partition in partitions:
            self._offsets.pop(partition, None)

    def _pass_gaps(self, in_hand: Container[Partition]) -> bool:
        """Move to where reading stands. Return whether the group has not acknowledged that yet."""
        committed, is_behind = self._member.committed, False
        for partition, position in self._member.positions().items():
            if partition not in in_hand:
                self._offsets[partition] = max(position, self._offsets.get(partition, position))
                is_behind = is_behind or committed.get(partition) != self._offsets[partition]
        return is_behind
