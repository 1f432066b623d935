"""`write` returns after a 204 and at no other answer."""

import json
import socket
import time
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support import fakes, scripted_server, server
from tests.support.scripted_server import Peer
from tests.support.server import Answer, Server, influxdb_error
from workers.config.settings import Settings
from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable, WriteError
from workers.influxdb import advice, connection
from workers.influxdb.answer import TEXT_CHARACTERS
from workers.influxdb.writer import Writer

LINES = [b"labs a=1 1", b"labs a=2 2"]
TIMEOUT_S = 5.0
CANARY = "CANARY-77aa"

Connect = Callable[[Settings], Writer]


@pytest.fixture
def influxdb() -> Iterator[Server]:
    """A server that answers 204 unless a test sets another answer."""
    with server.serving() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes writers, all closed at the end."""
    with ExitStack() as closing:

        def make(settings: Settings) -> Writer:
            writer = Writer(settings)
            closing.callback(writer.close)
            return writer

        yield make


@pytest.fixture
def client(influxdb: Server, connect: Connect) -> Writer:
    """A writer to it."""
    return connect(fakes.settings(influxdb_url=influxdb.url))


def refusal(client: Writer, timeout_s: float = TIMEOUT_S) -> WriteError:
    """The error of a write that was not acknowledged."""
    with pytest.raises(WriteError) as caught:
        client.write(LINES, timeout_s)
    return caught.value


def v1(influxdb: Server, **more: str) -> Settings:
    """Settings for the v1 endpoint."""
    return fakes.settings({"TOWER_INFLUXDB_API": "v1", "TOWER_INFLUXDB_URL": influxdb.url, **more})


class TestRequest:
    """What is sent."""

    def test_the_lines_are_sent_gzipped_with_the_token(self, influxdb: Server, client: Writer) -> None:
        client.write(LINES, TIMEOUT_S)

        (request,) = influxdb.requests
        assert request.lines == LINES
        assert request.path == "/api/v2/write?org=GIST&bucket=Labs&precision=ns"
        assert request.headers["Authorization"] == "Token t0ken"
        assert request.headers["Content-Encoding"] == "gzip"

    def test_v1_takes_database_policy_user_and_password(self, influxdb: Server, connect: Connect) -> None:
        config = v1(influxdb, INFLUXDB_V1_USER="tower", INFLUXDB_V1_PASSWORD="p:ä w")
        connect(config).write(LINES, TIMEOUT_S)

        (request,) = influxdb.requests
        scheme, pair = request.headers["Authorization"].split()
        assert request.path == "/write?db=Labs&rp=autogen&precision=ns"
        assert (scheme, b64decode(pair).decode()) == ("Basic", "tower:p:ä w")

    def test_names_are_quoted_in_the_address(self, influxdb: Server, connect: Connect) -> None:
        config = fakes.settings(
            influxdb_url=f"{influxdb.url}/behind/a/proxy", influxdb_org="a&b=c d", influxdb_bucket="ü/?#"
        )
        connect(config).write(LINES, TIMEOUT_S)

        path = influxdb.requests[0].path
        assert path == "/behind/a/proxy/api/v2/write?org=a%26b%3Dc%20d&bucket=%C3%BC%2F%3F%23&precision=ns"

    def test_one_connection_serves_many_writes(self, influxdb: Server, client: Writer) -> None:
        influxdb.answer(Answer(), influxdb_error(400, "no"), Answer(), influxdb_error(503, "no"), Answer())
        for _ in range(5):
            try:
                client.write(LINES, TIMEOUT_S)
            except WriteError:
                continue

        assert len(influxdb.requests) == 5
        assert len({request.client for request in influxdb.requests}) == 1

    def test_a_rotated_token_is_sent_without_a_new_writer(
        self, influxdb: Server, connect: Connect, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text("old")
        config = fakes.settings(
            {"TOWER_INFLUXDB_TOKEN": ""}, influxdb_url=influxdb.url, influxdb_token_file=file
        )
        client = connect(config)
        client.write(LINES, TIMEOUT_S)
        file.write_text("new")
        config.influxdb_token.reread()
        client.write(LINES, TIMEOUT_S)

        tokens = [request.headers["Authorization"] for request in influxdb.requests]
        assert tokens == ["Token old", "Token new"]

    def test_a_token_that_is_not_ascii_is_sent_as_utf_8(self, influxdb: Server, connect: Connect) -> None:
        config = fakes.settings({"TOWER_INFLUXDB_TOKEN": "tökén€"}, influxdb_url=influxdb.url)
        connect(config).write(LINES, TIMEOUT_S)

        sent = influxdb.requests[0].headers["Authorization"]
        assert sent.encode("latin-1").decode() == "Token tökén€"

    def test_a_space_behind_a_token_is_not_sent(self, influxdb: Server, connect: Connect) -> None:
        config = fakes.settings({"TOWER_INFLUXDB_TOKEN": "t0ken "}, influxdb_url=influxdb.url)
        connect(config).write(LINES, TIMEOUT_S)

        assert influxdb.requests[0].headers["Authorization"] == "Token t0ken"


class TestAnswer:
    """What each status means."""

    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (400, Rejected),
            (422, Rejected),
            (401, Misconfigured),
            (403, Misconfigured),
            (404, Misconfigured),
            (413, TooLarge),
            *((status, Unavailable) for status in (408, 429, 500, 502, 503, 504, 507)),
            *(
                (status, Unavailable)
                for status in (200, 201, 202, 206, 301, 302, 307, 405, 406, 410, 418, 599)
            ),
        ],
    )
    def test_only_204_is_proof(
        self, influxdb: Server, client: Writer, status: int, error: type[WriteError]
    ) -> None:
        influxdb.answer(influxdb_error(status, "why not"))

        caught = refusal(client)

        assert type(caught) is error
        assert (caught.status, caught.message) == (status, "why not")
        assert len(influxdb.requests) == 1

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b'{"code":"invalid","message":"why"}', "why"),
            (b'{"error":"why"}', "why"),
            (b'{"code":"invalid"}', '{"code":"invalid"}'),
            (b"<html>why</html>", "<html>why</html>"),
            (b'["why"]', '["why"]'),
            (b'{"message":["why"]}', "['why']"),
            (b"\xff\xfe", "\ufffd\ufffd"),
            (b"[" * 100_000, "[" * TEXT_CHARACTERS),
            (b"", ""),
        ],
        ids=lambda it: repr(it)[:30],
    )
    def test_the_text_of_any_answer_is_read(
        self, influxdb: Server, client: Writer, body: bytes, message: str
    ) -> None:
        influxdb.answer(Answer(400, body))

        assert refusal(client).message == message

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [(None, None), ("7", 7.0), ("rubbish", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
    )
    @pytest.mark.parametrize("status", [429, 503])
    def test_retry_after_is_handed_on(
        self, influxdb: Server, client: Writer, status: int, header: str | None, seconds: float | None
    ) -> None:
        influxdb.answer(Answer(status, headers={} if header is None else {"Retry-After": header}))

        caught = refusal(client)

        assert isinstance(caught, Unavailable)
        assert caught.retry_after == seconds

    @pytest.mark.parametrize(
        "message", ["unable to read data: gzip: invalid checksum", "gzip: invalid header"]
    )
    def test_a_damaged_body_rejects_no_line(self, influxdb: Server, client: Writer, message: str) -> None:
        influxdb.answer(influxdb_error(400, message))

        assert isinstance(refusal(client), Unavailable)

    @pytest.mark.parametrize(
        "message",
        [
            "unable to parse 'labs,t=gzip: a=nope 1': invalid number",
            'partial write: field type conflict: input field "gzip: invalid" on measurement',
        ],
    )
    def test_a_record_about_gzip_does_not_make_a_rejection_wait_for_ever(
        self, influxdb: Server, client: Writer, message: str
    ) -> None:
        influxdb.answer(influxdb_error(400, message))

        assert isinstance(refusal(client), Rejected)

    def test_the_list_of_a_full_batch_is_read_whole(self, influxdb: Server, client: Writer) -> None:
        message = "\n".join(f"unable to parse 'labs a=nope {number}': invalid" for number in range(20_000))
        influxdb.answer(influxdb_error(400, message))

        assert refusal(client).message == message

    def test_an_answer_without_end_is_cut_and_its_connection_closed(
        self, influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "LIST_BYTES", 1_000)
        influxdb.answer(Answer(400, b"x" * 5_000))

        assert refusal(client).message == "x" * 1_000
        client.write(LINES, TIMEOUT_S)
        assert len({request.client for request in influxdb.requests}) == 2


INFLUXDBS = b'{"code":"invalid","message":"no"}'

#: Answers of others. The first is Go's net/http (server.go), then nginx 1.22 and Apache 2.4.
OTHERS = [
    pytest.param(
        Answer(400, b"Client sent an HTTP request to an HTTPS server.\n"),
        advice.USE_HTTPS,
        id="Go's TLS port",
    ),
    pytest.param(
        Answer(400, b"<h1>400 Bad Request</h1>The plain HTTP request was sent to HTTPS port"),
        advice.USE_HTTPS,
        id="nginx's TLS port",
    ),
    pytest.param(
        Answer(400, b"You're speaking plain HTTP to an SSL-enabled server port."),
        advice.USE_HTTPS,
        id="Apache's TLS port",
    ),
    pytest.param(
        Answer(301, headers={"Location": "HTTPS://influxdb/"}), advice.USE_HTTPS, id="redirect to TLS"
    ),
    pytest.param(Answer(302, headers={"Location": "/login"}), advice.FOLLOW, id="redirect"),
    pytest.param(
        Answer(200, b"<html>Welcome to our Wi-Fi</html>"), advice.NOT_INFLUXDB, id="captive portal"
    ),
    pytest.param(Answer(400, b"<html>Bad Request</html>"), advice.NOT_INFLUXDB, id="a proxy's 400"),
    pytest.param(Answer(422, b"<html>Unprocessable</html>"), advice.NOT_INFLUXDB, id="a proxy's 422"),
    pytest.param(Answer(404, b"<html>Not Found</html>"), advice.NOT_INFLUXDB, id="another web server"),
    pytest.param(Answer(405, b"Method Not Allowed"), advice.NOT_INFLUXDB, id="a file server"),
    pytest.param(Answer(422, INFLUXDBS), advice.NOT_INFLUXDB, id="the form without the header"),
    pytest.param(
        Answer(400, b"<html>", server.MARKS), advice.NOT_INFLUXDB, id="the header without the form"
    ),
    pytest.param(
        Answer(400, b'{"message":"no"}', server.MARKS),
        advice.NOT_INFLUXDB,
        id="the header and half the form",
    ),
]


class TestOthers:
    """Answers that do not come from InfluxDB reject no line, and say what to correct."""

    @pytest.mark.parametrize(("reply", "expected"), OTHERS)
    def test_another_servers_answer_is_a_reason_to_wait(
        self, influxdb: Server, client: Writer, reply: Answer, expected: str
    ) -> None:
        influxdb.answer(reply)

        caught = refusal(client)

        assert type(caught) is Unavailable
        assert (caught.status, caught.advice) == (reply.status, expected)

    @pytest.mark.parametrize("body", [INFLUXDBS, b'{"error":"no"}'], ids=["v2", "v1"])
    @pytest.mark.parametrize("mark", server.MARKS)
    def test_influxdbs_rejection_has_its_header_and_its_form(
        self, influxdb: Server, client: Writer, mark: str, body: bytes
    ) -> None:
        influxdb.answer(Answer(400, body, {mark: "x"}))

        assert type(refusal(client)) is Rejected

    def test_a_proxys_413_splits_and_judges_no_line(self, influxdb: Server, client: Writer) -> None:
        influxdb.answer(
            Answer(413, b"<html>Request Entity Too Large</html>"), influxdb_error(413, "too large")
        )

        by = [refusal(client) for _ in range(2)]

        assert [error.by_influxdb for error in by if isinstance(error, TooLarge)] == [False, True]
        assert [error.advice for error in by] == [advice.PROXY_LIMIT, ""]

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
    def test_a_proxy_that_answers_for_an_outage_is_not_called_a_wrong_address(
        self, influxdb: Server, client: Writer, status: int
    ) -> None:
        influxdb.answer(Answer(status, b"<html>Bad Gateway</html>"))

        assert refusal(client).advice == ""

    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            pytest.param(
                b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
                advice.USE_HTTPS,
                id="influxd 2.7.12 with --tls-cert",
            ),
            pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", advice.NO_HTTP, id="a TLS alert"),
        ],
    )
    def test_plain_http_to_another_kind_of_port_says_so(
        self, connect: Connect, raw: bytes, expected: str
    ) -> None:
        def reply(peer: Peer) -> None:
            peer.read()
            peer.say(raw)
            peer.hang_up()

        with scripted_server.serving() as running:
            running.at(1, reply)
            caught = refusal(connect(fakes.settings(influxdb_url=running.url)))

            assert (type(caught), caught.advice) == (Unavailable, expected)

    def test_tls_to_a_plain_port_says_http(self, influxdb: Server, connect: Connect) -> None:
        caught = refusal(connect(fakes.settings(influxdb_url=influxdb.url.replace("http:", "https:"))))

        assert (type(caught), caught.advice) == (Unavailable, advice.USE_HTTP)


class TestConnection:
    """Servers and connections that break."""

    def test_no_server_is_unavailable(self, connect: Connect) -> None:
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            client = connect(fakes.settings(influxdb_url=f"http://127.0.0.1:{bound.getsockname()[1]}"))

            caught = refusal(client)

        assert type(caught) is Unavailable
        assert caught.status == 0

    def test_a_name_that_does_not_resolve_is_unavailable(self, connect: Connect) -> None:
        caught = refusal(connect(fakes.settings(influxdb_url="http://tower.invalid:8086")))

        assert type(caught) is Unavailable

    def test_a_connection_closed_while_idle_is_replaced(self, influxdb: Server, client: Writer) -> None:
        influxdb.answer(Answer(hang_up=True))

        client.write(LINES, TIMEOUT_S)
        client.write(LINES, TIMEOUT_S)

        assert [request.lines for request in influxdb.requests] == [LINES, LINES]

    def test_a_connection_that_the_server_closes_is_not_reused(
        self, influxdb: Server, client: Writer
    ) -> None:
        influxdb.answer(Answer(headers={"Connection": "close"}))

        client.write(LINES, TIMEOUT_S)
        client.write(LINES, TIMEOUT_S)

        assert len({request.client for request in influxdb.requests}) == 2

    def test_a_server_that_closes_a_new_connection_is_unavailable(
        self, influxdb: Server, client: Writer
    ) -> None:
        influxdb.answer(Answer(0))

        assert type(refusal(client)) is Unavailable
        assert len(influxdb.requests) == 1

    def test_a_server_that_closes_a_reused_connection_is_asked_once_more(
        self, influxdb: Server, client: Writer
    ) -> None:
        influxdb.answer(Answer(), Answer(0), Answer(0))
        client.write(LINES, TIMEOUT_S)

        assert type(refusal(client)) is Unavailable
        assert len(influxdb.requests) == 3

    def test_no_answer_in_time_is_too_large(self, influxdb: Server, client: Writer) -> None:
        influxdb.answer(Answer(silent=True))

        caught = refusal(client, timeout_s=0.2)

        assert type(caught) is TooLarge
        assert caught.status == 0

    def test_a_time_out_of_zero_still_leaves_the_shortest_time_out(
        self, influxdb: Server, client: Writer
    ) -> None:
        influxdb.answer(Answer(silent=True))

        assert type(refusal(client, timeout_s=0.0)) is TooLarge

    def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_ones(
        self, influxdb: Server, client: Writer
    ) -> None:
        influxdb.answer(Answer(silent=True), influxdb_error(503, "busy"))
        refusal(client, timeout_s=0.2)

        assert refusal(client).status == 503
        assert len({request.client for request in influxdb.requests}) == 2

    @pytest.mark.parametrize("status", [400, 503])
    def test_an_answer_cut_short_keeps_its_status(
        self, influxdb: Server, client: Writer, status: int
    ) -> None:
        influxdb.answer(Answer(status, b'{"message":"unable to', missing=50))

        assert refusal(client).status == status
        client.write(LINES, TIMEOUT_S)
        assert influxdb.requests[-1].lines == LINES

    def test_an_idle_connection_is_replaced_before_influxdb_closes_it(
        self, influxdb: Server, client: Writer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client.write(LINES, TIMEOUT_S)
        later = time.monotonic() + connection.IDLE_S + 1
        monkeypatch.setattr(time, "monotonic", lambda: later)

        client.write(LINES, TIMEOUT_S)

        assert len({request.client for request in influxdb.requests}) == 2

    def test_closing_twice_is_harmless_and_a_closed_writer_writes_again(self, client: Writer) -> None:
        client.write(LINES, TIMEOUT_S)
        client.close()
        client.close()

        client.write(LINES, TIMEOUT_S)


def echo(text: str) -> Answer:
    """An answer that repeats what it was sent."""
    return Answer(500, f"<pre>Authorization: {text}</pre>".encode())


@pytest.mark.parametrize(
    "answer",
    [
        influxdb_error(401, "no"),
        influxdb_error(400, "no"),
        Answer(0),
        Answer(silent=True),
        echo(f"Token {CANARY}"),
        Answer(500, f'{{"headers":{{"Authorization":"Token {CANARY}"}}}}'.encode()),
        influxdb_error(400, f"unable to parse '{CANARY}': no {CANARY}"),
        influxdb_error(403, CANARY * 3),
        Answer(500, f"Token {CANARY}".encode()[:-1], missing=1),
    ],
)
def test_no_error_shows_the_token(influxdb: Server, connect: Connect, answer: Answer) -> None:
    influxdb.answer(answer)
    client = connect(fakes.settings({"TOWER_INFLUXDB_TOKEN": CANARY}, influxdb_url=influxdb.url))

    caught = refusal(client, timeout_s=0.2)

    assert CANARY[:-1] not in "".join(traceback.format_exception(caught))


@pytest.mark.parametrize("secret", ["p:ä w", b64encode("tower:p:ä w".encode()).decode()])
def test_no_error_shows_the_password(influxdb: Server, connect: Connect, secret: str) -> None:
    influxdb.answer(echo(secret), Answer(500, json.dumps([secret]).encode()))
    client = connect(v1(influxdb, INFLUXDB_V1_USER="tower", INFLUXDB_V1_PASSWORD="p:ä w"))

    messages = [refusal(client).message for _ in range(2)]

    assert messages == ["<pre>Authorization: ***</pre>", '["***"]']
