"""The fault proxy does to a write what it is told, and takes down what happened."""

import gc
import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.faults.harness.http_fault import Cut, Fault, Reply
from tests.faults.harness.proxy import Proxy

BODY = b'labs part=1,seq=0,note="a\nb" 1700000000000000001\nlabs part=2,seq=0 1700000000000000002'


class Database(BaseHTTPRequestHandler):
    """Answers a whole gzip body with 204 and a broken one with 500."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        raw = self.rfile.read(length)
        if len(raw) < length:
            self.close_connection = True
            return
        try:
            self.bodies.append(gzip.decompress(raw))
        except EOFError:
            self.send_response(500)
            self.send_header("Content-Length", "0")
        else:
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def bodies() -> list[bytes]:
    """What the database got whole."""
    return []


@pytest.fixture
def proxy(bodies: list[bytes]) -> Iterator[Proxy]:
    """A proxy in front of a database that says 204."""
    handler = type("Handler", (Database,), {"bodies": bodies})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with Proxy(f"http://127.0.0.1:{server.server_port}", seed=3) as up:
            yield up
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(proxy: Proxy, timeout_s: float = 5.0) -> Any:
    """Write through the proxy; the answer, or the error in its place."""
    connection = HTTPConnection(proxy.url.removeprefix("http://"), timeout=timeout_s)
    try:
        headers = {"Content-Encoding": "gzip"}
        connection.request("POST", "/api/v2/write", gzip.compress(BODY), headers)
        answer = connection.getresponse()
        answer.read()
    except OSError as error:
        return error
    else:
        return answer
    finally:
        connection.close()


def test_a_write_passes_and_is_taken_down(proxy: Proxy, bodies: list[bytes]) -> None:
    answer = post(proxy)

    assert answer.status == 204
    assert bodies == [BODY]
    (request,) = proxy.requests
    assert (request.lines, request.partitions, request.upstream, request.status) == (
        2,
        frozenset({1, 2}),
        204,
        204,
    )
    assert proxy.acknowledged() == 2
    assert proxy.first_write(0.0, partition=1) is not None
    assert proxy.first_write(0.0, partition=3) is None


def test_a_script_answers_in_place_of_the_database(proxy: Proxy, bodies: list[bytes]) -> None:
    proxy.set(Fault(status=429, headers={"Retry-After": "3"}, times=1))

    first, second = post(proxy), post(proxy)

    assert (first.status, first.getheader("Retry-After"), second.status) == (429, "3", 204)
    assert len(bodies) == 1


def test_a_swallowed_204_is_stored_and_not_heard(proxy: Proxy, bodies: list[bytes]) -> None:
    proxy.set(Fault(reply=Reply.SWALLOW))

    assert isinstance(post(proxy), ConnectionError)
    assert bodies == [BODY]
    assert [(request.upstream, request.status) for request in proxy.requests] == [(204, 0)]


def test_a_held_204_comes_when_it_is_released(proxy: Proxy) -> None:
    proxy.set(Fault(reply=Reply.HOLD, times=1))
    answers: list[Any] = []
    writer = threading.Thread(target=lambda: answers.append(post(proxy)))
    writer.start()
    deadline = time.monotonic() + 5
    while not proxy.held and time.monotonic() < deadline:
        time.sleep(0.01)

    assert proxy.held == 1
    assert not answers
    proxy.release()
    writer.join(5)
    assert [answer.status for answer in answers] == [204]


@pytest.mark.parametrize("cut", [Cut.CLOSE, Cut.RESET, Cut.HALF])
def test_a_body_that_is_cut_is_never_acknowledged(proxy: Proxy, bodies: list[bytes], cut: Cut) -> None:
    proxy.set(Fault(cut=cut))

    for _ in range(5):
        assert isinstance(post(proxy), OSError)
    assert not bodies
    assert proxy.acknowledged() == 0


def test_a_shortened_body_is_whole_http_around_a_broken_stream(proxy: Proxy, bodies: list[bytes]) -> None:
    proxy.set(Fault(cut=Cut.SHORTEN, cut_after=30))

    assert post(proxy).status == 500
    assert not bodies


def test_a_dead_server_refuses_connections_until_it_is_back_on_its_port(proxy: Proxy) -> None:
    url = proxy.url
    proxy.down()

    assert isinstance(post(proxy), ConnectionRefusedError)
    proxy.heal()
    assert proxy.url == url
    assert post(proxy).status == 204


def test_silence_lasts_until_the_client_gives_up(proxy: Proxy, bodies: list[bytes]) -> None:
    proxy.set(Fault(reply=Reply.NEVER))

    assert isinstance(post(proxy, timeout_s=0.2), TimeoutError)
    assert not bodies


def test_a_slow_way_takes_its_time(proxy: Proxy) -> None:
    proxy.set(Fault(bytes_per_s=200, latency_s=0.2))
    begun = time.monotonic()

    assert post(proxy).status == 204
    assert time.monotonic() - begun > 0.3


def test_chance_spares_some(proxy: Proxy) -> None:
    proxy.set(Fault(status=503, chance=0.5))

    statuses = {post(proxy).status for _ in range(20)}

    assert statuses == {204, 503}


@pytest.mark.filterwarnings("error")
def test_no_connection_outlives_the_proxy_even_if_it_begins_as_the_proxy_ends() -> None:
    """Python warns of one that does, in whichever test runs by then."""
    for _ in range(40):
        with Proxy("http://127.0.0.1:1") as proxy, ExitStack() as workers:
            host, _, port = proxy.url.removeprefix("http://").partition(":")
            for _ in range(4):
                workers.enter_context(socket.create_connection((host, int(port))))
    gc.collect()
