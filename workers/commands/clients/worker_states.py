"""What the workers of this machine say about themselves, read from their state files."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.state import WorkerState

#: Seconds without a heartbeat after which a worker counts as gone. It writes one a second; a write to
#: InfluxDB that is not answered may hold it for longer, but not a healthy one.
OLD_S = 10.0


@dataclass(frozen=True)
class Sight:
    """One worker as its state file tells.

    Args:
        number: Of the worker.
        pid: Of its process.
        state: starting, running, waiting, stopping or stopped.
        why: Reason of waiting.
        age_s: Seconds since its last heartbeat.
        alive: Whether a process of that pid is there.
        owned: Partitions it has.
        stopped: Of them, those it does not read, with the reason.
        accounts: Its account of each partition it has had.
        by_kernel: Records that the C kernel took.
        by_python: Records that took the slower way.
    """

    number: int
    pid: int
    state: str
    why: str
    age_s: float
    alive: bool
    owned: tuple[int, ...] = ()
    stopped: Mapping[int, str] = field(default_factory=dict)
    accounts: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    by_kernel: int = 0
    by_python: int = 0

    @property
    def beats(self) -> bool:
        """Whether it is at work, or was until just now."""
        return self.alive and self.age_s < OLD_S and self.state != WorkerState.STOPPED

    @property
    def trouble(self) -> str:
        """What is wrong with it, in a few words; empty where nothing is."""
        if self.state == WorkerState.STOPPED:
            return f"worker {self.number} is stopped"
        if not self.alive:
            return f"worker {self.number} is gone (process {self.pid})"
        if self.age_s >= OLD_S:
            return f"worker {self.number} has shown no sign of life for {self.age_s:.0f} s"
        if self.state != WorkerState.RUNNING:
            return f"worker {self.number} is {self.state}" + (f": {self.why}" if self.why else "")
        return ""


def look(run_dir: Path, now: float) -> list[Sight]:
    """All workers that have a state file, by number; a file that is half a file is left out.

    Args:
        run_dir: TOWER_RUN_DIR.
        now: Seconds since the epoch.
    """
    found = []
    for file in run_dir.glob("worker-*.json"):
        try:
            found.append(read(json.loads(file.read_text()), now))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(found, key=lambda each: each.number)


def read(content: Mapping[str, Any], now: float) -> Sight:
    """A state file's content.

    Raises:
        KeyError: It lacks what each state file has.
    """
    pid = int(content["pid"])
    counters = content.get("counters", {})
    return Sight(
        number=int(content["worker"]),
        pid=pid,
        state=str(content["state"]),
        why=str(content.get("why", "")),
        age_s=max(0.0, now - float(content["heartbeat"])),
        alive=_is_alive(pid),
        owned=tuple(int(each) for each in content.get("owned", ())),
        stopped={int(number): str(why) for number, why in content.get("stopped", {}).items()},
        accounts={int(number): account for number, account in content.get("partitions", {}).items()},
        by_kernel=int(counters.get("records_by_kernel", 0)),
        by_python=int(counters.get("records_by_python", 0)),
    )


def beating(run_dir: Path, now: float) -> list[int]:
    """Numbers of the workers that are at work here."""
    return [each.number for each in look(run_dir, now) if each.beats]


def total(sights: Iterable[Sight], partition: int, name: str) -> int:
    """One entry of a partition's account, summed over all workers that have had it."""
    return sum(int(each.accounts.get(partition, {}).get(name) or 0) for each in sights)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
