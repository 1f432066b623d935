"""Tests whether servers can be reached from here: the name resolves and the port accepts a connection."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from workers.commands.console import show_wait
from workers.errors import CommandError

#: Kafka's own default port.
KAFKA_PORT = 9092

#: Seconds for name lookup and connection. A name server that does not answer would take 30.
PROBE_S = 4.0

#: Seconds for a TLS handshake with a server that accepts connections.
TLS_S = 1.0


class BrokerAddress(NamedTuple):
    """Host and port of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Unreachable(NamedTuple):
    """Why an address was not reached.

    Args:
        resolved: False if the name does not resolve here.
        why: The operating system's error.
    """

    resolved: bool
    why: str


def addresses(servers: str) -> list[BrokerAddress]:
    """Parse `bootstrap.servers`: `host:port`, `host`, `[::1]:9092`, `SSL://host:9093`."""
    parsed = []
    for part in servers.split(","):
        text = part.strip().rpartition("://")[2].rstrip("/")
        host, colon, port = text.rpartition(":")
        if not colon or "]" in port or not port.isdigit():
            host, port = text, str(KAFKA_PORT)
        if host:
            parsed.append(BrokerAddress(host.strip("[]"), int(port)))
    return parsed


def ip_address(address: BrokerAddress) -> str:
    """Return the IP address at which a server accepts a connection; the first one or the name if none."""
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return address.host
    hosts = [str(entry[4][0]) for entry in found]
    return next((host for host in hosts if attempt(BrokerAddress(host, address.port)) is None), hosts[0])


def attempt(address: BrokerAddress) -> Unreachable | None:
    """Resolve the name and connect; None if both succeed."""
    try:
        socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Unreachable(False, getattr(error, "strerror", None) or str(error))
    try:
        socket.create_connection(address, PROBE_S).close()
    except OSError as error:
        return Unreachable(True, error.strerror or str(error) or type(error).__name__)
    return None


def accepts_tls(address: BrokerAddress) -> bool:
    """Return whether a server answers a TLS handshake. Its certificate is not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(address, TLS_S) as sock, context.wrap_socket(sock):
            return True
    except OSError:
        return False


def probe(
    servers: Iterable[BrokerAddress],
    attempt: Callable[[BrokerAddress], Unreachable | None] = attempt,
    timeout_s: float = PROBE_S,
) -> Mapping[BrokerAddress, Unreachable | None]:
    """Try all addresses at the same time.

    Args:
        servers: The addresses.
        attempt: Tries one address.
        timeout_s: Seconds for all of them together: a name lookup has no time-out.

    Returns:
        For each address why it was not reached, None if it was.
    """
    results: dict[BrokerAddress, Unreachable | None] = {}

    def run(address: BrokerAddress) -> None:
        results[address] = attempt(address)

    threads = {address: threading.Thread(target=run, args=(address,), daemon=True) for address in servers}
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + timeout_s
    with show_wait("connections to the brokers", timeout_s):
        for thread in threads.values():
            thread.join(max(0.0, end - time.monotonic()))
    late = Unreachable(True, f"no answer within {timeout_s:g} s")
    return {address: results.get(address, late) for address in threads}


def require_reachable(servers: Iterable[BrokerAddress], do: str) -> None:
    """Return if one of the servers accepts a connection.

    Raises:
        CommandError: None does; `do` is what to do about it.
    """
    results = probe(servers)
    if not results or all(results.values()):
        reasons = "; ".join(f"{server}: {failure.why}" for server, failure in results.items() if failure)
        raise CommandError(f"no broker can be reached ({reasons or 'none is named'})", do)
