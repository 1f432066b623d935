"""supervisord of one pool: starts it, asks it about its processes, stops it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Error as XmlRpcError
from xmlrpc.client import Fault

from supervisor.options import ClientOptions
from supervisor.xmlrpc import Faults

from workers.commands.clients.supervisor_conf import pid_file
from workers.errors import CommandError

#: Seconds for one answer of supervisord. It answers at once unless it hangs.
ANSWER_S = 10.0

#: Seconds for supervisord to read its file and become a daemon.
DAEMON_S = 30.0

#: supervisord's names of the workers begin with this one.
GROUP = "worker"

#: Errors of a connection to the socket of a supervisord that does not run.
NOT_RUNNING = (FileNotFoundError, ConnectionRefusedError)


class ShuttingDown(CommandError):
    """supervisord runs, but it stops its workers and itself, and answers nothing else."""

    def __init__(self) -> None:
        super().__init__("supervisord is shutting down", "wait until it has ended, then try again")


@dataclass(frozen=True)
class WorkerProcess:
    """One worker as supervisord knows it.

    Args:
        number: Number of the worker.
        pid: Its process id, 0 if it does not run.
        state: supervisord's word: RUNNING, EXITED, STOPPED, BACKOFF, FATAL, …
        exit_code: Exit code of its last end; 0 before the first one.
    """

    number: int
    pid: int
    state: str
    exit_code: int


class Supervisord:
    """The supervisord that a configuration file belongs to, whether it runs or not.

    Args:
        config: supervisor.conf.

    Raises:
        CommandError: There is no such file, or supervisor cannot read it.
    """

    def __init__(self, config: Path) -> None:
        self.config = config.absolute()
        if not self.config.is_file():
            raise CommandError(
                f"there is no {config}", "change to the pool's folder, or create one with `tower init DIR`"
            )
        options = ClientOptions()
        try:
            # supervisor's own reading of its file: the socket's place, with all of its variables.
            options.realize(["-c", str(self.config)], doc="")
        except (SystemExit, ValueError) as error:
            raise CommandError(f"{config} cannot be used: {error}") from None
        self._options = options

    def processes(self) -> list[WorkerProcess] | None:
        """Return the workers in order of their numbers, None if supervisord does not run.

        Raises:
            CommandError: It runs and does not answer as it should.
        """
        try:
            with self._proxy() as proxy:
                answers = proxy.getAllProcessInfo()
        except NOT_RUNNING:
            return None
        workers = [
            WorkerProcess(
                int(answer["name"]), int(answer["pid"]), answer["statename"], int(answer["exitstatus"])
            )
            for answer in answers
            if answer["group"] == GROUP
        ]
        return sorted(workers, key=lambda worker: worker.number)

    def start(self) -> None:
        """Start supervisord as a daemon, with the environment of this command.

        Raises:
            CommandError: It did not start. The text is its own.
        """
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.config)]
        try:
            done = subprocess.run(
                command,
                cwd=self.config.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DAEMON_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(f"supervisord did not start within {DAEMON_S:.0f} s") from None
        if done.returncode:
            raise CommandError(f"supervisord did not start: {(done.stderr or done.stdout).strip()[-500:]}")

    def start_stopped(self) -> None:
        """Start the workers that ended for good, for example after a wrong setting.

        Raises:
            CommandError: supervisord does not answer as it should.
        """
        with self._proxy() as proxy:
            proxy.startProcessGroup(GROUP, False)

    def pid(self) -> int | None:
        """Return supervisord's process id, None if it does not run.

        Raises:
            CommandError: It runs and does not answer as it should.
        """
        try:
            with self._proxy() as proxy:
                return int(proxy.getPID())
        except NOT_RUNNING:
            return None
        except ShuttingDown as error:
            try:
                return int(pid_file(self.config).read_text())
            except (OSError, ValueError):
                raise error from None

    def shut_down(self) -> None:
        """Ask supervisord to stop all workers and itself. Returns at once, also if it does that already.

        Raises:
            CommandError: It runs and does not answer as it should.
        """
        with suppress(ShuttingDown, *NOT_RUNNING), self._proxy() as proxy:
            proxy.shutdown()

    @contextmanager
    def _proxy(self) -> Iterator[Any]:
        """Connect for one call, which gets an answer within `ANSWER_S`.

        Raises:
            FileNotFoundError: supervisord does not run; or ConnectionRefusedError.
            ShuttingDown: It is shutting down.
            CommandError: It runs and does not answer as it should.
        """
        # supervisor's transport has no time-out of its own.
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(ANSWER_S)
        proxy = self._options.getServerProxy()
        try:
            yield proxy.supervisor
        except NOT_RUNNING:
            raise
        except (OSError, HTTPException, XmlRpcError) as error:
            if isinstance(error, Fault) and error.faultCode == Faults.SHUTDOWN_STATE:
                raise ShuttingDown from None
            raise CommandError(
                f"supervisord runs, but does not answer: {error}",
                f"look at its log beside {self.config}, or end it with `kill`",
            ) from None
        finally:
            proxy("close")()
            socket.setdefaulttimeout(before)
