"""One sample of this machine, as the lab's Pi takes it: by the Pi's own shell line, or by psutil."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import psutil

from lab.errors import LabError, MissingError

#: Seconds that the shell line may take; each of its nine questions gives up after two.
SNMP_S = 20.0
#: The community of the Pi's snmpd, which is no secret.
COMMUNITY = "public"
#: Objects of a network interface end in its index; on the Pi it is the second.
INTERFACE = 2
_INTERFACES_TABLE = re.compile(rf"(?<= \.1\.3\.6\.1\.2\.1\.2\.2\.1\.)(\d+)\.{INTERFACE}\b")


def psutil_sample() -> dict[str, Any]:
    """The lab's nine values of this machine, as the Pi's shell line has them: `cpu_load` is text."""
    network, disk = psutil.net_io_counters(), psutil.disk_usage("/")
    return {
        "tx_bytes": network.bytes_sent,
        "rx_bytes": network.bytes_recv,
        "tx_drops": network.dropout,
        "rx_drops": network.dropin,
        "tx_errors": network.errout,
        "rx_errors": network.errin,
        "cpu_load": f"{os.getloadavg()[0]:.2f}",
        "free_ram": psutil.virtual_memory().free // 1024,
        # As snmpd divides it: df leaves out what only root may use.
        "disk_util": 100 * disk.used // disk.total,
    }


def shell_line(agent: str = "localhost", interface: int = INTERFACE) -> str:
    """What the Pi's Fluentd runs once a second: the `command` of lab/senders/fluent.conf.

    It asks snmpd nine times and prints one JSON object; if snmpd answers one of them in words, what it
    prints is no JSON.

    Args:
        agent: `host` or `host:port` of snmpd.
        interface: Index of the network interface.
    """
    config = resources.files("lab.senders").joinpath("fluent.conf").read_text()
    (line,) = re.findall(r"^ *command (.*)$", config, re.MULTILINE)
    line = _INTERFACES_TABLE.sub(rf"\g<1>.{interface}", line)
    return str(line.replace(" localhost ", f" {shlex.quote(agent)} "))


@dataclass(frozen=True)
class Snmp:
    """A running snmpd.

    Args:
        agent: `host` or `host:port`.
        community: The word it lets readers in by.
        interface: Index of the network interface.
    """

    agent: str
    community: str = COMMUNITY
    interface: int = INTERFACE

    def sample(self) -> dict[str, Any]:
        """The lab's nine values, by the shell line that the Pi runs.

        Raises:
            MissingError: There is no snmpget.
            LabError: The line printed no record: snmpd does not answer, or lacks one of the objects.
        """
        if shutil.which("snmpget") is None:
            raise MissingError("snmpget is missing: apt-get install snmp")
        line = shell_line(self.agent, self.interface)
        if self.community != COMMUNITY:
            # Another community may be a secret: it goes by a private file, as everybody may read argv.
            line = line.replace(f" -c {COMMUNITY} ", " ")
        with tempfile.TemporaryDirectory(prefix="tower-snmp-") as folder:
            # snmpget would make this folder and say so where its errors stand.
            (Path(folder) / "cert_indexes").mkdir()
            config = Path(folder) / "snmp.conf"
            config.touch(0o600)
            config.write_text(f"defCommunity {self.community}\ntimeout 1\nretries 1\n")
            try:
                done = subprocess.run(
                    ["sh", "-c", line],
                    env=os.environ | {"SNMPCONFPATH": f"{folder}:/etc/snmp", "SNMP_PERSISTENT_DIR": folder},
                    capture_output=True,
                    timeout=SNMP_S,
                    check=False,
                    text=True,
                )
            except subprocess.TimeoutExpired:
                raise LabError(f"snmpd at {self.agent} did not answer in {SNMP_S:.0f} s") from None
        try:
            record: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            answer = (done.stderr.strip() or done.stdout.strip()).splitlines() or ["nothing"]
            raise LabError(
                f"snmpd at {self.agent} did not give all of the record: {answer[-1][:500]}; is it running, "
                "may this community read, and has snmpd.conf a line `disk /`?"
            ) from None
        return record
