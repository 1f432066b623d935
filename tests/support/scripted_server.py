"""A server on loopback that sends raw bytes by script, and knows which lines it has stored."""

import gzip
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

#: What influxd answers when all lines are stored.
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nX-Influxdb-Version: 2.7.12\r\n\r\n"

#: Longest time a script waits for the client.
PATIENCE_S = 30.0

#: Time a script gives the client to make a mistake in. A correct client does nothing meanwhile.
TEMPTATION_S = 0.05


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    """A well-formed answer with a body and its length."""
    lines = [f"HTTP/1.1 {status} Scripted", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


class Gone(Exception):
    """The client has closed the connection."""


class Peer:
    """The server's end of one connection, in the middle of one request."""

    def __init__(self, sock: socket.socket, stored: list[bytes], over: threading.Event) -> None:
        self._sock = sock
        self._stored = stored
        self._over = over
        self._unread = b""
        self._length = 0
        self.lines: list[bytes] = []

    def begins(self) -> bool:
        """Wait for the first byte of the next request; False if the client closes instead."""
        with suppress(Gone):
            if not self._unread:
                self._fill()
            return True
        return False

    def read_head(self) -> None:
        """Read up to the body."""
        while b"\r\n\r\n" not in self._unread:
            self._fill()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        self._length = int(head.lower().partition(b"content-length:")[2].split()[0])

    def read(self) -> list[bytes]:
        """Read all of the request and return its lines."""
        if not self._length:
            self.read_head()
        while len(self._unread) < self._length:
            self._fill()
        body, self._unread = self._unread[: self._length], self._unread[self._length :]
        self._length = 0
        self.lines = gzip.decompress(body).split(b"\n")
        return self.lines

    def store(self) -> None:
        """Count the lines of the request that was read as stored."""
        self._stored += self.lines

    def say(self, raw: bytes) -> None:
        """Send bytes."""
        try:
            self._sock.sendall(raw)
        except OSError:
            raise Gone from None

    def tempt(self, seconds: float = TEMPTATION_S) -> None:
        """Return once the client sends something, closes, or has had time to."""
        if not self._unread:
            select.select([self._sock], [], [], seconds)

    def drain(self) -> None:
        """Throw away what the client sends, until it sends nothing for a while."""
        with suppress(Gone):
            while select.select([self._sock], [], [], TEMPTATION_S)[0]:
                self._fill()
                self._unread = b""

    def hold(self) -> None:
        """Neither read nor say anything any more, and keep the connection open until the server ends."""
        self._over.wait(PATIENCE_S)

    def hang_up(self) -> None:
        """Close the connection."""
        raise Gone

    def _fill(self) -> None:
        try:
            data = self._sock.recv(65_536)
        except OSError:
            raise Gone from None
        if not data:
            raise Gone
        self._unread += data


#: What to do at one request.
Turn = Callable[[Peer], None]


def accept(peer: Peer) -> None:
    """Store the lines and say so."""
    peer.read()
    peer.store()
    peer.say(NO_CONTENT)


def refuse(raw: bytes) -> Turn:
    """Store nothing and send this."""

    def turn(peer: Peer) -> None:
        peer.read()
        peer.say(raw)

    return turn


class Server:
    """The running server.

    Attributes:
        stored: Every line that was stored, in order.
        turns: Requests that have begun.
        otherwise: The turn that is taken without a script.
    """

    def __init__(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        host, port = listening.getsockname()[:2]
        self.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
        self.stored: list[bytes] = []
        self.turns = self.connections = 0
        self.otherwise: Turn = accept
        self._script: dict[int, Turn] = {}
        self._tls = tls
        self._busy = 0
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []

    def at(self, number: int, turn: Turn) -> None:
        """Take this turn at the request of a number, counted from 1."""
        self._script[number] = turn

    def wait_for(self, turns: int) -> None:
        """Return once so many requests have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.turns >= turns, PATIENCE_S), f"no request {turns}"

    def settle(self) -> None:
        """Return once no turn is under way: all that was to be sent has been."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._busy, PATIENCE_S), "a turn does not end"

    def serve(self, listening: socket.socket) -> None:
        """Accept connections until the socket is closed."""
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._talk, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _talk(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(Gone, OSError), sock:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                peer = Peer(sock, self.stored, self._over)
                while peer.begins():
                    with self._turn() as turn:
                        turn(peer)

    @contextmanager
    def _turn(self) -> Iterator[Turn]:
        with self._changed:
            self.turns += 1
            self._busy += 1
            self._changed.notify_all()
            turn = self._script.get(self.turns, self.otherwise)
        try:
            yield turn
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let go of the connections that are held."""
        self._over.set()

    def join(self) -> None:
        """Return once every connection is closed."""
        for thread in self._threads:
            thread.join(PATIENCE_S)


@contextmanager
def serving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server on a free port. Clients must be closed before it ends."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        server = Server(listening, tls)
        thread = threading.Thread(target=server.serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.end()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            server.join()
