"""A connected socket, plain or TLS, with a deadline for every wait."""

import os
import select
import socket
import ssl
import time
from collections.abc import Callable

#: Maximum bytes of one `receive`.
RECEIVE_BYTES = 65_536

#: Seconds to connect, including the TLS handshake. A healthy server accepts at once.
CONNECT_S = 5.0

#: Longest wait in seconds without a look at the time to finish.
SLICE_S = 0.25

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
        """Wait until `receive` or `send` can continue, until the deadline, and no longer than `SLICE_S`.

        Args:
            deadline: Seconds of the monotonic clock.
        """
        self._poll.register(self._sock, self._awaited)
        # A negative time-out would mean to wait for ever.
        self._poll.poll(max(0.0, min(SLICE_S, deadline - time.monotonic())) * 1000)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def connect(
    host: str, port: int, tls: ssl.SSLContext | None, deadline: float, check: Callable[[], None]
) -> Transport:
    """Connect within `CONNECT_S` and before the deadline. The resolver has its own time-out.

    Args:
        host: Name, IPv4 or IPv6 address.
        port: TCP port.
        tls: How to verify the server; None for a plain connection.
        deadline: Seconds of the monotonic clock.
        check: Called before each wait, at least every `SLICE_S` seconds. It may raise.

    Raises:
        OSError: The name does not resolve, no address accepts in time, or the TLS handshake fails.
    """
    until = min(deadline, time.monotonic() + CONNECT_S)
    sock = _connected(host, port, until, check)
    try:
        # Otherwise a request would wait until the server has acknowledged the one before.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            _shake_hands(sock, until, check)
        return Transport(sock)
    except BaseException:
        sock.close()
        raise


def _connected(host: str, port: int, until: float, check: Callable[[], None]) -> socket.socket:
    """Return a socket to the first address that accepts. Each address gets a share of the time."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            try:
                sock.connect(address)
            except BlockingIOError:
                share_s = _remaining(until) / (len(addresses) - tried)
                _wait(sock, select.POLLOUT, time.monotonic() + share_s, check)
                if number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(number, os.strerror(number)) from None
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _shake_hands(sock: ssl.SSLSocket, until: float, check: Callable[[], None]) -> None:
    while True:
        try:
            sock.do_handshake()
        except ssl.SSLWantReadError:
            _wait(sock, select.POLLIN, until, check)
        except ssl.SSLWantWriteError:
            _wait(sock, select.POLLOUT, until, check)
        else:
            return


def _wait(sock: socket.socket, events: int, until: float, check: Callable[[], None]) -> None:
    """Wait for a socket.

    Raises:
        TimeoutError: The time is over.
    """
    poll = select.poll()
    poll.register(sock, events)
    while True:
        check()
        left_s = until - time.monotonic()
        if poll.poll(max(0.0, min(SLICE_S, left_s)) * 1000):
            return
        if left_s <= 0:
            raise TimeoutError("timed out")


def _remaining(until: float) -> float:
    return max(MIN_TIMEOUT_S, until - time.monotonic())
