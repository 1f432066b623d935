"""The progress of replaying dead letters, stored as the committed offset of a separate group."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from workers.commands.clients.topic_reader import TopicReader
from workers.config.settings import Settings

#: Lock file of the commands that change dead letters or their progress.
LOCK = "dlq-replay.lock"

#: Most bytes of `metadata` before a batch is sent: Kafka allows 4,096, and a batch may add some.
METADATA_BYTES = 2_800


@dataclass
class ReplayProgress:
    """Which dead letters of one partition have been replayed.

    A committed offset means "all before this one". But dead letters can also be replayed by reason, and one
    that failed or that Kafka rejected can have replayed ones after it. These are in the metadata of the
    commit, which may have up to 4,096 bytes.

    Args:
        offset: All dead letters before it are replayed, except `rejected`.
        reasons: By reason, an offset before which all dead letters of that reason are replayed.
        ahead: Offsets after that which are replayed too.
        rejected: Offsets before that which are not replayed: Kafka rejected them, or they were left out.
    """

    offset: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    ahead: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)

    def covers(self, offset: int, reason: str) -> bool:
        """Whether the dead letter at that offset has been replayed."""
        if offset in self.rejected:
            return False
        return offset < self.offset or offset < self.reasons.get(reason, 0) or offset in self.ahead

    def advance(
        self,
        next_offset: int,
        reason: str | None,
        *,
        sent: Iterable[int] = (),
        rejected: Iterable[int] = (),
        passed: Iterable[int] = (),
    ) -> None:
        """Note that all dead letters before `next_offset` are replayed, or all of one reason.

        Args:
            next_offset: The offset to continue at.
            reason: None for all reasons.
            sent: Offsets that have been replayed, also those after `next_offset`.
            rejected: Offsets that Kafka rejected. They do not delay the others.
            passed: Offsets of that reason before `next_offset` that were replayed earlier.
        """
        if reason is None:
            self.offset = max(self.offset, next_offset)
        else:
            self.reasons[reason] = max(self.reasons.get(reason, 0), next_offset)
        self.reasons = {name: end for name, end in self.reasons.items() if end > self.offset}
        self.rejected = (self.rejected - set(sent)) | set(rejected)
        ahead = self.ahead - {offset for offset in passed if offset < next_offset}
        ahead |= {offset for offset in sent if offset >= next_offset}
        self.ahead = {offset for offset in ahead if offset >= self.offset}

    def forget(self, start: int) -> None:
        """Forget dead letters before `start`, which Kafka no longer has."""
        self.rejected = {offset for offset in self.rejected if offset >= start}

    def metadata(self) -> str:
        """Encode everything but the offset as text; empty if there is nothing else."""
        parts = {
            "reasons": self.reasons,
            "beyond": _as_ranges(self.ahead),
            "holes": _as_ranges(self.rejected),
        }
        present = {name: part for name, part in parts.items() if part}
        return json.dumps(present, separators=(",", ":")) if present else ""

    @classmethod
    def parse(cls, offset: int, metadata: str) -> "ReplayProgress":
        """Parse a commit. Metadata that Tower did not write is ignored, the offset is used."""
        offset = max(0, offset)
        try:
            content = json.loads(metadata or "{}")
            reasons = {str(name): int(end) for name, end in content.get("reasons", {}).items()}
            ahead = set(_from_ranges(content.get("beyond", ())))
            rejected = set(_from_ranges(content.get("holes", ())))
        except (ValueError, TypeError, AttributeError):
            return cls(offset)
        return cls(offset, reasons, ahead, rejected)


def replay_group(settings: Settings) -> str:
    """Return the name of the group whose offsets store the progress of the replay."""
    return f"{settings.group}-dlq-replay"


def read_progress(reader: TopicReader, topic: str, number: int) -> tuple[ReplayProgress, bool]:
    """Read one partition's progress, and whether it was ever committed."""
    offset, metadata = reader.committed(topic, number)
    return ReplayProgress.parse(offset, metadata), offset >= 0


def _as_ranges(offsets: Iterable[int]) -> list[int | list[int]]:
    """Encode offsets: `[3, [7, 9]]` is 3, 7, 8 and 9."""
    ranges: list[int | list[int]] = []
    for _, group in groupby(enumerate(sorted(offsets)), key=lambda pair: pair[1] - pair[0]):
        run = [offset for _, offset in group]
        ranges.append(run[0] if len(run) == 1 else [run[0], run[-1]])
    return ranges


def _from_ranges(ranges: Iterable[Any]) -> Iterator[int]:
    """Decode what `_as_ranges` has encoded."""
    for item in ranges:
        if isinstance(item, list):
            first, last = item
            yield from range(int(first), int(last) + 1)
        else:
            yield int(item)
