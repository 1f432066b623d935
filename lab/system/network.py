"""Hosts on one machine: network namespaces on a bridge, whose cables can be cut."""

import ipaddress
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.errors import BusyError, LabError

PROGRAMS = ("ip", "unshare", "hostname", "sh")
#: A hardware address nobody has: what is sent there is lost without a sound.
NOBODY = "02:00:00:00:00:00"
#: Seconds one `ip` may take.
IP_S = 20.0


def missing() -> str:
    """Why there can be no such hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not installed (iproute2, util-linux, hostname)"
    return ""


@dataclass(frozen=True)
class Host:
    """One of them.

    Args:
        name: Its host name.
        address: Where the others reach it.
        device: Its network interface.
        namespace: Its network namespace; empty for this machine's own side of the bridge.
        cable: The bridge's end of its cable.
    """

    name: str
    address: str
    device: str
    namespace: str = ""
    cable: str = ""

    @property
    def words(self) -> list[str]:
        """What stands before a command that runs there.

        A worker's place in the group has its host's name in it, so each host needs one.
        """
        script = 'hostname "$0" && exec "$@"'
        return [
            *("ip", "netns", "exec", self.namespace),
            *("unshare", "--uts", "sh", "-c", script, self.name),
        ]

    def lose(self, *others: "Host") -> None:
        """What this host sends to the others is lost from now on; what they send arrives.

        Nobody is told, as with a real loss: a blackhole route would fail each `connect` at once.
        """
        for other in others:
            arguments = (other.address, "lladdr", NOBODY, "dev", self.device, "nud", "permanent")
            self._ip("neigh", "replace", *arguments)

    def unplug(self) -> None:
        """Pull its cable out of the bridge."""
        _ip("link", "set", self.cable, "down")

    def heal(self) -> None:
        """End both."""
        if self.cable:
            _ip("link", "set", self.cable, "up")
        # Flushing spares permanent entries unless they are named.
        self._ip("neigh", "flush", "dev", self.device, "nud", "permanent")

    def _ip(self, *arguments: str) -> None:
        _ip(*(("-n", self.namespace) if self.namespace else ()), *arguments)


@dataclass(frozen=True)
class Network:
    """A bridge with hosts on it.

    Args:
        here: This machine's own side, where whoever made the network can listen.
        hosts: The others.
    """

    here: Host
    hosts: list[Host]

    def cut(self, ours: list[Host], theirs: list[Host]) -> None:
        """Nothing gets from any of `ours` to any of `theirs`, nor back."""
        for host in ours:
            host.lose(*theirs)
        for host in theirs:
            host.lose(*ours)

    def heal(self) -> None:
        """Everything arrives everywhere again."""
        for host in (self.here, *self.hosts):
            host.heal()


@contextmanager
def network(count: int) -> Iterator[Network]:
    """A network of its own while the block runs; what runs on its hosts must have ended with it.

    Raises:
        LabError: It cannot be made.
    """
    # Fifteen characters are all an interface's name may have.
    tag = f"tw{os.getpid() % 100_000}x{random.randrange(1_000)}"
    free = _free_network()
    here = Host("here", f"{free}.1", f"{tag}b")
    hosts = [
        Host(f"host-{number}", f"{free}.{10 + number}", "eth0", f"{tag}h{number}", f"{tag}v{number}")
        for number in range(count)
    ]
    try:
        _ip("link", "add", here.device, "type", "bridge")
        _ip("addr", "add", f"{here.address}/24", "dev", here.device)
        _ip("link", "set", here.device, "up")
        for host in hosts:
            _ip("netns", "add", host.namespace)
            _ip("link", "add", host.cable, *_peer(host))
            _ip("link", "set", host.cable, "master", here.device, "up")
            _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", host.device)
            _ip("-n", host.namespace, "link", "set", host.device, "up")
            _ip("-n", host.namespace, "link", "set", "lo", "up")
        yield Network(here, hosts)
    finally:
        # A namespace takes its end of the cable with it, and so the other end.
        for host in hosts:
            _ip("netns", "del", host.namespace, check=False)
        _ip("link", "del", here.device, check=False)


def _peer(host: Host) -> tuple[str, ...]:
    return ("type", "veth", "peer", "name", host.device, "netns", host.namespace)


def _free_network() -> str:
    """The first three numbers of a private network that no route of this machine leads to."""
    routes: list[dict[str, Any]] = json.loads(_ip("-json", "-4", "route", "show", "table", "all") or "[]")
    used = [
        ipaddress.ip_network(route["dst"]) for route in routes if route.get("dst", "default") != "default"
    ]
    for third in random.sample(range(256), 256):
        candidate = ipaddress.ip_network(f"10.213.{third}.0/24")
        if not any(candidate.overlaps(other) for other in used):
            return f"10.213.{third}"
    raise BusyError("every network from 10.213.0.0 to 10.213.255.0 has a route here already")


def _ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=IP_S, check=False)
    if check and done.returncode:
        raise LabError(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}; network namespaces need root")
    return done.stdout
