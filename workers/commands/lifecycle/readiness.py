"""Whether the workers of a pool that was just started run, and why one does not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workers.commands.clients.supervisord import WorkerProcess
from workers.commands.clients.worker_states import HEARTBEAT_TIMEOUT_S, WorkerReport
from workers.commands.console import age
from workers.exit_codes import MISCONFIGURED
from workers.log import printable
from workers.state import WorkerState

#: Bytes at the end of a worker's log in which its last error is looked for.
TAIL_BYTES = 20_000

#: Beginning of a log line.
_DATED = re.compile(r"\d{4}-\d\d-\d\d ")


@dataclass(frozen=True)
class WorkerReadiness:
    """What became of one worker since the start.

    Args:
        number: Number of the worker.
        ready: It runs. It has a partition, or waits for one.
        has_partition: It has at least one partition.
        ended: It ended for good: a setting has to be changed.
        text: One line for the operator.
    """

    number: int
    ready: bool
    has_partition: bool
    ended: bool
    text: str


def readiness(
    processes: Sequence[WorkerProcess], reports: Sequence[WorkerReport], run_dir: Path
) -> list[WorkerReadiness]:
    """Return the readiness of each worker.

    Args:
        processes: The workers as supervisord knows them.
        reports: Their state files.
        run_dir: TOWER_RUN_DIR, with the workers' logs.
    """
    by_pid = {report.pid: report for report in reports}
    return [_readiness(process, by_pid.get(process.pid), run_dir) for process in processes]


def _readiness(process: WorkerProcess, report: WorkerReport | None, run_dir: Path) -> WorkerReadiness:
    number = process.number
    ready = has_partition = ended = False
    if process.state in {"EXITED", "FATAL", "STOPPED"}:
        ended = process.state == "FATAL" or process.exit_code == MISCONFIGURED
        text = f"ended: {_last_error(number, run_dir)}"
    elif report is None:
        text = "starts"
    elif report.age_s >= HEARTBEAT_TIMEOUT_S:
        log = run_dir / f"worker-{number}.log"
        text = f"has had no heartbeat for {age(report.age_s)}; look at the end of {log}"
    elif report.state == WorkerState.RUNNING:
        ready, has_partition = True, bool(report.owned)
        partitions = ", ".join(map(str, report.owned))
        text = f"runs, partition {partitions}" if partitions else "runs, without a partition"
    else:
        text = f"is {report.state}: {report.why}" if report.why else f"is {report.state}"
    return WorkerReadiness(number, ready, has_partition, ended, f"worker {number} {text}")


def _last_error(number: int, run_dir: Path) -> str:
    """Return the last thing a worker wrote that was no log line of a running worker."""
    log = run_dir / f"worker-{number}.log"
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return f"its log cannot be read; look at the log of supervisord in {run_dir}"
    last = next((line for line in reversed(lines) if line.strip()), "")
    if _DATED.match(last) or not last:
        return f"its log does not say why; look at {log}"
    return printable(last.removeprefix("tower: "))
