"""HTTP/1.1 exchanges with one server, so that an answer is never taken for another request's.

The answer to a request is the first final one that begins after the request was sent in full, if no byte
follows it. The connection is kept after such an answer only. One limit is left, because HTTP/1.1 does not
number its answers: a second answer to one request that arrives after the next request was sent.
"""

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

import h11

from workers.influxdb import transport
from workers.influxdb.transport import DeadlineExceeded, Transport

#: Seconds after which an idle connection is replaced before use. influxd closes one after 3 minutes (its
#: http-idle-timeout), and a request on a connection just being closed would be a needless retry.
IDLE_S = 60.0

#: Most bytes of an answer's body; the rest is not read.
ANSWER_BYTES = 1024 * 1024

#: The same for a 400, which lists every bad line: enough for a full batch of long lines.
LIST_BYTES = 16 * 1024 * 1024

#: Most bytes and headers of an answer's head, and most informational answers (1xx) before the final one.
HEAD_BYTES = 8 * 1024
HEADERS = 100
INFORMATIONAL = 32

#: Bytes that are parsed at a time. h11 needs quadratic time for some malformed lines, and refuses a line
#: over `HEAD_BYTES` only while it is incomplete: one that arrived at once would be parsed at any length.
SLICE_BYTES = 1024


class NoAnswer(Exception):
    """Nothing arrived that is certainly the answer to the request. The text may quote what did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request.

    Attributes:
        status: HTTP status, 200 to 999.
        body: The part of its body that arrived and is within the limit.
        retry_after: Its Retry-After header.
        early: True if it began before the request was sent in full, so that it cannot judge the body.
    """

    status: int
    body: bytes
    retry_after: str | None
    early: bool


class Connection:
    """One server, and the connection to it that is kept from one exchange to the next.

    The kept connection is taken out for an exchange and put back after a clean one. An exchange that fails,
    or is interrupted by a signal handler at any point, leaves none behind.

    Args:
        host: Name, IPv4 or IPv6 address.
        port: TCP port; None for the scheme's own.
        tls: How to verify the server; None for a plain connection.
    """

    def __init__(self, host: str, port: int | None, tls: ssl.SSLContext | None) -> None:
        default = 80 if tls is None else 443
        self._host, self._port, self._tls = host, port or default, tls
        name = host.partition("%")[0].encode("idna")
        name = b"[%b]" % name if b":" in name else name
        self._authority = name if self._port == default else b"%b:%d" % (name, self._port)
        self._kept: Transport | None = None
        self._kept_since = 0.0

    def post(
        self, target: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, timeout_s: float
    ) -> Answer:
        """Send a request and return its answer. A kept connection that turns out closed is replaced once.

        Args:
            target: Path and query.
            headers: All headers but Host and Content-Length.
            body: The request's body.
            timeout_s: Seconds for everything from connecting to the answer's last byte; a moment at least.

        Raises:
            DeadlineExceeded: The time is over and no final answer has begun.
            NoAnswer: No connection, a broken one, no HTTP, or an answer that may be another request's.
        """
        deadline = time.monotonic() + max(timeout_s, transport.LEAST_S)
        length = b"%d" % len(body)
        framed = [(b"Host", self._authority), *headers, (b"Content-Length", length)]
        request = h11.Request(method=b"POST", target=target, headers=framed)
        kept = self._take()
        if kept is not None:
            exchange = _Exchange(kept, request, body)
            try:
                return self._run(exchange, kept, deadline)
            except NoAnswer:
                if exchange.heard:
                    raise
        try:
            fresh = transport.connect(self._host, self._port, self._tls, deadline)
        except OSError as error:
            raise NoAnswer(_summary(error)) from None
        return self._run(_Exchange(fresh, request, body), fresh, deadline)

    def _run(self, exchange: "_Exchange", used: Transport, deadline: float) -> Answer:
        try:
            return exchange.run(deadline)
        except (OSError, h11.RemoteProtocolError) as error:
            raise NoAnswer(_summary(error)) from None
        finally:
            if exchange.clean:
                self._kept_since = time.monotonic()
                self._kept = used
            else:
                used.close()

    def _take(self) -> Transport | None:
        kept, self._kept = self._kept, None
        if kept is not None and time.monotonic() - self._kept_since > IDLE_S:
            kept.close()
            return None
        return kept

    def close(self) -> None:
        """Close the kept connection; the next exchange makes a new one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()


class _Exchange:
    """One request and what arrives for it.

    Attributes:
        heard: True once a byte has arrived after the request began.
        clean: True if the exchange is over and the connection can take another request.
    """

    def __init__(self, used: Transport, request: h11.Request, body: bytes) -> None:
        self.heard = self.clean = False
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

    def run(self, deadline: float) -> Answer:
        """Send the request and read until its final answer is complete, or at its end for any reason.

        Raises:
            DeadlineExceeded: No final answer has begun.
            OSError, h11.RemoteProtocolError: The same.
            NoAnswer: An answer arrived and may be another request's.
        """
        try:
            while not (self._whole or self._cut):
                if time.monotonic() >= deadline:
                    raise DeadlineExceeded
                self._continue(deadline)
        except (OSError, h11.RemoteProtocolError, DeadlineExceeded):
            # The status of an answer that breaks off is known.
            if self._response is None:
                raise
        return self._judge()

    def _continue(self, deadline: float) -> None:
        # Receive before each send: what is there by then is no answer to a request that was sent in full.
        data = self._transport.receive()
        if data is not None:
            self._take_in(data)
            return
        if self._unsent and not self._stopped:
            self._begun = True
            try:
                self._transport.send(self._unsent)
            except OSError:
                # The server reads no further. Why not may have arrived already.
                self._stopped = True
                return
            if not self._unsent:
                self._http.send(h11.EndOfMessage())
        self._transport.wait(deadline)

    def _take_in(self, data: bytes) -> None:
        if data and not self._begun:
            raise ConnectionError(f"bytes arrived before the request was sent: {data!r}")
        if not data and self._response is None:
            raise ConnectionError("the server closed the connection without an answer")
        self.heard = True
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
                    raise ConnectionError(f"over {INFORMATIONAL} informational answers (1xx)")
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
            raise ConnectionError(f"an answer in HTTP/{response.http_version.decode()}")
        if len(response.headers) > HEADERS:
            raise ConnectionError(f"an answer with over {HEADERS} headers")
        self._response = response
        self._room = LIST_BYTES if response.status_code == 400 else ANSWER_BYTES
        # Nothing more is sent: the server has decided without the rest.
        self._stopped = True

    def _judge(self) -> Answer:
        """Return the answer if it is certainly this request's; the connection is clean if all of it is."""
        response = self._response
        if response is None:
            raise AssertionError("unreachable: an exchange ends by its answer or an exception")
        status, headers = response.status_code, dict(response.headers)
        if self._whole and self._surplus:
            raise NoAnswer(f"the server sent {status} and more bytes behind it: {self._surplus!r}")
        self.clean = (
            self._whole
            and self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
            and not self._http.trailing_data[1]
            and not _contradicts(status, headers)
        )
        retry_after = headers.get(b"retry-after")
        text = None if retry_after is None else retry_after.decode("latin-1")
        return Answer(status, bytes(self._body), text, early=bool(self._unsent))


def _contradicts(status: int, headers: dict[bytes, bytes]) -> bool:
    """Whether an answer announces two lengths, or a body although its status has none."""
    chunked, length = b"transfer-encoding" in headers, headers.get(b"content-length")
    if status == 204:
        return chunked or length not in {None, b"0"}
    return chunked and length is not None


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
