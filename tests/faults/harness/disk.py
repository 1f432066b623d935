"""An InfluxDB of its own whose disk is small, can be filled, and is freed again."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lab.influxdb import binary
from lab.influxdb.server import InfluxdbServer
from lab.provision import LabProvisioner, Secrets
from lab.system import ports
from lab.system.progress import Progress
from lab.system.server_process import wait_until

#: Size of the disk: a few segments of the WAL, 10 MB each.
SIZE_MB = 64

#: Seconds until the server serves.
SERVE_S = 60.0


class SmallDisk:
    """A file system in memory, mounted where InfluxDB keeps its points.

    Args:
        folder: Where it is mounted; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def mount(self) -> None:
        """Mount it.

        Raises:
            PermissionError: Only root may mount; says so.
        """
        if os.geteuid() != 0:
            raise PermissionError("a small disk has to be mounted: run these tests as root")
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tower-fault", str(self.folder)], check=True
        )

    def unmount(self) -> None:
        """Unmount it, whoever has files open there."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False)

    def fill(self) -> None:
        """Use up all that is left, to the last block."""
        with self._ballast.open("ab", buffering=0) as ballast, suppress(OSError):
            while ballast.write(bytes(4096)) == 4096:
                pass

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def seal(self) -> None:
        """Mount the folder over itself, read-only; what is open there stays open for writing."""
        folder = str(self.folder)
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)

    def unseal(self) -> None:
        """Take that mount away."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class FlushingServer(InfluxdbServer):
    """InfluxDB that empties its write-ahead log when it is stopped.

    Without that a log that broke off on a full disk costs acknowledged points at the second start after it:
    the first one appends behind the place that it then cuts off, and the second takes the hole for the end
    (tsdb/engine/tsm1: WAL.Open seeks to the end before the cache loader truncates).
    """

    def terminate(self) -> None:
        """Ask it to stop; SIGINT, since on SIGTERM influxd ends at once and empties nothing."""
        process = self.process()
        if process is not None:
            process.send_signal(signal.SIGINT)

    def launch(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it with the option."""
        super().launch([*argv, "--storage-wal-flush-on-shutdown"], env)


@contextmanager
def small_influxdb(folder: Path) -> Iterator[tuple[InfluxdbServer, Secrets, SmallDisk]]:
    """An InfluxDB with its engine on a small disk, provisioned, gone at the end.

    Args:
        folder: Where all of it lives.
    """
    progress = Progress(quiet=True)
    (port,) = ports.choose("localhost", 1)
    server = FlushingServer(folder, lambda: binary.influxd(progress), "localhost", port)
    disk = SmallDisk(folder / "engine")
    disk.mount()
    try:
        server.start()
        assert wait_until(server.serving, SERVE_S), server.log_tail()
        secrets = Secrets(folder / "secrets")
        LabProvisioner(server, secrets).run()
        yield server, secrets, disk
    finally:
        server.kill()
        disk.unmount()
        shutil.rmtree(folder, ignore_errors=True)
