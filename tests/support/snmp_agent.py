"""A real snmpd on a port of its own, with a configuration of its own and nothing of the machine's."""

import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.system.server_process import Server, environment

#: laLoad.1, which every snmpd has.
LOAD = ".1.3.6.1.4.1.2021.10.1.3.1"


class Agent(Server):
    """snmpd on loopback; anybody there may read as `public`.

    Args:
        program: Path of snmpd.
        folder: For its files.
        lines: Further lines of its snmpd.conf.
    """

    def __init__(self, program: str, folder: Path, lines: Sequence[str]) -> None:
        super().__init__("snmpd", folder)
        self._program = program
        self._lines = lines
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])

    @property
    def address(self) -> str:
        """`host:port` to ask at."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it."""
        self.folder.mkdir(parents=True)
        config = self.folder / "snmpd.conf"
        lines = [f"agentaddress udp:{self.address}", "rocommunity public 127.0.0.1", *self._lines]
        config.write_text("\n".join(lines) + "\n")
        # -C: only this configuration; no MIB files, which need packages of their own.
        argv = [self._program, "-C", "-c", str(config), "-f", "-Lo", "-m", ""]
        self.launch(argv, environment(SNMP_PERSISTENT_DIR=str(self.folder / "persistent"), MIBS=""))

    def serving(self, timeout_s: float = 1.0) -> bool:
        """Whether it answers."""
        wait = ["-t", str(timeout_s), "-r", "0"]
        command = ["snmpget", "-v2c", "-c", "public", *wait, self.address, LOAD]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
