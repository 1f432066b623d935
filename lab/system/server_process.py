"""A server of the lab as an operating-system process that outlives the command that started it."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from lab.errors import LabError, SlowError
from lab.system.files import write_atomically

#: Seconds a server has after SIGTERM before SIGKILL follows.
STOP_S = 20.0
#: Seconds until all threads of a server have to have stopped after SIGSTOP.
FREEZE_S = 5.0
#: Two readings of one process's start differ by rounding only: the kernel counts in 10 ms ticks.
SAME_START_S = 0.05
#: Seconds until the exit code of a server that has ended has to be known.
CODE_S = 1.0


def started(process: psutil.Process) -> float:
    """Seconds between the machine's boot and the process's start.

    Unlike the time of day of its start, this does not move when the machine's clock is set.
    """
    return process.create_time() - psutil.boot_time()


class RecordedProcess:
    """A program with its own folder, which is enough to find, watch and end it.

    `process.json` there says which process it is, `log` has what it printed.
    A pid is never trusted alone, since the kernel gives it out again: a process is ours only if
    its start is the recorded one too. What is not ours is never signalled.

    Args:
        name: Its name in messages.
        folder: Folder of its files, created at its start.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file that has its standard output and standard error."""
        return self.folder / "log"

    @property
    def _record(self) -> Path:
        return self.folder / "process.json"

    @property
    def pid(self) -> int | None:
        """Its process id; None if it does not run."""
        process = self.process()
        return None if process is None else process.pid

    def process(self) -> psutil.Process | None:
        """Return the running process; None for a zombie or another program with its pid."""
        try:
            record = json.loads(self._record.read_text())
            process = psutil.Process(record["pid"])
            if abs(started(process) - record["started"]) > SAME_START_S:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except (FileNotFoundError, ValueError, KeyError, psutil.Error):
            return None
        return process

    def launch(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start the program in a session of its own, so that no Ctrl-C meant for us reaches it.

        Raises:
            LabError: The program cannot be executed.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.folder / "log.1")
        with uninterrupted():
            try:
                with self.log.open("wb") as log:
                    self._child = subprocess.Popen(
                        list(argv),
                        cwd=self.folder,
                        env=dict(env),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
            except OSError as error:
                raise LabError(f"{self.name}: cannot run {argv[0]}: {error.strerror}") from error
            try:
                # Nobody reaps it yet, so it can be looked at even if it has ended already.
                child = psutil.Process(self._child.pid)
                record = {"pid": child.pid, "started": started(child)}
                write_atomically(self._record, json.dumps(record))
            except BaseException:
                self._child.kill()  # Without its record nobody could ever stop it.
                raise
            finally:
                # Reaps it when it ends, or a killed child of ours would stay a zombie.
                threading.Thread(target=self._child.wait, daemon=True).start()

    def exited(self) -> str | None:
        """Return why it does not run, with the end of its log; None if it runs."""
        if self.process() is not None:
            return None
        code = None
        if self._child is not None:
            # A thread of its own asks the operating system for the code, and may not have it yet.
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._child.wait(CODE_S)
        how = f" with exit code {code}" if code is not None else ""
        return f"{self.name} ended{how}. The end of {self.log}:\n{self.log_tail()}"

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of its log, indented."""
        try:
            text = self.log.read_bytes()[-16_384:].decode(errors="replace")
        except FileNotFoundError:
            return "    (no log)"
        return "\n".join(f"    {line[:300]}" for line in text.splitlines()[-lines:])

    def terminate(self) -> None:
        """Ask it to stop (SIGTERM), also while it is paused; do not wait."""
        process = self.process()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)

    def stop(self, timeout_s: float = STOP_S) -> None:
        """Stop it as an operator would: SIGTERM, and SIGKILL if it has not ended in `timeout_s`."""
        self.terminate()
        if not self._gone(timeout_s):
            self.kill()
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """Stop it with SIGKILL, as a power cut would; return when it is gone."""
        process = self.process()
        if process is not None:
            # The supervisor first, or it would restart its programs.
            for member in [process, *_children(process)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            if not self._gone(10.0):
                raise LabError(f"{self.name}: process {process.pid} did not die within 10 s")
        self._record.unlink(missing_ok=True)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open and nothing is answered.

        Raises:
            LabError: It does not run, or goes on for `FREEZE_S`.
        """
        process = self._must_run()
        process.suspend()
        # A thread stops when it next enters the kernel; until then it may answer once more.
        if not wait_until(lambda: is_frozen(process.pid), FREEZE_S, 0.005):
            raise LabError(f"{self.name} could not be frozen: some of its threads go on")

    def resume(self) -> None:
        """Let a paused server go on (SIGCONT)."""
        self._must_run().resume()

    def _must_run(self) -> psutil.Process:
        process = self.process()
        if process is None:
            raise LabError(f"{self.name} does not run; start it first")
        return process

    def _gone(self, timeout_s: float) -> bool:
        return wait_until(lambda: self.process() is None, timeout_s, 0.05)


class Server(RecordedProcess, ABC):
    """One that can be started, and that answers requests once it serves."""

    @property
    def ports(self) -> list[int]:
        """The ports it listens on."""
        return []

    @abstractmethod
    def start(self) -> None:
        """Start it, unless it runs; does not wait until it serves."""

    @abstractmethod
    def serving(self, timeout_s: float = 1.0) -> bool:
        """Whether it answers a request within `timeout_s` seconds."""

    def wait_serving(self, timeout_s: float = 60.0) -> None:
        """Wait until it serves.

        Raises:
            LabError: It ended, or did not serve in time.
        """
        if not wait_until(lambda: self.serving() or self.process() is None, timeout_s):
            raise SlowError(f"{self.name} does not serve after {timeout_s:.0f} s; see {self.log}")
        why = self.exited()
        if why is not None:
            raise LabError(why)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back SIGINT, SIGTERM and SIGHUP until the block has ended.

    A process that was started and not yet written down, or a cleaning up that was broken off,
    would leave servers that nobody stops. Off the main thread it does nothing: signals are not
    delivered there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in came[:1]:
            signal.raise_signal(caught)


def is_frozen(pid: int) -> bool:
    """Whether each thread of a process is stopped; True where there is no /proc to tell."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        # A thread that has just ended is stopped enough.
        with contextlib.suppress(OSError):
            state = stat.read_text().rpartition(")")[2].split()[0]
            if state not in {"T", "t", "Z", "X"}:
                return False
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float, interval_s: float = 0.1) -> bool:
    """Call `condition` until it is true or `timeout_s` seconds have passed; return its last result."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval_s)
    return True


def environment(**extra: str) -> dict[str, str]:
    """Return the part of our environment that a server of the lab gets.

    A few harmless names: no secrets, and none of the INFLUXD_* that would change how it runs.
    """
    names = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ} | extra
