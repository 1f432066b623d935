"""The pool under test: supervisord with the project's own supervisor.conf, in a folder of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from tests.faults.harness.checks import Vitals
from tests.support.signals import catches, is_pending

ROOT = Path(__file__).resolve().parents[2]

#: Seconds until every worker of a new pool has its partitions, on two busy cores.
START_S = 60.0

#: Seconds for supervisord to stop all workers: its stopwaitsecs and a little.
STOP_S = 40.0

#: Variables of the machine that a worker gets; none of the tests' own settings leak into it.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class TowerPool:
    """supervisord and its workers.

    The folder stands in for a checkout: supervisor.conf and .venv are links into the real one, `var` is its
    own. So several pools can run beside each other and beside a real one.

    Args:
        folder: Where all of it lives; its path must be short, as a socket's path has to fit 108 bytes.
        environment: Settings of the workers, names to values.
        workers: Number of workers.
        prefix: Words before the command line: `ip netns exec …` puts the pool on another host.
        partitions: Number of partitions of the topic.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        workers: int = 3,
        prefix: Sequence[str] = (),
        partitions: int = 3,
    ) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.workers = workers
        self.partitions = partitions
        self.environment = dict(environment)
        self.prefix = list(prefix)
        self.peak_mb = 0.0
        #: The first sight of each worker process, for C6.
        self.first: dict[int, Vitals] = {}
        self._cmdlines: dict[str, str] = {}
        self._supervisord: subprocess.Popen[bytes] | None = None
        self._console = folder / "console.log"
        self.var.mkdir(mode=0o700, parents=True)
        self._console.touch()
        (folder / "supervisor.conf").symlink_to(ROOT / "supervisor.conf")
        (folder / ".venv").symlink_to(Path(sys.prefix))

    def command(self, program: str, *arguments: str) -> list[str]:
        """Argv of supervisord or supervisorctl for this pool."""
        conf = str(self.folder / "supervisor.conf")
        return [*self.prefix, sys.executable, "-m", f"supervisor.{program}", "-c", conf, *arguments]

    def process_environment(self) -> dict[str, str]:
        """What supervisord, and so each worker, is started with."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        # Many pools run at the same time, and the address of `tower serve` has room for one.
        own = {"TOWER_WORKERS": str(self.workers), "TOWER_SERVE_ADDRESS": "off"}
        return kept | own | self.environment

    def start(self, preexec: Callable[[], None] | None = None, *, wait: bool = True) -> None:
        """Start supervisord and wait until every partition has a worker.

        Args:
            preexec: Runs in the new process first (limits).
            wait: False returns at once.
        """
        with self._console.open("ab") as console:
            self._supervisord = subprocess.Popen(
                self.command("supervisord", "-n"),
                cwd=self.folder,
                env=self.process_environment(),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                preexec_fn=preexec,  # noqa: PLW1509 - limits are set before any thread of the child
            )
        if wait:
            self.until(self.is_assigned, START_S, "every partition to have a worker")

    def stop(self) -> None:
        """Stop supervisord, which stops the workers as an operator would; then whatever is left."""
        if self._supervisord is not None:
            self._supervisord.terminate()
            try:
                self._supervisord.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._supervisord.kill()
                self._supervisord.wait()
        orphans = self.orphans()
        for process in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        # Whoever called this may delete the folder next.
        psutil.wait_procs(orphans, STOP_S)

    def kill_supervisord(self) -> None:
        """SIGKILL for supervisord alone: its workers go on without it."""
        assert self._supervisord is not None
        self._supervisord.kill()
        self._supervisord.wait()

    @property
    def pid(self) -> int:
        """Process id of supervisord."""
        assert self._supervisord is not None
        return self._supervisord.pid

    def orphans(self) -> list[psutil.Process]:
        """Worker processes of this pool's folder, whoever their parent is now."""
        processes = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd() == str(self.folder) and "workers" in process.cmdline():
                    processes.append(process)
        return processes

    def _ask(self, method: str, *arguments: object) -> Any:
        """Call a method of supervisord over its socket."""
        transport: Any = SupervisorTransport(None, None, f"unix://{self.var / 'supervisor.sock'}")
        try:
            server = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(server.supervisor, method)(*arguments)
        except (xmlrpc.client.Error, ValueError, HTTPException) as error:
            raise OSError(f"supervisord: {type(error).__name__}") from error
        finally:
            # Its own close() forgets a connection that could not be made.
            if transport.connection is not None:
                transport.connection.close()

    def processes(self) -> dict[int, dict[str, Any]]:
        """What supervisord says of each worker: statename, pid, exitstatus and so on.

        Raises:
            OSError: Supervisord does not answer.
        """
        return {
            int(process["name"]): process
            for process in self._ask("getAllProcessInfo")
            if process["group"] == "worker"
        }

    def pids(self) -> dict[int, int]:
        """Process id of each running worker."""
        return {number: worker["pid"] for number, worker in self.processes().items() if worker["pid"]}

    def signal(self, worker: int, which: signal.Signals) -> int:
        """Send a signal to one worker; gives the process id it went to, 0 where none ran."""
        pid = self.pids().get(worker, 0)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, which)
        return pid

    def terminate(self, worker: int, timeout_s: float = 30, *, twice: bool = False) -> tuple[int, float]:
        """SIGTERM for one worker from outside, not from supervisord, which starts it again.

        One that is only just starting is given the moment it needs until it hears of signals.

        Args:
            worker: Its number.
            timeout_s: Seconds it may take to end.
            twice: Send a second SIGTERM right after the first.

        Returns:
            Its process id and the seconds until it had ended.
        """
        self.until(
            lambda: catches(self.pids().get(worker, 0), signal.SIGTERM),
            timeout_s,
            f"worker {worker} to have started",
        )
        begun = time.monotonic()
        pid = self.signal(worker, signal.SIGTERM)
        if twice:
            # To the same process, and not before the first has arrived: two that wait are one.
            self.until(
                lambda: not is_pending(pid, signal.SIGTERM), timeout_s, "the first SIGTERM to arrive"
            )
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self.until(lambda: self.pids().get(worker) != pid, timeout_s, f"worker {worker} to end")
        return pid, time.monotonic() - begun

    def control(self, *arguments: str, timeout_s: float = 60) -> str:
        """Run supervisorctl as an operator would; gives what it printed."""
        done = subprocess.run(
            self.command("supervisorctl", *arguments),
            cwd=self.folder,
            env=self.process_environment(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return done.stdout + done.stderr

    def operate(self, *arguments: str, timeout_s: float = 90) -> tuple[int, str]:
        """Run one of the operator's commands in this pool's folder; gives exit code and output."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "-m", "workers", *arguments],
            cwd=self.folder,
            env=self.process_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def stopped(self) -> dict[int, str]:
        """Partitions that their owners do not read, and why."""
        reasons: dict[int, str] = {}
        for state in self.states():
            reasons |= {int(number): why for number, why in state.get("stopped", {}).items()}
        return reasons

    def exit_codes(self, pid: int) -> list[int]:
        """Exit code of a process that ended, from supervisord's log; a signal's is negative."""
        text = (self.var / "supervisord.log").read_text(errors="replace")
        worker = next((number for number, spawned_pid in self.spawned() if spawned_pid == pid), -1)
        begun = text.find(f"spawned: '{worker}' with pid {pid}")
        ends = re.findall(rf"exited: {worker} \((?:exit status (\d+)|terminated by (\w+))", text[begun:])[
            :1
        ]
        return [int(code) if code else -signal.Signals[name] for code, name in ends]

    def state(self, worker: int) -> dict[str, Any]:
        """One worker's state file, empty where there is none."""
        try:
            content = json.loads((self.var / f"worker-{worker}.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def states(self) -> list[dict[str, Any]]:
        """The state files of all workers that have one."""
        return [state for number in range(self.workers) if (state := self.state(number))]

    def owners(self) -> dict[Any, list[int]]:
        """Workers that say they own it, by partition."""
        owners: dict[Any, list[int]] = {}
        for state in self.states():
            for number in state.get("owned", []):
                owners.setdefault(number, []).append(state["worker"])
        return owners

    def owner(self, partition: int) -> int:
        """The worker that owns a partition.

        Raises:
            LookupError: None does.
        """
        for worker in self.owners().get(partition, []):
            return worker
        raise LookupError(f"no worker owns partition {partition}")

    def is_assigned(self) -> bool:
        """Whether every worker runs and every partition has exactly one."""
        try:
            pids = self.pids()
        except OSError:
            return False
        fresh = all(state.get("pid") in pids.values() for state in self.states())
        owners = self.owners()
        single = all(len(workers) == 1 for workers in owners.values())
        busy = {worker for workers in owners.values() for worker in workers}
        enough = len(busy) >= min(self.workers, self.partitions)
        return fresh and single and enough and len(pids) == self.workers and len(owners) == self.partitions

    def is_complete(self) -> bool:
        """Whether every partition has exactly one owner, whoever it is."""
        owners = self.owners()
        return len(owners) == self.partitions and all(len(workers) == 1 for workers in owners.values())

    def counter(self, name: str) -> int:
        """Sum of one counter over all state files."""
        return sum(int(state.get("counters", {}).get(name, 0)) for state in self.states())

    def spawned(self) -> list[tuple[int, int]]:
        """Every start of a worker so far, as (worker, process id), from supervisord's log."""
        text = (self.var / "supervisord.log").read_text(errors="replace")
        return [(int(a), int(b)) for a, b in re.findall(r"spawned: '(\d+)' with pid (\d+)", text)]

    def log(self, worker: int) -> str:
        """One worker's log, the rotated parts first."""
        parts = sorted(self.var.glob(f"worker-{worker}.log*"), reverse=True)
        return "".join(part.read_text(errors="replace") for part in parts)

    def reports(self) -> list[dict[str, Any]]:
        """The shutdown reports of all workers that stopped."""
        return [
            {"worker": worker, **json.loads(text)}
            for worker in range(self.workers)
            for text in re.findall(r"shutdown report: (\{.*\})", self.log(worker))
        ]

    def vitals(self) -> list[Vitals]:
        """How each worker is right now."""
        measured = []
        for number, worker in sorted(self.processes().items()):
            age = time.time() - float(self.state(number).get("heartbeat", 0))
            rss, files = 0.0, 0
            if worker["pid"]:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(worker["pid"])
                    rss, files = process.memory_info().rss / 1e6, process.num_fds()
            measured.append(Vitals(number, worker["pid"], worker["statename"], age, rss, files))
        return measured

    def look(self) -> None:
        """Take the vital signs down: peak memory, and each process as it was first seen serving."""
        for worker in self.vitals():
            self.peak_mb = max(self.peak_mb, worker.rss_mb)
            state = self.state(worker.worker)
            # A state may be that of the process before.
            if worker.files and state.get("state") == "running" and state["pid"] == worker.pid:
                self.first.setdefault(worker.pid, worker)
            if worker.pid and f"/proc/{worker.pid}/cmdline" not in self._cmdlines:
                with contextlib.suppress(OSError):
                    self._cmdlines[f"/proc/{worker.pid}/cmdline"] = Path(
                        f"/proc/{worker.pid}/cmdline"
                    ).read_text()

    def texts(self) -> dict[str, str]:
        """All logs, states and command lines, for the search for secrets."""
        texts = {
            path.name: path.read_text(errors="replace") for path in self.var.glob("*.*") if path.is_file()
        }
        texts["console"] = self._console.read_text(errors="replace")
        return texts | self._cmdlines

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> float:
        """Wait for a condition; gives the seconds it took.

        Raises:
            TimeoutError: It did not come; names it and the end of each log.
        """
        begun = time.monotonic()
        while not condition():
            if time.monotonic() - begun > timeout_s:
                logs = "\n".join(f"worker {n}: {self.log(n)[-1500:]}" for n in range(self.workers))
                console = self._console.read_text(errors="replace")[-1500:]
                raise TimeoutError(f"waited {timeout_s:g} s for {what}\n{console}\n{logs}")
            time.sleep(0.05)
        return time.monotonic() - begun
