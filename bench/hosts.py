"""Two hosts on one machine: network namespaces on a bridge, each with a host name of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The bridge's network; its first address is this machine's, where the lab listens.
NETWORK = "10.213.77"
HERE = f"{NETWORK}.1"
PROGRAMS = ("ip", "unshare", "hostname", "sh")


def missing() -> str:
    """Why there can be no such hosts here; empty where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not installed (iproute2, util-linux, hostname)"
    return ""


@contextmanager
def hosts(count: int) -> Iterator[list[list[str]]]:
    """Hosts while the block runs: for each the words that put a command there.

    Raises:
        LabError: they cannot be made.
    """
    # Fifteen characters are all an interface's name may have.
    tag = f"tw{os.getpid() % 100_000}"
    bridge, names = f"{tag}b", [f"{tag}h{number}" for number in range(count)]
    try:
        _ip("link", "add", bridge, "type", "bridge")
        _ip("addr", "add", f"{HERE}/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        for number, name in enumerate(names):
            _ip("netns", "add", name)
            _ip("link", "add", f"{tag}v{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("link", "set", f"{tag}v{number}", "master", bridge, "up")
            _ip("-n", name, "addr", "add", f"{NETWORK}.{10 + number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield [words(name, f"host-{number}") for number, name in enumerate(names)]
    finally:
        # A namespace takes its end of the cable with it, and so the other end.
        for name in names:
            _ip("netns", "del", name, check=False)
        _ip("link", "del", bridge, check=False)


def words(namespace: str, name: str) -> list[str]:
    """What stands before a command that runs on a host.

    A worker's place in the group has its host's name in it, so each host needs one.
    """
    script = 'hostname "$0" && exec "$@"'
    return ["ip", "netns", "exec", namespace, "unshare", "--uts", "sh", "-c", script, name]


def _ip(*arguments: str, check: bool = True) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=20, check=False)
    if check and done.returncode:
        raise LabError(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}; two hosts need root")
