"""The result of one fault: verdicts and figures, kept in one JSON file for the table."""

import fcntl
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.harness.checks import Verdict


@dataclass
class Result:
    """What a run of one fault printed.

    Attributes:
        fault: Its number; controls have names.
        title: The test's name as a sentence.
        seed: What to run it with again.
        verdicts: All checks that were made.
        figures: Numbers by name, in seconds, records or MB as the name says; None where the fault has
            no such figure.
        notes: How the fault was brought about where that is not obvious, and what was reduced.
    """

    fault: str
    title: str
    seed: int
    topology: str
    verdicts: list[Verdict] = field(default_factory=list)
    figures: dict[str, float | int | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything held."""
        return not self.error and bool(self.verdicts) and all(verdict.ok for verdict in self.verdicts)

    def append(self, path: Path) -> None:
        """Add it to the file, which several runs may share."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            entries = json.loads(file.read() or "[]")
            entries.append(
                {**asdict(self), "ok": self.ok, "at": int(time.time()), "python": platform.python_version()}
            )
            file.seek(0)
            file.truncate()
            file.write(json.dumps(entries, indent=1) + "\n")


def broken(verdicts: Sequence[Verdict]) -> str:
    """The verdicts that do not hold, one a line; empty where all do."""
    return "\n".join(str(verdict) for verdict in verdicts if not verdict.ok)


def load(path: Path) -> list[dict[str, Any]]:
    """All results of a file, none where there is no file."""
    if not path.exists():
        return []
    results: list[dict[str, Any]] = json.loads(path.read_text() or "[]")
    return results
