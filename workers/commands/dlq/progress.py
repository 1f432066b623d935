"""How far the dead letters have been replayed, kept as the committed offset of a group of its own."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Mark:
    """Which letters of one partition have been replayed.

    A committed offset says "all before this one". Letters can be replayed by reason too, one that failed
    can have replayed ones behind it, and one that Kafka refuses is left behind; these stand in the
    metadata of the commit, which brokers take up to 4,096 bytes.

    Args:
        offset: All letters before it, but for holes.
        reasons: By reason, an offset before which all letters of that reason are.
        beyond: Single letters further on.
        holes: Single letters before one of the offsets that are not replayed.
    """

    offset: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    beyond: set[int] = field(default_factory=set)
    holes: set[int] = field(default_factory=set)

    def covers(self, offset: int, reason: str) -> bool:
        """Whether that letter has been replayed."""
        if offset in self.holes:
            return False
        return offset < self.offset or offset < self.reasons.get(reason, 0) or offset in self.beyond

    def advance(
        self,
        upto: int,
        reason: str | None,
        *,
        sent: Iterable[int] = (),
        refused: Iterable[int] = (),
        passed: Iterable[int] = (),
    ) -> None:
        """All letters before `upto` are replayed, or all of one reason.

        Args:
            upto: The next offset to look at.
            reason: None for all reasons.
            sent: Letters that have been replayed, also those behind `upto`.
            refused: Letters that were not, and that shall not hold up the others.
            passed: Letters of that reason that had been replayed beyond, met on the way to `upto`.
        """
        if reason is None:
            self.offset = max(self.offset, upto)
        else:
            self.reasons[reason] = max(self.reasons.get(reason, 0), upto)
        self.reasons = {name: end for name, end in self.reasons.items() if end > self.offset}
        self.holes = (self.holes - set(sent)) | set(refused)
        ahead = {each for each in sent if each >= upto}
        behind = {each for each in passed if each < upto}
        self.beyond = {each for each in (self.beyond - behind) | ahead if each >= self.offset}

    def forget(self, start: int) -> None:
        """Letters before `start` are gone from Kafka."""
        self.holes = {each for each in self.holes if each >= start}

    def metadata(self) -> str:
        """What does not fit in the offset, as text; empty where all does."""
        parts = {
            "reasons": self.reasons,
            "beyond": sorted(self.beyond),
            "holes": sorted(self.holes),
        }
        kept = {name: part for name, part in parts.items() if part}
        return json.dumps(kept, separators=(",", ":")) if kept else ""

    @classmethod
    def parse(cls, offset: int, metadata: str) -> "Mark":
        """The mark of a commit; metadata somebody else wrote is no mark, the offset is."""
        offset = max(0, offset)
        try:
            found = json.loads(metadata or "{}")
            reasons = {str(name): int(end) for name, end in found.get("reasons", {}).items()}
            beyond = {int(each) for each in found.get("beyond", ())}
            holes = {int(each) for each in found.get("holes", ())}
        except (ValueError, TypeError, AttributeError):
            return cls(offset)
        return cls(offset, reasons, beyond, holes)
