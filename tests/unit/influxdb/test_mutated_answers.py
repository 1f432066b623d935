"""Answers that are broken at random: each is a `WriteError` or a 204, and none is taken for the next one.

`ANSWERS=1000000 .venv/bin/pytest tests/unit/influxdb/test_mutated_answers.py` tries a million, in about ten
minutes; `SEED=…` others.
"""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support import fakes
from tests.support.scripted_server import NO_CONTENT, answer
from workers.errors import Unavailable, WriteError
from workers.influxdb import connection, transport
from workers.influxdb.connection import DeadlineExceeded
from workers.influxdb.transport import Transport
from workers.influxdb.writer import Writer

ANSWERS, SEED = int(os.environ.get("ANSWERS", "1000")), int(os.environ.get("SEED", "1"))

TIMEOUT_S = 60.0

BUSY = answer(503, b'{"code":"unavailable","message":"busy"}')

#: Answers that are well formed.
WHOLE = [
    *[NO_CONTENT] * 5,
    b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + NO_CONTENT,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + BUSY,
    answer(400, b'{"code":"invalid","message":"unable to parse \'labs a=1 1\': no"}'),
    answer(401, b'{"code":"unauthorized","message":"unauthorized access"}'),
    answer(413, b"<html>too large</html>", "Connection: close"),
    answer(422, b'{"code":"unprocessable entity","message":"dropped=1"}'),
    answer(429, b"", "Retry-After: 7"),
    answer(503, b"", "Retry-After: Thu, 01 Jan 2026 00:00:00 GMT"),
    b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\n[1,2\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 503 No\r\n\r\nuntil the end",
    b"HTTP/1.0 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
]

#: What means something to a parser.
TOKENS = [
    *WHOLE,
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":", b";", b"\x00", b"\xff", b" " * 300),
    *(b"Content-Length: 0\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n"),
    *(b"Content-Length: 3, 3\r\n", b"Content-Length: 3, 4\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: gzip, chunked\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n"),
    *(b"Retry-After: 1 Jan , :\r\n", b"Retry-After: 9e99\r\n", b" folded\r\n", b"X: y\r\n" * 99),
    *(b"HTTP/1.1 204 No Content", b"HTTP/1.1 ", b"HTTP/0.9 ", b"HTTP/2.0 ", b"204", b"000", b"199", b"999"),
    *(b"-5\r\n", b"0\r\n", b"ffffffffffffffffffff\r\n", b"0x10\r\n", b"+1\r\n", b"1;" + b" " * 300),
    *(b"{", b"[" * 3000, b"\\ud800", b"1" * 5000, b"\xef\xbb\xbf"),
]


def mutated(draw: random.Random) -> bytes:
    """A well-formed answer that was changed in a few places."""
    raw = draw.choice(WHOLE)
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3, 8))):
        place, length = draw.randrange(len(raw) + 1), draw.choice((1, 1, 2, 5, 20))
        kind = draw.randrange(6)
        if kind == 0:
            raw = raw[:place] + draw.choice(TOKENS) + raw[place:]
        elif kind == 1:
            raw = raw[:place] + draw.choice(TOKENS) + raw[place + length :]
        elif kind == 2:
            raw = raw[:place] + raw[place + length :]
        elif kind == 3:
            raw = raw[:place] + draw.randbytes(length) + raw[place + length :]
        elif kind == 4:
            raw = raw[: place + length] + raw[place:]
        else:
            raw = raw[:place]
    return raw


class Wire:
    """A server behind socket pairs that sends given pieces for each request.

    Attributes:
        connections: Socket pairs that were made.
    """

    def __init__(self) -> None:
        self.connections = 0
        self._pieces: list[bytes] = []
        self._left: list[bytes] = []
        self._closes = False
        self._peer: socket.socket | None = None

    def answer_with(self, pieces: list[bytes], closes: bool = False) -> None:
        """Send these for the next request, one after the other; then close the connection, or be silent."""
        self._pieces, self._left, self._closes = pieces, [], closes

    def connect(self, *_: object) -> Transport:
        """Stand in for `transport.connect`."""
        self.close()
        self.connections += 1
        ours, self._peer = socket.socketpair()
        self._peer.setblocking(False)
        return Pair(ours, self)

    def play(self) -> None:
        """Send the next piece: the client waits for it, and has sent all of its request."""
        assert self._peer is not None
        with suppress(BlockingIOError):
            if self._peer.recv(65_536):
                self._left = self._pieces.copy()
        if self._left:
            self._peer.sendall(self._left.pop(0))
        elif self._closes:
            self._peer.shutdown(socket.SHUT_RDWR)
        else:
            raise DeadlineExceeded

    def flush(self) -> None:
        """Send what the client did not wait for."""
        with suppress(OSError):
            if self._peer is not None:
                self._peer.sendall(b"".join(self._left))
        self._left = []

    def close(self) -> None:
        if self._peer is not None:
            self._peer.close()


class Pair(Transport):
    """The client's end of a socket pair, whose server sends while the client waits."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        super().__init__(sock)
        self._wire = wire

    def wait(self, deadline: float) -> None:
        del deadline
        self._wire.play()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The server in place of all others."""
    wire = Wire()
    monkeypatch.setattr(transport, "connect", wire.connect)
    yield wire
    wire.close()


def split(raw: bytes, draw: random.Random) -> list[bytes]:
    """The pieces in which some bytes arrive."""
    cuts = sorted(draw.randrange(len(raw) + 1) for _ in range(draw.choice((0, 0, 1, 2, 5))))
    if draw.random() < 0.3:
        # Behind a head: what comes then may come when the client has its answer.
        cuts = [raw.find(b"\r\n\r\n") + 4]
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    return [piece for piece in pieces if piece]


def run(wire: Wire, answers: int) -> int:
    """Send broken answers, each followed by a 503 and a 204; the number that were taken for a 204."""
    draw = random.Random(SEED)
    client = Writer(fakes.settings())
    acknowledged = 0
    for number in range(answers):
        raw = mutated(draw)
        which = f"answer {number}, {raw!r}"
        wire.answer_with(split(raw, draw), closes=draw.random() < 0.3)
        try:
            client.write([b"labs a=1 1"], TIMEOUT_S)
        except WriteError:
            pass
        except Exception as error:
            raise AssertionError(which) from error
        else:
            acknowledged += 1
            assert b" 204" in raw, which
        wire.flush()

        wire.answer_with([BUSY])
        with pytest.raises(Unavailable) as caught:
            client.write([b"labs b=2 2"], TIMEOUT_S)
        assert caught.value.status == 503, which
        wire.answer_with([NO_CONTENT])
        client.write([b"labs c=3 3"], TIMEOUT_S)
    client.close()
    return acknowledged


@pytest.mark.timeout(7200)
def test_a_broken_answer_is_an_error_of_its_own_write_and_of_no_other(wire: Wire) -> None:
    acknowledged = run(wire, ANSWERS)

    print(f"{ANSWERS:,} answers, {acknowledged:,} of them a 204, {wire.connections:,} connections")
    # Enough of them are whole to get everywhere.
    assert ANSWERS * 0.05 < acknowledged < ANSWERS * 0.5
    assert ANSWERS * 0.1 < wire.connections < ANSWERS


class Careless(connection._Exchange):
    """An exchange that takes for its answer what was there before."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._begun = True


def test_the_check_catches_an_answer_taken_for_the_next_ones(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_Exchange", Careless)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(wire, 2000)
