"""How far the dead letters have been replayed, kept as the committed offset of a group of its own."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Mark:
    """Which letters of one partition have been replayed.

    A committed offset says "all before this one". Letters can be replayed by reason too, and one that
    failed can have replayed ones behind it; both stand in the metadata of the commit.

    Args:
        offset: All letters before it.
        reasons: By reason, an offset before which all letters of that reason are.
        beyond: Single letters further on.
    """

    offset: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    beyond: set[int] = field(default_factory=set)

    def covers(self, offset: int, reason: str) -> bool:
        """Whether that letter has been replayed."""
        return offset < self.offset or offset < self.reasons.get(reason, 0) or offset in self.beyond

    def advance(
        self, upto: int, reason: str | None, passed: Iterable[int] = (), also: Iterable[int] = ()
    ) -> None:
        """All letters before `upto` are replayed, or all of one reason.

        Args:
            upto: The next offset to look at.
            reason: None for all reasons.
            passed: Single letters that `upto` now covers.
            also: Single letters behind it that are replayed too.
        """
        if reason is None:
            self.offset = max(self.offset, upto)
        else:
            self.reasons[reason] = max(self.reasons.get(reason, 0), upto)
        self.reasons = {name: end for name, end in self.reasons.items() if end > self.offset}
        self.beyond = {each for each in (self.beyond - set(passed)) | set(also) if each >= self.offset}

    def metadata(self) -> str:
        """What does not fit in the offset, as text; empty where all does."""
        if not (self.reasons or self.beyond):
            return ""
        return json.dumps({"reasons": self.reasons, "beyond": sorted(self.beyond)}, separators=(",", ":"))

    @classmethod
    def parse(cls, offset: int, metadata: str) -> "Mark":
        """The mark of a commit; metadata somebody else wrote is no mark, the offset is."""
        mark = cls(max(0, offset))
        try:
            found = json.loads(metadata or "{}")
            reasons = {str(name): int(end) for name, end in found.get("reasons", {}).items()}
            beyond = {int(each) for each in found.get("beyond", ())}
        except (ValueError, TypeError, AttributeError):
            return mark
        return cls(mark.offset, reasons, beyond)
