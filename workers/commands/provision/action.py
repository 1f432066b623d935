"""One action of provisioning, and its result."""

from dataclasses import dataclass
from enum import StrEnum


class ActionResult(StrEnum):
    """What an action did."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"  # it was as it should be
    SKIPPED = "skipped"  # for the reason given


@dataclass(frozen=True)
class Action:
    """What was done about one thing.

    Args:
        what: The thing.
        done: The result.
        text: Its properties, or why it was skipped.
    """

    what: str
    done: ActionResult
    text: str

    def __str__(self) -> str:
        return f"{self.done:<9}  {self.what:<24}  {self.text}"
