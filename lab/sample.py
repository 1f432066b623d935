"""One sample of this machine, as the lab's Pi takes it: by snmpget, or by psutil in its stead."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.errors import LabError, MissingError

#: The lab's object ids, in numbers, since Debian ships no MIB files. `{}` is the interface.
OIDS = {
    "tx": ".1.3.6.1.2.1.2.2.1.16.{}",  # ifOutOctets
    "rx": ".1.3.6.1.2.1.2.2.1.10.{}",  # ifInOctets
    "tx_dropped": ".1.3.6.1.2.1.2.2.1.19.{}",  # ifOutDiscards
    "rx_dropped": ".1.3.6.1.2.1.2.2.1.13.{}",  # ifInDiscards
    "txError": ".1.3.6.1.2.1.2.2.1.20.{}",  # ifOutErrors
    "rxError": ".1.3.6.1.2.1.2.2.1.14.{}",  # ifInErrors
    "CPU_Usage": ".1.3.6.1.4.1.2021.10.1.3.1",  # laLoad.1
    "memory": ".1.3.6.1.4.1.2021.4.6.0",  # memAvailReal.0
    "disk": ".1.3.6.1.4.1.2021.9.1.9.1",  # dskPercent.1
}
#: Seconds that snmpd has for its answer.
SNMP_S = 5.0


def psutil_sample() -> dict[str, str]:
    """The lab's nine values of this machine, as text, which is how snmpget prints them."""
    network = psutil.net_io_counters()
    disk = psutil.disk_usage("/")
    return {
        "tx": str(network.bytes_sent),
        "rx": str(network.bytes_recv),
        "tx_dropped": str(network.dropout),
        "rx_dropped": str(network.dropin),
        "txError": str(network.errout),
        "rxError": str(network.errin),
        "CPU_Usage": f"{os.getloadavg()[0]:.2f}",
        "memory": str(psutil.virtual_memory().free // 1024),
        "disk": f"{disk.percent:.0f}",
    }


@dataclass(frozen=True)
class Snmp:
    """A running snmpd.

    Args:
        agent: `host` or `host:port`.
        community: the word it lets readers in by.
        interface: index of the network interface.
    """

    agent: str
    community: str
    interface: int = 2

    def sample(self) -> dict[str, str]:
        """Ask for the lab's nine values; an object that is missing answers in words.

        Raises:
            MissingError: there is no snmpget.
            LabError: snmpd does not answer.
        """
        if shutil.which("snmpget") is None:
            raise MissingError("snmpget is missing: apt-get install snmp")
        oids = [oid.format(self.interface) for oid in OIDS.values()]
        with tempfile.TemporaryDirectory(prefix="tower-snmp-") as folder:
            # The community goes by a private file: everybody may read argv.
            config = Path(folder) / "snmp.conf"
            config.touch(0o600)
            config.write_text(f"defVersion 2c\ndefCommunity {self.community}\n")
            try:
                done = subprocess.run(
                    ["snmpget", "-Oqv", "-t", "1", "-r", "1", self.agent, *oids],
                    env=os.environ | {"SNMPCONFPATH": folder, "SNMP_PERSISTENT_DIR": folder},
                    capture_output=True,
                    timeout=SNMP_S,
                    check=False,
                    text=True,
                )
            except subprocess.TimeoutExpired:
                raise LabError(f"snmpd at {self.agent} did not answer in {SNMP_S:.0f} s") from None
        values = done.stdout.splitlines()
        if len(values) != len(OIDS):
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise LabError(
                f"snmpd at {self.agent} did not give the {len(OIDS)} values: {reason[:200]}; is it "
                "running, and may this community read them?"
            )
        return dict(zip(OIDS, (value.strip().strip('"') for value in values), strict=True))
