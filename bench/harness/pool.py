"""A pool of workers in its own folder, under supervisord with the project's supervisor.conf."""

import contextlib
import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from lab.errors import LabError, SlowError
from lab.system.server_process import Server, environment

ROOT = Path(__file__).resolve().parents[2]
#: Seconds for all workers to finish and stop, more than the 20 s of supervisor.conf.
STOP_S = 40.0


class BenchPool(Server):
    """supervisord and its workers.

    The folder looks like a checkout: supervisor.conf and .venv are links to the real ones, `var` is not.

    Args:
        folder: Folder of the pool, with a short path: a socket's path must fit 107 characters.
        settings: The workers' environment.
        workers: Number of workers.
        prefix: Words before the command line; `ip netns exec …` runs the pool on another host.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, str], workers: int = 3, prefix: Sequence[str] = ()
    ) -> None:
        super().__init__("the pool", folder)
        self.workers = workers
        self.var = folder / "var"
        self._settings = dict(settings)
        self._prefix = list(prefix)

    def start(self) -> None:
        """Start supervisord; does not wait for the workers."""
        self.var.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, target in {
            "supervisor.conf": ROOT / "supervisor.conf",
            ".venv": Path(sys.prefix),
        }.items():
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(target)
        argv = [*self._prefix, sys.executable, "-m", "supervisor.supervisord", "-n"]
        # `tower serve` is no part of what is measured.
        settings = {"TOWER_WORKERS": str(self.workers), "TOWER_SERVE_ADDRESS": "off"} | self._settings
        self.launch([*argv, "-c", str(self.folder / "supervisor.conf")], environment(**settings))

    def serving(self, timeout_s: float = 1.0) -> bool:  # noqa: ARG002 - reading files takes no time
        """Whether the state of every worker is `running`."""
        return [state.get("state") for state in self.states()] == ["running"] * self.workers

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop supervisord and its workers with SIGTERM, as an operator does."""
        super().stop(timeout_s)

    def processes(self) -> list[psutil.Process]:
        """Return the worker processes that run now."""
        parent = self.process()
        if parent is None:
            return []
        with contextlib.suppress(psutil.Error):
            return [process for process in parent.children(recursive=True) if _is_worker(process)]
        return []

    def states(self) -> list[dict[str, Any]]:
        """Return the content of each worker's state file."""
        states = []
        for number in range(self.workers):
            with contextlib.suppress(OSError, ValueError):
                states.append(json.loads((self.var / f"worker-{number}.json").read_text()))
        return states

    def counter(self, name: str) -> int:
        """Return one counter, summed over all workers."""
        return sum(int(state.get("counters", {}).get(name, 0)) for state in self.states())

    def owned(self) -> int:
        """Return the number of partitions that have a worker."""
        return sum(len(state.get("owned", [])) for state in self.states())

    def starts(self) -> int:
        """Return the number of worker starts."""
        with contextlib.suppress(FileNotFoundError):
            return len(re.findall(r"spawned: '\d+'", (self.var / "supervisord.log").read_text()))
        return 0

    def logs(self, lines: int = 10) -> str:
        """Return the last lines of each log."""
        parts = [f"supervisord:\n{self.log_tail(lines)}"]
        for log in sorted(self.var.glob("worker-*.log"))[:3]:
            text = log.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"{log.name}:", *(f"    {line[:300]}" for line in text)]))
        return "\n".join(parts)

    def until(self, done: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.1) -> float:
        """Wait until `done` is true; return the seconds it took.

        Raises:
            LabError: The pool ended.
            SlowError: `done` was not true in time; the message has the end of each log.
        """
        began = time.monotonic()
        while not done():
            if self.process() is None:
                raise LabError(f"{self.exited()}\n{self.logs()}")
            if time.monotonic() - began > timeout_s:
                raise SlowError(f"waited {timeout_s:.0f} s for {what}\n{self.logs()}")
            time.sleep(every_s)
        return time.monotonic() - began


def _is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()[-2:] == ["workers", "run"]
    return False
