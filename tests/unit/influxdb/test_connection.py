"""One answer for one request: in time, within bounds, and never from a connection in an unknown state."""

import gzip
import random
import socket
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.harness.certificates import Authority
from tests.support import fakes, scripted_server
from tests.support.scripted_server import NO_CONTENT, Peer, Server, Turn, answer, refuse
from workers.errors import DrainExpired, Misconfigured, Rejected, TooLarge, Unavailable, WriteError
from workers.influxdb import connection, transport
from workers.influxdb.answer import TEXT_CHARACTERS
from workers.influxdb.connection import Connection
from workers.influxdb.transport import Transport
from workers.influxdb.writer import Writer

LINES = [b"labs a=1 1", b"labs a=2 2"]
OTHERS = [b"labs b=3 3"]
TIMEOUT_S = 30.0

#: A deadline that a test waits for, and by when a write must have ended whose deadline is that short.
SHORT_S = 0.2
SOON_S = 10.0

#: Most bytes the kernel takes of a request whose body nobody reads, with room for the server's share.
BUFFERED = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text(encoding="ascii").split()[2]) + 1_000_000

#: Lines that gzip cannot make smaller than that.
LARGE = [
    b'labs a="%s" %d' % (random.Random(place).randbytes(60_000).hex().encode(), place)
    for place in range(BUFFERED // 60_000 + 1)
]

BUSY = answer(503, b'{"code":"unavailable","message":"busy"}')

#: An answer that ends where the client stops to parse.
FULL_SLICE = answer(503, b"x" * (connection.SLICE_BYTES - len(answer(503, b"x" * 900)) + 900))

Connect = Callable[[str], Writer]


@pytest.fixture
def influxdb() -> Iterator[Server]:
    """The scripted server."""
    with scripted_server.serving() as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes writers to a URL, all closed at the end."""
    with ExitStack() as closing:

        def make(url: str) -> Writer:
            writer = Writer(fakes.settings(influxdb_url=url))
            closing.callback(writer.close)
            return writer

        yield make


@pytest.fixture
def client(influxdb: Server, connect: Connect) -> Writer:
    """A writer to the scripted server."""
    return connect(influxdb.url)


def failure(client: Writer, lines: list[bytes] = LINES, timeout_s: float = TIMEOUT_S) -> WriteError:
    """The error of a write that was not acknowledged."""
    with pytest.raises(WriteError) as caught:
        client.write(lines, timeout_s)
    return caught.value


@contextmanager
def accepting_nothing() -> Iterator[tuple[str, int]]:
    """An address at which a connect gets no answer."""
    with socket.socket() as listening, ExitStack() as others:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        # The queue has room for one more than was asked for. Once it is full, the kernel drops each SYN.
        for _ in range(2):
            waiting = others.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()


class TestEarly:
    """Answers that come before the request was sent in full."""

    @pytest.mark.parametrize(
        ("status", "error"), [(401, Misconfigured), (413, TooLarge), (503, Unavailable)]
    )
    @pytest.mark.parametrize("hangs_up", [False, True])
    def test_a_rejection_sent_before_the_body_is_read_is_received(
        self, influxdb: Server, client: Writer, status: int, error: type[WriteError], hangs_up: bool
    ) -> None:
        def early(peer: Peer) -> None:
            peer.read_head()
            peer.say(answer(status, b'{"message":"no"}'))
            if hangs_up:
                # Unread bytes make a reset of it: the client's next send fails.
                peer.hang_up()
            peer.hold()

        influxdb.at(1, early)

        caught = failure(client, LARGE)

        assert type(caught) is error
        assert (caught.status, caught.message.endswith("no")) == (status, True)

    @pytest.mark.parametrize("status", [204, 400, 422])
    def test_an_answer_about_lines_that_were_not_read_does_not_count(
        self, influxdb: Server, client: Writer, status: int
    ) -> None:
        def early(peer: Peer) -> None:
            peer.read_head()
            peer.say(NO_CONTENT if status == 204 else answer(status, b'{"message":"no"}'))
            peer.hold()

        influxdb.at(1, early)

        caught = failure(client, LARGE)

        assert type(caught) is Unavailable
        client.write(LARGE, TIMEOUT_S)
        assert influxdb.stored == LARGE

    def test_nothing_more_is_sent_once_an_answer_has_begun(
        self, influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Otherwise an answer that began before the body's end would count as one to all of it."""
        raw = answer(422, b'{"message":"no"}')
        received = threading.Event()
        original = Transport.receive

        def receive(self: Transport) -> bytes | None:
            data = original(self)
            if data:
                received.set()
            return data

        def early(peer: Peer) -> None:
            peer.read_head()
            peer.say(raw[:-3])
            # Not before: with room for more, a send under way would go on to the body's end.
            assert received.wait(TIMEOUT_S)
            peer.drain()
            peer.say(raw[-3:])
            peer.hold()

        monkeypatch.setattr(Transport, "receive", receive)
        influxdb.at(1, early)

        assert type(failure(client, LARGE)) is Unavailable

    def test_a_rejection_is_received_although_the_next_send_fails(
        self, influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The rejection and the reset arrive after the client's `receive` and before its next send."""

        def early(peer: Peer) -> None:
            peer.read_head()
            peer.say(answer(413, b"too much"))
            peer.hang_up()

        original = Transport.send
        errors: list[OSError] = []

        def send(self: Transport, unsent: list[memoryview]) -> None:
            original(self, unsent)
            if unsent:
                influxdb.wait_for(1)
                influxdb.join()
                try:
                    original(self, unsent)
                except OSError as error:
                    errors.append(error)
                    raise

        monkeypatch.setattr(Transport, "send", send)
        influxdb.at(1, early)

        caught = failure(client, LARGE)

        assert (type(caught), caught.message) == (TooLarge, "too much")
        assert len(errors) == 1

    def test_informational_answers_meanwhile_change_nothing(self, influxdb: Server, client: Writer) -> None:
        def hinting(peer: Peer) -> None:
            peer.read_head()
            peer.say(b"HTTP/1.1 102 Processing\r\n\r\n" * 3)
            peer.read()
            peer.store()
            peer.say(NO_CONTENT)

        influxdb.at(1, hinting)

        client.write(LARGE, TIMEOUT_S)
        client.write(LINES, TIMEOUT_S)

        assert influxdb.stored == LARGE + LINES
        assert influxdb.connections == 1

    @pytest.mark.parametrize("word", [NO_CONTENT, b"SSH-2.0-OpenSSH_9.2\r\n"])
    def test_bytes_before_the_request_are_no_answer_to_it(self, connect: Connect, word: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = connect(f"http://127.0.0.1:{listening.getsockname()[1]}")
            connected = threading.Event()
            original = transport.connect

            def connect_and_wait(*arguments: Any) -> Transport:
                transport_to_server = original(*arguments)
                connected.wait(TIMEOUT_S)
                return transport_to_server

            def speak_first() -> None:
                with listening.accept()[0] as accepted:
                    accepted.sendall(word)
                    connected.set()
                    accepted.recv(1)

            thread = threading.Thread(target=speak_first)
            thread.start()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(transport, "connect", connect_and_wait)
                caught = failure(client)
            thread.join()

        assert type(caught) is Unavailable
        assert repr(word)[2:-1] in caught.message


class TestDeadline:
    """The time-out is one for the whole exchange."""

    def test_each_write_has_its_own(self, influxdb: Server, client: Writer) -> None:
        client.write(LINES, TIMEOUT_S)
        influxdb.at(2, Peer.hold)
        begun = time.monotonic()

        caught = failure(client, timeout_s=SHORT_S)

        assert type(caught) is TooLarge
        assert time.monotonic() - begun < SOON_S

    @staticmethod
    def dripping(*parts: bytes) -> Turn:
        """Sends the last part again and again, byte by byte, and the others before it."""

        def turn(peer: Peer) -> None:
            peer.read()
            *first, last = parts
            peer.say(b"".join(first))
            while True:
                for byte in last:
                    peer.say(bytes([byte]))
                    peer.tempt(0.01)

        return turn

    @pytest.mark.parametrize(
        ("parts", "expected"),
        [
            pytest.param((b"HTTP/1.1 204 No Content\r\n", b"X: y\r\n"), (TooLarge, 0), id="a head"),
            pytest.param((b"HTTP/1.1 100 Continue\r\n\r\n",), (TooLarge, 0), id="100 Continue"),
            pytest.param((answer(503, b"." * 9_999)[:-9_999], b"."), (Unavailable, 503), id="a body"),
            pytest.param(
                (b"HTTP/1.1 400 No\r\n\r\n", b"."), (Unavailable, 400), id="a body without a length"
            ),
            pytest.param(
                (b'HTTP/1.1 400 No\r\nX-Influxdb-Build: OSS\r\n\r\n{"code":"invalid","message":"', b"."),
                (Rejected, 400),
                id="InfluxDB's list",
            ),
            pytest.param(
                (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
                (Unavailable, 503),
                id="chunks",
            ),
        ],
    )
    def test_an_answer_that_arrives_byte_by_byte_ends_with_it(
        self,
        influxdb: Server,
        client: Writer,
        parts: tuple[bytes, ...],
        expected: tuple[type[WriteError], int],
    ) -> None:
        influxdb.at(1, self.dripping(*parts))
        begun = time.monotonic()

        caught = failure(client, timeout_s=SHORT_S)

        assert SHORT_S <= time.monotonic() - begun < SOON_S
        assert (type(caught), caught.status) == expected

    def test_an_endless_answer_ends_with_it(
        self, influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There are always bytes to receive, so the client never waits."""
        monkeypatch.setattr(connection, "INFORMATIONAL", 10**9)

        def flood(peer: Peer) -> None:
            peer.read()
            while True:
                peer.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)

        influxdb.at(1, flood)
        begun = time.monotonic()

        assert type(failure(client, timeout_s=SHORT_S)) is TooLarge
        assert time.monotonic() - begun < SOON_S

    def test_silence_ends_with_it(self, influxdb: Server, client: Writer) -> None:
        influxdb.at(1, Peer.hold)
        begun = time.monotonic()

        assert type(failure(client, timeout_s=SHORT_S)) is TooLarge
        assert SHORT_S <= time.monotonic() - begun < SOON_S

    def test_a_server_that_reads_no_body_ends_with_it(self, influxdb: Server, client: Writer) -> None:
        def deaf(peer: Peer) -> None:
            peer.read_head()
            peer.hold()

        influxdb.at(1, deaf)
        begun = time.monotonic()

        caught = failure(client, LARGE, timeout_s=SHORT_S)

        assert type(caught) is TooLarge
        assert time.monotonic() - begun < SOON_S

    def test_it_bounds_the_connect(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "CONNECT_S", 2 * TIMEOUT_S)
        with accepting_nothing() as (host, port):
            client = connect(f"http://{host}:{port}")
            begun = time.monotonic()

            caught = failure(client, timeout_s=SHORT_S)

        assert type(caught) is Unavailable
        assert SHORT_S <= time.monotonic() - begun < SOON_S

    def test_it_bounds_the_tls_handshake(self, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "CONNECT_S", 2 * TIMEOUT_S)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            client = connect(f"https://127.0.0.1:{silent.getsockname()[1]}")
            begun = time.monotonic()

            caught = failure(client, timeout_s=SHORT_S)

        assert type(caught) is Unavailable
        assert SHORT_S <= time.monotonic() - begun < SOON_S


class TestBounds:
    """What is read of an answer."""

    @staticmethod
    def endless(status: int) -> Turn:
        def turn(peer: Peer) -> None:
            peer.read()
            peer.say(b"HTTP/1.1 %d No\r\nX-Influxdb-Build: OSS\r\n" % status)
            peer.say(b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"code":"\r\n')
            while True:
                peer.say(b"10000\r\n" + b"x" * 65_536 + b"\r\n")

        return turn

    @pytest.mark.parametrize("status", [401, 503, 422, 200])
    def test_a_body_without_end_ends_its_exchange(
        self, influxdb: Server, client: Writer, status: int
    ) -> None:
        influxdb.at(1, self.endless(status))

        caught = failure(client)

        whole = '{"code":"' + "x" * (connection.ANSWER_BYTES - 9)
        kept = whole if status == 422 else whole[:TEXT_CHARACTERS]
        assert (caught.status, caught.message) == (status, kept)
        client.write(LINES, TIMEOUT_S)
        assert influxdb.stored == LINES

    @pytest.mark.parametrize("status", [401, 503, 200])
    def test_of_any_answer_but_a_400_at_most_1_mb_is_read(self, influxdb: Server, status: int) -> None:
        influxdb.at(1, self.endless(status))
        parts = urlsplit(influxdb.url)

        response = Connection(parts.hostname or "", parts.port, None).post(
            "/", [], gzip.compress(b"a=1"), TIMEOUT_S
        )

        assert (response.status, len(response.body)) == (status, connection.ANSWER_BYTES)

    def test_the_list_of_a_400_is_read_up_to_its_limit(self, influxdb: Server, client: Writer) -> None:
        influxdb.at(1, self.endless(400))

        caught = failure(client, timeout_s=30)

        assert type(caught) is Rejected
        assert len(caught.message) == connection.LIST_BYTES

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b"HTTP/1.1 204 No Content\r\nX: " + b"y" * 70_000, id="a header without end"),
            pytest.param(b"X" * 70_000, id="a status line without end"),
            pytest.param(b"HTTP/1.1 204 No Content\r\n" + b"X: y\r\n" * 200 + b"\r\n", id="many headers"),
            pytest.param(
                b"HTTP/1.1 100 Continue\r\n\r\n" * 33 + NO_CONTENT, id="many informational answers"
            ),
            pytest.param(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", id="another protocol"
            ),
            pytest.param(b"HTTP/1.1 20", id="half a status"),
            pytest.param(b"HTTP/1.1 abc\r\n\r\n", id="a status in letters"),
            pytest.param(b"HTTP/1.1 099 No\r\n\r\n", id="a status below 100"),
            pytest.param(b"HTTP/3.0 204 No\r\n\r\n", id="a later version"),
            pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="SSH"),
            pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="a TLS alert"),
            pytest.param(b"\r\n\r\n\r\n", id="empty lines"),
            pytest.param(b"\x00" * 1_000, id="NUL"),
        ],
    )
    def test_what_is_no_answer_is_unavailable(self, influxdb: Server, client: Writer, raw: bytes) -> None:
        def turn(peer: Peer) -> None:
            peer.read()
            peer.say(raw)
            peer.hang_up()

        influxdb.at(1, turn)

        assert type(failure(client)) is Unavailable
        client.write(OTHERS, TIMEOUT_S)
        assert influxdb.stored == OTHERS

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b"Token %s\r\n\r\n", id="in place of an answer"),
            pytest.param(NO_CONTENT + b"Token %s", id="behind an answer"),
        ],
    )
    def test_bytes_that_repeat_the_token_are_quoted_without_it(
        self, influxdb: Server, client: Writer, raw: bytes
    ) -> None:
        token = fakes.settings().influxdb_token.reveal()
        influxdb.at(1, refuse(raw.replace(b"%s", token.encode())))

        message = failure(client).message

        assert "Token ***" in message
        assert token not in message

    def test_a_line_that_is_slow_to_parse_is_rejected_while_it_is_short(
        self, influxdb: Server, client: Writer
    ) -> None:
        """A header of blanks and a NUL takes h11 time by the square of its length: 16 KB take seconds."""
        parsed = 0

        def count(frame: FrameType, event: str, _: object) -> Any:
            nonlocal parsed
            if event == "call" and frame.f_code.co_name == "validate":
                parsed = max(parsed, len(frame.f_locals["data"]))

        influxdb.at(1, refuse(b"HTTP/1.1 503 No\r\nX:" + b" " * 60_000 + b"\x00\r\n\r\n"))
        sys.setprofile(count)
        try:
            caught = failure(client)
        finally:
            sys.setprofile(None)

        assert type(caught) is Unavailable
        assert 0 < parsed <= connection.HEAD_BYTES + connection.SLICE_BYTES


class TestInterruption:
    """The worker has to finish while it waits for the server."""

    @pytest.fixture(autouse=True)
    def _looks_often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "SLICE_S", 0.02)

    @staticmethod
    def interrupt(url: str, during: str) -> float:
        """Write until the third look at the time to finish; the seconds that took.

        Args:
            url: The server's.
            during: The function of `transport` that waits then.
        """
        looks: list[float] = []

        def check() -> None:
            looks.append(time.monotonic())
            if len(looks) == 3:
                names = {frame.name for frame in traceback.extract_stack()}
                assert during in names
                raise DrainExpired("a second signal arrived")

        client = Writer(fakes.settings(influxdb_url=url), check)
        begun = time.monotonic()
        with pytest.raises(DrainExpired):
            client.write(LINES, TIMEOUT_S)
        client.close()
        return time.monotonic() - begun

    def test_a_connect_ends_at_the_next_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "CONNECT_S", TIMEOUT_S)
        with accepting_nothing() as (host, port):
            assert self.interrupt(f"http://{host}:{port}", "_connected") < SOON_S

    def test_a_tls_handshake_ends_at_the_next_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transport, "CONNECT_S", TIMEOUT_S)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}"
            assert self.interrupt(url, "_shake_hands") < SOON_S

    def test_a_wait_for_an_answer_ends_at_the_next_look(self, influxdb: Server) -> None:
        influxdb.at(1, Peer.hold)
        assert self.interrupt(influxdb.url, "run") < SOON_S

    def test_an_interrupted_request_leaves_no_connection_for_the_next(self, influxdb: Server) -> None:
        """The answer to it may still arrive, and would be taken for the next one's."""
        interruptions = [DrainExpired("over")]

        def check() -> None:
            if influxdb.turns == 2 and interruptions:
                raise interruptions.pop()

        client = Writer(fakes.settings(influxdb_url=influxdb.url), check)
        client.write(LINES, TIMEOUT_S)
        influxdb.at(2, Peer.hold)
        with pytest.raises(DrainExpired):
            client.write(LINES, TIMEOUT_S)
        client.write(OTHERS, TIMEOUT_S)
        client.close()

        assert influxdb.stored == LINES + OTHERS
        assert influxdb.connections == 2


class TestReuse:
    """Which connection takes the next request."""

    def test_a_connection_that_was_idle_for_long_is_replaced(
        self, influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server closes it after 3 minutes, and a request might meet that."""
        client.write(LINES, TIMEOUT_S)
        monkeypatch.setattr(connection, "IDLE_S", 0.0)
        client.write(OTHERS, TIMEOUT_S)

        assert influxdb.stored == LINES + OTHERS
        assert influxdb.connections == 2

    def test_a_connection_that_was_closed_while_idle_is_replaced(
        self, influxdb: Server, client: Writer
    ) -> None:
        def last(peer: Peer) -> None:
            scripted_server.accept(peer)
            peer.hang_up()

        influxdb.at(1, last)
        client.write(LINES, TIMEOUT_S)
        influxdb.join()

        client.write(OTHERS, TIMEOUT_S)

        assert influxdb.stored == LINES + OTHERS
        assert (influxdb.turns, influxdb.connections) == (2, 2)

    def test_a_connection_that_closes_at_a_request_is_replaced_once(
        self, influxdb: Server, client: Writer
    ) -> None:
        client.write(LINES, TIMEOUT_S)
        for number in (2, 3):
            influxdb.at(number, Peer.hang_up)

        assert type(failure(client)) is Unavailable
        assert (influxdb.turns, influxdb.connections) == (3, 2)

    def test_a_request_that_was_answered_in_part_is_not_sent_again_at_once(
        self, influxdb: Server, client: Writer
    ) -> None:
        def half(peer: Peer) -> None:
            peer.read()
            peer.say(NO_CONTENT[:20])
            peer.hang_up()

        client.write(LINES, TIMEOUT_S)
        influxdb.at(2, half)

        assert type(failure(client)) is Unavailable
        assert influxdb.turns == 2

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", id="said to close"),
            pytest.param(b"HTTP/1.0 204 No Content\r\n\r\n", id="HTTP/1.0"),
            pytest.param(
                b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", id="a length for no body"
            ),
            pytest.param(
                b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks for no body"
            ),
            pytest.param(FULL_SLICE + NO_CONTENT, id="bytes behind what is parsed at a time"),
        ],
    )
    def test_a_connection_is_replaced_after_an_answer_that_is_not_clean(
        self, influxdb: Server, client: Writer, raw: bytes
    ) -> None:
        influxdb.at(1, refuse(raw))
        with suppress(Unavailable):
            client.write(LINES, TIMEOUT_S)

        client.write(OTHERS, TIMEOUT_S)

        assert influxdb.connections == 2

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(NO_CONTENT, id="204"),
            pytest.param(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", id="204 of length 0"),
            pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + NO_CONTENT, id="103 and 204"),
            pytest.param(BUSY, id="503"),
            pytest.param(FULL_SLICE, id="503 of as many bytes as are parsed at a time"),
            pytest.param(
                b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
                id="503 in chunks",
            ),
        ],
    )
    def test_a_connection_is_kept_after_a_clean_answer(
        self, influxdb: Server, client: Writer, raw: bytes
    ) -> None:
        influxdb.at(1, refuse(raw))
        with suppress(Unavailable):
            client.write(LINES, TIMEOUT_S)

        client.write(OTHERS, TIMEOUT_S)

        assert influxdb.connections == 1


class Stop(BaseException):
    """What a signal handler raises."""


def interrupted(write: Callable[[], None], after: int) -> bool:
    """Do a write that is interrupted at one of its lines of code; False if it has fewer."""
    left = after
    ours = {connection.__file__, transport.__file__}

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in ours:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise Stop
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        write()
    except Stop:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("reused", [False, True])
def test_after_an_interruption_at_any_line_no_other_request_gets_its_answer(
    influxdb: Server, client: Writer, reused: bool
) -> None:
    """The server stores all lines but `OTHERS`: a 204 for them is one that was meant for other lines."""

    def judge(peer: Peer) -> None:
        if peer.read() == OTHERS:
            peer.say(BUSY)
        else:
            peer.store()
            peer.say(NO_CONTENT)

    influxdb.otherwise = judge
    after = 0
    while True:
        if reused:
            client.write(LINES, TIMEOUT_S)
        else:
            client.close()
        if not interrupted(lambda: client.write(LINES, TIMEOUT_S), after):
            break
        influxdb.settle()

        assert failure(client, OTHERS).status == 503, f"line {after}"
        after += 1

    assert after > 50


def test_a_connection_is_not_used_again_if_its_close_was_interrupted(
    influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers the first request when the second one comes."""

    def late(peer: Peer) -> None:
        peer.read()
        peer.store()
        peer.tempt(TIMEOUT_S)
        peer.say(NO_CONTENT)

    left: list[Transport] = []

    def interrupted_close(self: Transport) -> None:
        left.append(self)
        raise Stop

    client.write(LINES, TIMEOUT_S)
    influxdb.at(2, late)
    influxdb.at(3, refuse(BUSY))
    with monkeypatch.context() as patch:
        patch.setattr(Transport, "close", interrupted_close)
        with pytest.raises(Stop):
            client.write(LINES, SHORT_S)

    assert failure(client, OTHERS).status == 503
    (transport_left,) = left
    transport_left.close()


class TestNetworks:
    """TLS, IPv6, and latency."""

    def test_tls_is_accepted_from_its_authority_only(
        self, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = Authority(tmp_path / "ca", "Tower's test")
        authority.issue(tmp_path / "server.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")
        with scripted_server.serving(tls=context) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            assert type(failure(connect(url))) is Unavailable

            monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
            other_name = failure(connect(server.url))
            client = connect(url)
            client.write(LARGE, TIMEOUT_S)
            long = b'{"error":"%s"}' % (b"x" * 3_000_000)
            server.at(server.turns + 1, refuse(answer(400, long, "X-Influxdb-Build: OSS")))
            refused = failure(client)
            client.write(LINES, TIMEOUT_S)
            connections = server.connections
            client.close()

        assert type(other_name) is Unavailable
        assert len(refused.message) == 3_000_000
        assert server.stored == LARGE + LINES
        assert connections == 3

    def test_an_early_rejection_is_received_by_tls(
        self, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        authority = Authority(tmp_path / "ca", "Tower's test")
        authority.issue(tmp_path / "server.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "server.pem")

        def early(peer: Peer) -> None:
            peer.read_head()
            peer.say(answer(413, b"too much"))
            peer.hold()

        with scripted_server.serving(tls=context) as server:
            server.at(1, early)
            client = connect(server.url.replace("127.0.0.1", "localhost"))
            caught = failure(client, LARGE)
            client.close()

        assert (type(caught), caught.message) == (TooLarge, "too much")

    def test_ipv6_works(self, connect: Connect) -> None:
        with scripted_server.serving("::1") as server:
            client = connect(server.url)
            client.write(LINES, TIMEOUT_S)
            client.close()

        assert server.stored == LINES

    def test_a_name_is_tried_at_all_its_addresses(
        self, connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One is silent, the next refuses: each has its share of the time."""
        monkeypatch.setattr(transport, "CONNECT_S", 3 * SHORT_S)
        shares: list[float] = []

        original = transport._wait

        def wait(sock: socket.socket, events: int, until: float, check: Callable[[], None]) -> None:
            shares.append(until - time.monotonic())
            original(sock, events, until, check)

        with scripted_server.serving() as server, accepting_nothing() as silent, socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            good = ("127.0.0.1", int(server.url.rpartition(":")[2]))
            entry = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
            addresses = [(*entry, address) for address in (silent, closed.getsockname(), good)]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
            client = connect("http://influxdb.example:8086")
            with monkeypatch.context() as patch:
                patch.setattr(transport, "_wait", wait)
                client.write(LINES, TIMEOUT_S)
            client.close()

        assert server.stored == LINES
        assert 0 < shares[0] <= SHORT_S

    def test_a_small_request_is_one_packet_that_is_sent_at_once(
        self, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[int] = []
        original = socket.socket.sendmsg

        def sendmsg(self: socket.socket, buffers: list[memoryview]) -> int:
            assert self.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            sent.append(len(buffers))
            return original(self, buffers)

        monkeypatch.setattr(socket.socket, "sendmsg", sendmsg)
        for _ in range(3):
            client.write(LINES, TIMEOUT_S)

        assert sent == [2, 2, 2]
