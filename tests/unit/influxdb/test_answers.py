"""For any answer of a server, a delivered line is one that the server has stored.

Ten batches of ten lines go through a `Delivery` to a scripted server. The server misbehaves at the third
request, and does not store the seventh and the two after it. The oracle is the bodies: which lines did the
server store?
"""

import http.client
import logging
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import pytest
from isal import isal_zlib

from tests.support import fakes, scripted_server
from tests.support.fakes import FakeWait, partition
from tests.support.scripted_server import NO_CONTENT, Peer, Server, Turn, answer
from workers.batch import Batch
from workers.errors import Unavailable
from workers.influxdb.delivery import Delivery
from workers.influxdb.witness import Sink
from workers.influxdb.writer import GZIP, Writer
from workers.log import ThrottledLogger

BATCHES, LINES = 10, 10
TIMEOUT_S = 30.0

#: The request at which the server misbehaves.
ODD = 3

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"
BUSY = answer(503, b'{"code":"unavailable","message":"busy"}')


@pytest.fixture
def influxdb() -> Iterator[Server]:
    """The scripted server."""
    with scripted_server.serving() as server:
        yield server


@pytest.fixture
def client(influxdb: Server) -> Iterator[Writer]:
    """A writer to it."""
    writer = Writer(fakes.settings(influxdb_url=influxdb.url))
    yield writer
    writer.close()


def batch_of(number: int) -> Batch:
    batch = Batch(first_at=0.0)
    for offset in range(number * LINES, (number + 1) * LINES):
        batch.lines.append(b"labs seq=%d %d" % (offset, offset))
        batch.origins.append(fakes.origin(0, offset))
        batch.next_offsets[partition(0)] = offset + 1
        batch.records[partition(0)] += 1
    return batch


def deliver(sink: Sink, between: Callable[[], None]) -> tuple[set[bytes], set[int]]:
    """The lines that were delivered, and the offsets that became dead letters; `between` two batches."""
    delivery = Delivery(
        fakes.settings(), sink, FakeWait(), lambda: False, ThrottledLogger(logging.getLogger("tower.loop"))
    )
    delivered: set[bytes] = set()
    dead: set[int] = set()
    for number in range(BATCHES):
        batch = batch_of(number)
        delivery.deliver(batch, TIMEOUT_S)
        delivered.update(batch.lines)
        dead.update(letter.origin.message.offset() for letter in batch.dead_letters)
        between()
    return delivered, dead


def storing(*pieces: bytes) -> Turn:
    """Stores the lines and sends these bytes, one piece after the other."""

    def turn(peer: Peer) -> None:
        peer.read()
        peer.store()
        _say(peer, pieces)

    return turn


def refusing(*pieces: bytes) -> Turn:
    """Stores nothing and sends these bytes, one piece after the other."""

    def turn(peer: Peer) -> None:
        peer.read()
        _say(peer, pieces)

    return turn


def _say(peer: Peer, pieces: Sequence[bytes]) -> None:
    for place, piece in enumerate(pieces):
        if place:
            peer.tempt()
        peer.say(piece)


def closing(turn: Turn) -> Turn:
    """Closes the connection after a turn."""

    def closed(peer: Peer) -> None:
        turn(peer)
        peer.hang_up()

    return closed


ODDITIES = {
    "103 before the answer": storing(HINTS, NO_CONTENT),
    "102 before the answer": storing(b"HTTP/1.1 102 Processing\r\n\r\n", NO_CONTENT),
    "100 before the answer": storing(b"HTTP/1.1 100 Continue\r\n\r\n", NO_CONTENT),
    "several informational answers": storing(HINTS * 5, HINTS + NO_CONTENT),
    "103 and then a refusal": refusing(HINTS, BUSY),
    "101": storing(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", NO_CONTENT),
    "33 informational answers": storing(HINTS * 33, NO_CONTENT),
    "the answer twice": storing(NO_CONTENT * 2),
    "the answer twice, with a pause": storing(NO_CONTENT, NO_CONTENT),
    "a refusal twice": refusing(BUSY * 2),
    "a refusal twice, with a pause": refusing(BUSY, BUSY),
    "a refusal behind the answer": storing(NO_CONTENT + BUSY),
    "the answer behind a refusal": refusing(BUSY + NO_CONTENT),
    "the answer behind a refusal, with a pause": refusing(BUSY, NO_CONTENT),
    "204 with a body": storing(b"HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n" + NO_CONTENT[:40]),
    "204 with a body, with a pause": storing(
        b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n" % len(NO_CONTENT), NO_CONTENT
    ),
    "204 in chunks": storing(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "204 with a line break behind it": storing(NO_CONTENT, b"\r\n"),
    "an answer inside a refusal's body": refusing(answer(503, NO_CONTENT)),
    "a body longer than its length": refusing(answer(503) + NO_CONTENT),
    "two lengths": refusing(
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", NO_CONTENT
    ),
    "a length and chunks": refusing(
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO_CONTENT
    ),
    "a negative length": refusing(b"HTTP/1.1 503 No\r\nContent-Length: -1\r\n\r\n" + NO_CONTENT),
    "a negative chunk": refusing(
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n" + NO_CONTENT
    ),
    "204 in HTTP/1.0": storing(b"HTTP/1.0 204 No Content\r\n\r\n", NO_CONTENT),
    "204 and connection: close": storing(
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", NO_CONTENT
    ),
    "204 in HTTP/2.0": storing(b"HTTP/2.0 204 No Content\r\n\r\n", NO_CONTENT),
    "no HTTP": refusing(b"SSH-2.0-OpenSSH_9.2\r\n", NO_CONTENT),
    "half a head": closing(refusing(NO_CONTENT[:30])),
    "half a body": closing(refusing(BUSY[:-5])),
    "nothing": closing(refusing()),
    "stored, then closed without an answer": closing(storing()),
    "closed after the answer": closing(storing(NO_CONTENT)),
    "closed after a refusal": closing(refusing(BUSY)),
}

#: The requests that the server does not store: an answer too many before them is taken for theirs.
UNSTORED = {
    7: refusing(BUSY),
    8: refusing(answer(400, b'{"code":"invalid","message":"no"}')),
    9: refusing(answer(422, b'{"code":"unprocessable entity","message":"partial write"}')),
}


def script(influxdb: Server, odd: Turn) -> None:
    """Misbehave once, and refuse later."""
    influxdb.at(ODD, odd)
    for number, turn in UNSTORED.items():
        influxdb.at(number, turn)


@pytest.mark.parametrize("odd", ODDITIES)
def test_a_delivered_line_is_one_the_server_has_stored(influxdb: Server, client: Writer, odd: str) -> None:
    script(influxdb, ODDITIES[odd])

    # What the server still has to send for one request is there before the next one.
    delivered, dead = deliver(client, between=influxdb.settle)

    assert len(delivered) == BATCHES * LINES
    assert delivered - set(influxdb.stored) == set()
    assert dead == set()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_no_line_is_a_dead_letter_for_the_rejection_of_another_request(
    influxdb: Server, client: Writer, status: int
) -> None:
    """A rejection that comes twice must not count for the next request, a single good line."""
    no = answer(status, b'{"code":"invalid","message":"no"}')

    def twice_later(peer: Peer) -> None:
        peer.read()
        peer.store()
        peer.say(no + NO_CONTENT)

    influxdb.at(2, twice_later)
    client.write([b"labs a=1 1"], TIMEOUT_S)

    with pytest.raises(Unavailable):
        client.write([b"labs a=2 2"], TIMEOUT_S)


class Naive:
    """A writer that believes the first answer on a connection it keeps, as `http.client` gives it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)

    def write(self, lines: Sequence[bytes], timeout_s: float, bucket: str = "") -> None:
        """Return after a 204."""
        del timeout_s, bucket
        self._connection.request("POST", "/", isal_zlib.compress(b"\n".join(lines), 1, GZIP))
        response = self._connection.getresponse()
        response.read()
        if response.status != 204:
            raise Unavailable(response.status, "")

    def close(self) -> None:
        self._connection.close()


def one_behind(*pieces: bytes) -> Turn:
    """Stores the lines, and sends the last piece when a naive writer has sent the next request."""

    def turn(peer: Peer) -> None:
        peer.read()
        peer.store()
        for piece in pieces[:-1]:
            peer.say(piece)
        peer.tempt(TIMEOUT_S)
        peer.say(pieces[-1])

    return turn


def test_the_oracle_catches_a_writer_that_takes_103_for_the_answer(influxdb: Server) -> None:
    naive = Naive(influxdb.url)
    for number in range(ODD, min(UNSTORED)):
        influxdb.at(number, one_behind(NO_CONTENT))
    script(influxdb, one_behind(HINTS, NO_CONTENT))

    delivered, _ = deliver(naive, between=lambda: None)
    naive.close()
    influxdb.join()

    assert len(delivered - set(influxdb.stored)) >= LINES
