"""An InfluxDB of its own whose disk is small, can be filled, and is freed again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import influxd, ports
from lab.influxdb import Influxdb
from lab.process import wait_until
from lab.progress import Progress
from lab.provision import Provisioner, Secrets

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
            raise PermissionError("fault 19 mounts a small disk: run the fault suite as root")
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


@contextmanager
def small_influxdb(folder: Path) -> Iterator[tuple[Influxdb, Secrets, SmallDisk]]:
    """An InfluxDB with its engine on a small disk, provisioned, gone at the end.

    Args:
        folder: Where all of it lives.
    """
    progress = Progress(quiet=True)
    (port,) = ports.choose("localhost", 1)
    server = Influxdb(folder, lambda: influxd.influxd(progress), "localhost", port)
    disk = SmallDisk(folder / "engine")
    disk.mount()
    try:
        server.start()
        assert wait_until(server.serving, SERVE_S), server.log_tail()
        secrets = Secrets(folder / "secrets")
        Provisioner(server, secrets).run()
        yield server, secrets, disk
    finally:
        server.kill()
        disk.unmount()
        shutil.rmtree(folder, ignore_errors=True)
