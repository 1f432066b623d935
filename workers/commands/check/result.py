"""What a check found: a line for a person, an object for a program."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

#: What to do where something of InfluxDB is missing.
PROVISION = "`python -m workers provision` with an admin token makes it"


class Level(StrEnum):
    """How much it matters."""

    OK = "ok"
    WARN = "warn"  # records flow, and something deserves a look
    FAIL = "FAIL"  # records do not flow, or would be lost to the dashboard


@dataclass(frozen=True)
class Finding:
    """The answer of one check.

    Args:
        check: What was looked at, in a word or three.
        level: How much it matters.
        text: What was found.
        next: What to do next; empty where nothing is to be done.
    """

    check: str
    level: Level
    text: str
    next: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.check:<20}  {self.text}"
        return f"{line}\n{'':<28}-> {self.next}" if self.next else line


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, do: str = "") -> Finding:
    """Records flow, and something deserves a look."""
    return Finding(check, Level.WARN, text, do)


def fail(check: str, text: str, do: str) -> Finding:
    """Records do not flow; `do` says what ends that."""
    return Finding(check, Level.FAIL, text, do)


def summary(findings: Iterable[Finding]) -> str:
    """`9 ok, 2 warn, 1 FAIL`."""
    made = list(findings)
    return ", ".join(f"{sum(each.level is level for each in made)} {level}" for level in Level)


def as_object(findings: Iterable[Finding]) -> dict[str, Any]:
    """All findings for programs."""
    made = list(findings)
    return {
        "ok": all(each.level is not Level.FAIL for each in made),
        "checks": [asdict(each) for each in made],
    }
