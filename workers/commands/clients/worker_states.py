"""The workers of this machine, as their state files describe them."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.commands.clients.recent_counts import RecentCounts
from workers.state import WorkerState
from workers.types import PartitionKey, partition_key

#: Seconds without a heartbeat after which a worker counts as not running. A healthy worker writes one each
#: second. A write to InfluxDB that gets no answer can delay it for longer.
HEARTBEAT_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class WorkerReport:
    """One worker's state file.

    Args:
        number: Number of the worker.
        pid: Its process id.
        state: starting, running, waiting, stopping or stopped.
        why: Why it waits.
        age_s: Seconds since its last heartbeat.
        alive: Whether a process with that id runs.
        owned: Partitions assigned to it.
        stopped: Those of them that it does not read, with the reason.
        read_errors: Those of them that Kafka's client cannot read now, with its error and what to do.
        accounts: Its counters of each partition it has had.
        values_omitted: Values left out, because InfluxDB has no type for them or their field is a number.
        names_doubled: Values left out, because an earlier field of their record has the same name.
        by_kernel: Records that the C kernel converted.
        by_python: Records that Python converted, which is slower.
        why_not_native: Why it does not use the C kernel; empty if it does.
        recent: What it counted in the last minutes.
        renewal: Why its Kafka client was replaced last; empty if it never was.
        ended: Which setting has to be changed before it can start (exit code 78); empty if none.
        unmarked: Writes that were answered 204 without one of InfluxDB's headers.
        has_parent: Whether the process that started it, normally supervisord, is still its parent.
        content: All that its state file has.
    """

    number: int
    pid: int
    state: str
    why: str
    age_s: float
    alive: bool
    owned: tuple[PartitionKey, ...] = ()
    stopped: Mapping[PartitionKey, str] = field(default_factory=dict)
    read_errors: Mapping[PartitionKey, str] = field(default_factory=dict)
    accounts: Mapping[PartitionKey, Mapping[str, Any]] = field(default_factory=dict)
    values_omitted: int = 0
    names_doubled: int = 0
    by_kernel: int = 0
    by_python: int = 0
    why_not_native: str = ""
    recent: RecentCounts = RecentCounts()
    renewal: str = ""
    ended: str = ""
    unmarked: int = 0
    has_parent: bool = True
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether it has a recent heartbeat and is not stopped."""
        return self.alive and self.age_s < HEARTBEAT_TIMEOUT_S and self.state != WorkerState.STOPPED


def read_states(run_dir: Path, now: float) -> list[WorkerReport]:
    """Read the state files of all workers, in order of their numbers; omits unreadable files.

    Args:
        run_dir: TOWER_RUN_DIR.
        now: Seconds since the epoch.
    """
    reports = []
    for file in run_dir.glob("worker-*.json"):
        try:
            reports.append(parse(json.loads(file.read_bytes()), now))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return sorted(reports, key=lambda report: report.number)


def parse(content: Mapping[str, Any], now: float) -> WorkerReport:
    """Parse a state file's content.

    Raises:
        KeyError: A required entry is missing.
    """
    pid = int(content["pid"])
    counters = content.get("counters", {})
    return WorkerReport(
        number=int(content["worker"]),
        pid=pid,
        state=str(content["state"]),
        why=str(content.get("why", "")),
        age_s=max(0.0, now - float(content["heartbeat"])),
        alive=is_alive(pid),
        owned=tuple(partition_key(str(name)) for name in content.get("owned", ())),
        stopped={partition_key(name): str(why) for name, why in content.get("stopped", {}).items()},
        read_errors={partition_key(name): str(why) for name, why in content.get("read_errors", {}).items()},
        accounts={partition_key(name): account for name, account in content.get("partitions", {}).items()},
        values_omitted=int(counters.get("values_omitted", 0)),
        names_doubled=int(counters.get("names_doubled", 0)),
        by_kernel=int(counters.get("records_by_kernel", 0)),
        by_python=int(counters.get("records_by_python", 0)),
        why_not_native=str(content.get("why_not_native", "")),
        recent=RecentCounts.parse(content.get("recent", {})),
        renewal=str(content.get("renewal", "")),
        ended=str(content.get("ended", "")),
        unmarked=int(content.get("unmarked", 0)),
        has_parent=bool(content.get("has_parent", True)),
        content=content,
    )


def running_workers(run_dir: Path, now: float) -> list[int]:
    """Return the numbers of the workers that run on this machine."""
    return [report.number for report in read_states(run_dir, now) if report.is_running]


def is_alive(pid: int) -> bool:
    """Return whether a process with this id runs. One that has ended and waits for its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # In a container nobody may ask for an ended process, and waiting for it to go would never end.
    with suppress(OSError):
        # The name stands in parentheses and may itself contain any character (proc(5)).
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2][:1] != b"Z"
    return True
