"""One step of setting up: what was made, what was there."""

from dataclasses import dataclass
from enum import StrEnum


class Done(StrEnum):
    """What a step did."""

    MADE = "made"
    CHANGED = "changed"
    THERE = "there"  # as it should be, nothing was done
    LEFT = "left out"  # for the reason given


@dataclass(frozen=True)
class Step:
    """What was done about one thing.

    Args:
        what: The thing.
        done: What was done.
        text: More about it: what it is like, or why it was left out.
    """

    what: str
    done: Done
    text: str

    def __str__(self) -> str:
        return f"{self.done:<8}  {self.what:<24}  {self.text}"
