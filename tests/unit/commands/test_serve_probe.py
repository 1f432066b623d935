"""What is said about the address of `tower serve`."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socket import create_server

import pytest

from workers.commands.clients import serve_probe
from workers.commands.clients.serve_probe import TAKEN, pool_id, why_not_ours
from workers.config.parsers import Address


@contextmanager
def answering(content: bytes) -> Iterator[Address]:
    """A web server that gives one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


def test_the_pools_own_page_is_no_other_program(tmp_path: Path) -> None:
    live = {"live": True, "pool": pool_id(tmp_path)}
    with answering(json.dumps(live).encode()) as address:
        assert why_not_ours(address, tmp_path) == ""
        # The same folder by another name.
        (tmp_path / "link").symlink_to(tmp_path)
        assert why_not_ours(address, tmp_path / "link") == ""


@pytest.mark.parametrize("content", [b"<html>", b"{}", b"[]", b'{"pool": "another"}', b"[" * 100_000])
def test_what_answers_otherwise_is_another_program(tmp_path: Path, content: bytes) -> None:
    with answering(content) as address:
        assert why_not_ours(address, tmp_path) == TAKEN


def test_a_free_port_is_no_problem(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert why_not_ours(Address("127.0.0.1", port), tmp_path) == ""


def test_a_program_that_gives_no_answer_costs_the_time_out_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_probe, "ANSWER_S", 0.1)
    with create_server(("127.0.0.1", 0)) as server:
        why = why_not_ours(Address("0.0.0.0", server.getsockname()[1]), tmp_path)  # noqa: S104 - no listener

    assert why == "is taken by a program that gives no answer within 0.1 s"
