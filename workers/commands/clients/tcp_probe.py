"""Whether a server can be reached from here: its name resolves, its port takes a connection."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from workers.commands.console import seen

#: Kafka's own default port.
KAFKA_PORT = 9092

#: Seconds for a name and a connection; a name server that does not answer would take 30.
REACH_S = 4.0


class Address(NamedTuple):
    """Host and port of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Unreachable(NamedTuple):
    """Why an address was not reached.

    Args:
        resolved: False where the name itself has no address here.
        why: In the system's words.
    """

    resolved: bool
    why: str


def addresses(servers: str) -> list[Address]:
    """`bootstrap.servers` taken apart: `host:port`, `host`, `[::1]:9092`, `SSL://host:9093`."""
    found = []
    for part in servers.split(","):
        text = part.strip().rpartition("://")[2].rstrip("/")
        host, colon, port = text.rpartition(":")
        if not colon or "]" in port or not port.isdigit():
            host, port = text, str(KAFKA_PORT)
        if host:
            found.append(Address(host.strip("[]"), int(port)))
    return found


def number_of(host: str) -> str:
    """An address of a host in numbers; the name itself where it does not resolve."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return host


def attempt(address: Address) -> Unreachable | None:
    """Resolve and connect; None where that went well."""
    try:
        socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Unreachable(False, getattr(error, "strerror", None) or str(error))
    try:
        socket.create_connection(address, REACH_S).close()
    except OSError as error:
        return Unreachable(True, error.strerror or str(error) or type(error).__name__)
    return None


def reach(
    wanted: Iterable[Address],
    attempt: Callable[[Address], Unreachable | None] = attempt,
    timeout_s: float = REACH_S,
) -> Mapping[Address, Unreachable | None]:
    """Try all addresses at once.

    Args:
        wanted: The addresses.
        attempt: Tries one.
        timeout_s: Seconds for all together: a name lookup has no time-out of its own.

    Returns:
        For each address why it was not reached, None where it was.
    """
    found: dict[Address, Unreachable | None] = {}

    def one(address: Address) -> None:
        found[address] = attempt(address)

    threads = {each: threading.Thread(target=one, args=(each,), daemon=True) for each in wanted}
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + timeout_s
    with seen("connections to the brokers", timeout_s):
        for thread in threads.values():
            thread.join(max(0.0, end - time.monotonic()))
    late = Unreachable(True, f"no answer within {timeout_s:g} s")
    return {each: found.get(each, late) for each in threads}
