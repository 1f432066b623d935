"""The progress of replaying dead letters, stored as the committed offset of a separate group."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


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
        rejected: Offsets before that which are not replayed, because Kafka rejected them.
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
            "beyond": sorted(self.ahead),
            "holes": sorted(self.rejected),
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
            ahead = {int(offset) for offset in content.get("beyond", ())}
            rejected = {int(offset) for offset in content.get("holes", ())}
        except (ValueError, TypeError, AttributeError):
            return cls(offset)
        return cls(offset, reasons, ahead, rejected)
