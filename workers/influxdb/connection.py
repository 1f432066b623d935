"""HTTP/1.1 requests to one server. An answer is never assigned to the wrong request.

The answer to a request is the first final answer that begins after the whole request was sent, if no byte
follows it. Only after such an answer is the connection reused. One case cannot be detected, because
HTTP/1.1 does not number answers: a second answer to one request, after the next request was sent.
"""

import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import h11

from workers.influxdb import transport
from workers.influxdb.transport import Transport

#: Seconds after which an idle connection is replaced before use. influxd closes one after 3 minutes (its
#: http-idle-timeout), and a request on a closing connection would fail and need a retry.
IDLE_S = 60.0

#: Maximum bytes of an answer's body. The rest is not read.
ANSWER_BYTES = 1024 * 1024

#: The same for a 400, which lists every bad line: enough for a full batch of the lab's records. A longer
#: list is cut, so its lines are found by halving. Up to three copies are in memory at a time.
LIST_BYTES = 4 * 1024 * 1024

#: Maximum bytes and headers of an answer's head, and informational answers (1xx) before the final one.
HEAD_BYTES = 8 * 1024
HEADERS = 100
INFORMATIONAL = 32

#: Bytes that are parsed at a time. h11 needs quadratic time for some malformed lines, and rejects a line
#: over `HEAD_BYTES` only while it is incomplete: a line that arrives at once would be parsed at any length.
SLICE_BYTES = 1024


class DeadlineExceeded(Exception):
    """The time for the exchange is over."""


class NoAnswer(Exception):
    """No answer arrived that certainly belongs to the request. The text may quote what arrived."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The answer to one request.

    Attributes:
        status: HTTP status, 200 to 999.
        body: The part of its body that arrived and is within the limit.
        headers: Its headers, by name in lower case. If a name repeats, the last one.
        before_body_sent: True if it began before the whole request was sent. It cannot judge the body then.
    """

    status: int
    body: bytes
    headers: Mapping[bytes, bytes]
    before_body_sent: bool


class Connection:
    """One server, and the connection to it that is reused from one request to the next.

    The idle connection is taken out for a request and put back if the connection is clean afterwards. A
    request that fails, or that an exception interrupts at any point, leaves no connection behind.

    Args:
        host: Name, IPv4 or IPv6 address.
        port: TCP port; None for the scheme's own.
        tls: How to verify the server; None for a plain connection.
        check: Called before each wait, at least every `SLICE_S` seconds; an exception from it ends the
            exchange.

    Attributes:
        tls: How the next new connection verifies the server.
    """

    def __init__(
        self,
        host: str,
        port: int | None,
        tls: ssl.SSLContext | None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        default = 80 if tls is None else 443
        self._host, self._port, self.tls, self._check = host, port or default, tls, check
        name = host.partition("%")[0].encode("idna")
        name = b"[%b]" % name if b":" in name else name
        self._authority = name if self._port == default else b"%b:%d" % (name, self._port)
        self._idle: Transport | None = None
        self._idle_since = 0.0

    def post(
        self, target: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, timeout_s: float
    ) -> HttpResponse:
        """Send a request and return its answer. A reused connection that turns out closed is replaced once.

        Args:
            target: Path and query.
            headers: All headers except Host and Content-Length.
            body: The request's body.
            timeout_s: Seconds from the connection to the answer's last byte, at least `MIN_TIMEOUT_S`.

        Raises:
            DeadlineExceeded: The time is over and no final answer has begun.
            NoAnswer: No or a broken connection, no HTTP, or an answer that may belong to another request.
        """
        deadline = time.monotonic() + max(timeout_s, transport.MIN_TIMEOUT_S)
        length = b"%d" % len(body)
        framed = [(b"Host", self._authority), *headers, (b"Content-Length", length)]
        request = h11.Request(method=b"POST", target=target, headers=framed)
        idle = self._take_idle()
        if idle is not None:
            exchange = _Exchange(idle, request, body)
            try:
                return self._run(exchange, idle, deadline)
            except NoAnswer:
                if exchange.received:
                    raise
        try:
            connected = transport.connect(self._host, self._port, self.tls, deadline, self._check)
        except OSError as error:
            raise NoAnswer(_summary(error)) from None
        return self._run(_Exchange(connected, request, body), connected, deadline)

    def _run(self, exchange: "_Exchange", used: Transport, deadline: float) -> HttpResponse:
        try:
            return exchange.run(deadline, self._check)
        except (OSError, h11.RemoteProtocolError) as error:
            raise NoAnswer(_summary(error)) from None
        finally:
            if exchange.clean:
                self._idle_since = time.monotonic()
                self._idle = used
            else:
                used.close()

    def _take_idle(self) -> Transport | None:
        idle, self._idle = self._idle, None
        if idle is not None and time.monotonic() - self._idle_since > IDLE_S:
            idle.close()
            return None
        return idle

    def close(self) -> None:
        """Close the idle connection. The next request opens a new one."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()


class _Exchange:
    """One request and its answer.

    Attributes:
        received: True once a byte has arrived after the request began.
        clean: True if the answer is complete and the connection can be used for another request.
    """

    def __init__(self, used: Transport, request: h11.Request, body: bytes) -> None:
        self.received = self.clean = False
        self._transport = used
        self._http = h11.Connection(h11.CLIENT, HEAD_BYTES)
        head = self._http.send(request)
        self._http.send_with_data_passthrough(h11.Data(body))
        self._unsent = [memoryview(head), memoryview(body)]
        self._begun = self._stopped = False
        self._informational = 0
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._room = 0
        self._whole = self._cut = False
        self._surplus = b""

    def run(self, deadline: float, check: Callable[[], None]) -> HttpResponse:
        """Send the request and read its final answer until it is complete or breaks off.

        Raises:
            DeadlineExceeded: No final answer has begun.
            OSError, h11.RemoteProtocolError: The connection broke before a final answer began.
            NoAnswer: An answer arrived that may belong to another request.
        """
        try:
            while not (self._whole or self._cut):
                if time.monotonic() >= deadline:
                    raise DeadlineExceeded
                check()
                self._continue(deadline)
        except (OSError, h11.RemoteProtocolError, DeadlineExceeded):
            # If an answer breaks off, its status is known.
            if self._response is None:
                raise
        return self._judge()

    def _continue(self, deadline: float) -> None:
        # Receive before each send: an answer that has arrived by then is not one to the whole request.
        data = self._transport.receive()
        if data is not None:
            self._parse_received(data)
            return
        if self._unsent and not self._stopped:
            self._begun = True
            try:
                self._transport.send(self._unsent)
            except OSError:
                # The server has stopped reading. Its answer may have arrived already.
                self._stopped = True
                return
            if not self._unsent:
                self._http.send(h11.EndOfMessage())
        self._transport.wait(deadline)

    def _parse_received(self, data: bytes) -> None:
        if data and not self._begun:
            raise ConnectionError(f"bytes arrived before the request was sent: {data!r}")
        if not data and self._response is None:
            raise ConnectionError("the server closed the connection without an answer")
        self.received = True
        for start in range(0, len(data) or 1, SLICE_BYTES):
            self._http.receive_data(data[start : start + SLICE_BYTES])
            self._parse()
            if self._whole or self._cut:
                self._surplus = self._http.trailing_data[0] + data[start + SLICE_BYTES :]
                return

    def _parse(self) -> None:
        while not (self._whole or self._cut):
            event = self._http.next_event()
            if isinstance(event, h11.InformationalResponse):
                self._informational += 1
                if self._informational > INFORMATIONAL:
                    raise ConnectionError(f"more than {INFORMATIONAL} informational responses (1xx)")
            elif isinstance(event, h11.Response):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._cut = len(event.data) > self._room
                self._body += event.data[: self._room]
                self._room -= min(len(event.data), self._room)
            elif isinstance(event, h11.EndOfMessage):
                self._whole = True
            else:
                return

    def _begin(self, response: h11.Response) -> None:
        if response.http_version not in {b"1.0", b"1.1"}:
            raise ConnectionError(f"unsupported HTTP version: {response.http_version.decode()}")
        if len(response.headers) > HEADERS:
            raise ConnectionError(f"more than {HEADERS} headers in a response")
        self._response = response
        self._room = LIST_BYTES if response.status_code == 400 else ANSWER_BYTES
        # Nothing more is sent: the server has answered without the rest.
        self._stopped = True

    def _judge(self) -> HttpResponse:
        """Return the answer if it certainly belongs to this request, and set `clean`."""
        response = self._response
        if response is None:
            raise AssertionError("unreachable: an exchange ends by its answer or an exception")
        status, headers = response.status_code, dict(response.headers)
        if self._whole and self._surplus:
            raise NoAnswer(f"the server sent extra bytes after its {status} response: {self._surplus!r}")
        done = {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
        self.clean = self._http.states == done and not _contradicts(status, headers)
        return HttpResponse(status, bytes(self._body), headers, before_body_sent=bool(self._unsent))


def _contradicts(status: int, headers: dict[bytes, bytes]) -> bool:
    """Return whether an answer announces two lengths, or a body although its status has none."""
    chunked, length = b"transfer-encoding" in headers, headers.get(b"content-length")
    if status == 204:
        return chunked or length not in {None, b"0"}
    return chunked and length is not None


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
