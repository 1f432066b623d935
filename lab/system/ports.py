"""Ports for the lab's servers: which are free, and which will stay so."""

import random
import socket
from pathlib import Path

from lab.errors import BusyError

#: Where the kernel takes ports for outgoing connections from, on a machine that does not say.
EPHEMERAL_LOW = 32_768
#: Below this are the well-known services of other programs.
LOWEST = 20_000


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port whose last connections are only lingering is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def choose(host: str, count: int) -> list[int]:
    """Free ports below the range of outgoing connections.

    A port from that range could be taken by any client while its server is down for a restart.

    Raises:
        BusyError: Not enough of them are free.
    """
    low, high = LOWEST, min(_ephemeral_low(), 60_000)
    if high - low < 2_000:
        low, high = 61_000, 65_000
    free: list[int] = []
    for port in random.sample(range(low, high), k=min(1_000, high - low)):
        if len(free) == count:
            break
        if is_free(host, port):
            free.append(port)
    if len(free) < count:
        raise BusyError(f"no {count} free ports between {low} and {high} on {host}")
    return free


def _ephemeral_low() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text()
        return int(text.split()[0])
    except (OSError, ValueError, IndexError):
        return EPHEMERAL_LOW
