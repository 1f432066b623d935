"""The result of one check: a line for people, an object for programs."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

#: What to do if something is missing in InfluxDB.
PROVISION = "create it with `tower provision` and an admin token"


class Level(StrEnum):
    """How serious a result is."""

    OK = "ok"
    WARN = "warn"  # records are stored, but something may be wrong
    FAIL = "FAIL"  # records are not stored, or the dashboard does not show them


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        check: What was checked, in one to three words.
        level: How serious it is.
        text: The result in words.
        next: What to do next; empty if there is nothing to do.
    """

    check: str
    level: Level
    text: str
    next: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<4}  {self.check:<20}  {self.text}"
        return f"{line}\n{'':<28}-> {self.next}" if self.next else line


def ok(check: str, text: str) -> CheckResult:
    """Build the result of a check that passes."""
    return CheckResult(check, Level.OK, text)


def warn(check: str, text: str, do: str = "") -> CheckResult:
    """Build a warning: records are stored, but something may be wrong."""
    return CheckResult(check, Level.WARN, text, do)


def fail(check: str, text: str, do: str) -> CheckResult:
    """Build a failure: records are not stored or not shown; `do` says what to do."""
    return CheckResult(check, Level.FAIL, text, do)


def summary(results: Iterable[CheckResult]) -> str:
    """Count the results by level: `9 ok, 2 warn, 1 FAIL`."""
    levels = [result.level for result in results]
    return ", ".join(f"{levels.count(level)} {level}" for level in Level)


def as_object(results: Iterable[CheckResult]) -> dict[str, Any]:
    """Describe all results for programs."""
    checks = list(results)
    return {
        "ok": all(result.level is not Level.FAIL for result in checks),
        "checks": [asdict(result) for result in checks],
    }
