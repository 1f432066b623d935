"""A real HTTP server on loopback that answers what it is told to."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Seconds a server that never answers holds its connection at most.
SILENCE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """What to say to one request.

    Attributes:
        status: HTTP status; 0 to close the connection without a word.
        body: The answer's body.
        headers: Further headers.
        missing: Bytes that are announced but never sent; the connection is closed instead.
        hang_up: Close the connection after the answer, without having said so.
        silent: Say nothing until the client gives up.
    """

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0
    hang_up: bool = False
    silent: bool = False


#: What InfluxDB 2.7.12 adds to every answer.
MARKS = {"X-Influxdb-Build": "OSS", "X-Influxdb-Version": "2.7.12"}


def influxdb_error(status: int, message: str, **headers: str) -> Answer:
    """An error as InfluxDB 2.x tells it."""
    body = json.dumps({"code": "invalid", "message": message}).encode()
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, {**MARKS, **more})


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    path: str
    headers: dict[str, str]
    lines: list[bytes]
    client: tuple[str, int]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Answer] = []
        self.requests: list[Request] = []
        self.over = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Nothing: clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Record a write and answer it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        host, port = self.client_address[:2]
        lines = gzip.decompress(body).split(b"\n")
        # The answer first: whoever sees the request recorded may script the next one's.
        answer = self.server.script.pop(0) if self.server.script else Answer()
        self.server.requests.append(Request(self.path, dict(self.headers), lines, (str(host), port)))
        if answer.silent:
            self.server.over.wait(SILENCE_S)
        if answer.silent or not answer.status:
            self._hang_up()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.hang_up or answer.missing:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Nothing: the requests are recorded."""


class Server:
    """The running server: what it was asked, and what it is to answer next."""

    def __init__(self, inner: _Server) -> None:
        self._inner = inner
        self.url = f"http://127.0.0.1:{inner.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in order."""
        return self._inner.requests

    def wait_for(self, requests: int, timeout_s: float = 5.0) -> None:
        """Return once so many requests have come in."""
        deadline = time.monotonic() + timeout_s
        while len(self.requests) < requests:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {requests} requests came"
            time.sleep(0.005)

    def answer(self, *answers: Answer) -> None:
        """Give these answers to the next requests, in order; then 204 again."""
        self._inner.script += answers


@contextmanager
def serving() -> Iterator[Server]:
    """A server on a free port, gone at the end."""
    inner = _Server()
    thread = threading.Thread(target=inner.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Server(inner)
    finally:
        inner.over.set()
        inner.shutdown()
        thread.join()
        inner.server_close()
