"""A connected socket, plain or TLS, with a deadline for every wait."""

import select
import socket
import ssl
import time

#: Maximum bytes of one `receive`.
RECEIVE_BYTES = 65_536

#: Seconds to connect, including the TLS handshake. A healthy server accepts at once.
CONNECT_S = 5.0

#: Shortest time-out in seconds: with 0, even an immediate answer would be too late.
MIN_TIMEOUT_S = 0.05


class Transport:
    """Sends and receives without blocking. Only `wait` blocks, until its deadline.

    Args:
        sock: A connected socket; the transport closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._poll = select.poll()
        self._awaited = select.POLLIN

    def receive(self) -> bytes | None:
        """Return what has arrived: empty at the end of the stream, None if nothing has arrived yet.

        Raises:
            OSError: The connection is broken.
        """
        self._awaited = select.POLLIN
        try:
            return self._sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except ssl.SSLWantWriteError:
            self._awaited = select.POLLOUT
            return None

    def send(self, unsent: list[memoryview]) -> None:
        """Send what the socket accepts now and remove it from `unsent`. Call `receive` first.

        Raises:
            OSError: The connection is broken.
        """
        try:
            # TLS takes one buffer at a time.
            tls = isinstance(self._sock, ssl.SSLSocket)
            count = self._sock.send(unsent[0]) if tls else self._sock.sendmsg(unsent)
        except ssl.SSLWantReadError:
            return
        except (BlockingIOError, ssl.SSLWantWriteError):
            count = 0
        while unsent and count >= len(unsent[0]):
            count -= len(unsent.pop(0))
        if unsent:
            unsent[0] = unsent[0][count:]
            self._awaited |= select.POLLOUT

    def wait(self, deadline: float) -> None:
        """Wait until `receive` or `send` can continue, or the deadline has passed.

        Args:
            deadline: Seconds of the monotonic clock.
        """
        self._poll.register(self._sock, self._awaited)
        # A negative time-out would mean to wait for ever.
        self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def connect(host: str, port: int, tls: ssl.SSLContext | None, deadline: float) -> Transport:
    """Connect within `CONNECT_S` and before the deadline. The resolver has its own time-out.

    Args:
        host: Name, IPv4 or IPv6 address.
        port: TCP port.
        tls: How to verify the server; None for a plain connection.
        deadline: Seconds of the monotonic clock.

    Raises:
        OSError: The name does not resolve, no address accepts in time, or the TLS handshake fails.
    """
    until = min(deadline, time.monotonic() + CONNECT_S)
    sock = _connected(host, port, until)
    try:
        # Otherwise a request would wait until the server has acknowledged the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock.settimeout(_remaining(until))
            sock = tls.wrap_socket(sock, server_hostname=host)
        return Transport(sock)
    except BaseException:
        sock.close()
        raise


def _connected(host: str, port: int, until: float) -> socket.socket:
    """Return a socket to the first address that accepts. Each address gets a share of the time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_remaining(until) / (len(addresses) - tried))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _remaining(until: float) -> float:
    return max(MIN_TIMEOUT_S, until - time.monotonic())
