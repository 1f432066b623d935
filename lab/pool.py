"""The pool of workers, under supervisord as on the NUC."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.errors import BusyError, MissingError
from lab.system.server_process import Server, environment

#: The checkout: supervisor.conf names its own folder.
ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "supervisor.conf"
RUN = ROOT / "var"
PROGRAM = Path(sys.executable).with_name("supervisord")
#: Seconds for all workers to drain and stop, above the 20 s that supervisor.conf gives each.
STOP_S = 40.0


class LabPool(Server):
    """supervisord with its workers, in the foreground of a session of its own.

    Args:
        folder: Where its record is; socket, logs and states are where supervisor.conf has them.
        settings: The workers' environment.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        super().__init__("the pool", folder)
        self._settings = dict(settings)

    def check(self) -> None:
        """See whether it could start.

        Raises:
            MissingError: This is no checkout of Tower.
            BusyError: The checkout's supervisord runs already.
        """
        if not CONFIG.exists() or not PROGRAM.exists():
            raise MissingError(f"{CONFIG} or {PROGRAM} is missing; run `make install` in a checkout")
        if self.serving():
            raise BusyError(
                "a pool of this checkout runs already; see it with `supervisorctl -c "
                "supervisor.conf status`, stop it with `tower down`"
            )

    def start(self) -> None:
        """Start supervisord, once `check` has found nothing against it."""
        self.check()
        RUN.mkdir(mode=0o700, exist_ok=True)
        # None of our own TOWER_ variables: the pool is the lab's, whatever else is configured here.
        self.launch(
            [str(PROGRAM), "--nodaemon", "--configuration", str(CONFIG)],
            environment(**self._settings),
        )

    def serving(self, timeout_s: float = 1.0) -> bool:
        """Whether supervisord's socket answers."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            try:
                connection.connect(str(RUN / "supervisor.sock"))
            except OSError:
                return False
        return True

    def worker_logs(self, lines: int = 15) -> str:
        """The end of each worker's log."""
        parts = []
        for log in sorted(RUN.glob("worker-*.log")):
            text = log.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"{log}:", *(f"    {line[:300]}" for line in text)]))
        return "\n".join(parts) or f"no worker has a log in {RUN}"
