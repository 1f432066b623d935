"""The HTTP side of `tower serve`: closed paths, safe headers, and no way to change anything."""

import json
import logging
import socket
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from tests.support import fakes
from tests.support.observed import observation, state
from workers.commands.serve.app import Application, Page
from workers.commands.serve.history import History
from workers.commands.serve.metrics import registry
from workers.commands.serve.routes import routes


class Client:
    """Calls an application as a WSGI server does."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.status = 0
        self.headers: dict[str, str] = {}

    def __call__(self, path: str, method: str = "GET", host: str = "localhost:8787") -> bytes:
        environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": host}
        setup_testing_defaults(environ)
        return b"".join(self._application(environ, self._start))

    def _start(self, status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        self.status, self.headers = int(status.split(maxsplit=1)[0]), dict(headers)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    seen = observation(tmp_path, state(0), state(1), state(2))
    built = routes(
        fakes.settings(),
        lambda: seen,
        registry=registry(lambda: seen, "resource"),
        supervisord=lambda: "",
        history=History(lambda: seen),
        examples=dict,
    )
    return Client(Application(built, "127.0.0.1"))


def test_the_status_is_that_of_the_command(client: Client) -> None:
    content = json.loads(client("/api/status"))

    assert client.status == 200
    assert content["healthy"] is True
    assert [row["written"] for row in content["partitions"]] == [8, 8, 8]


def test_metrics_are_prometheus_text(client: Client) -> None:
    assert b'tower_records_written_total{partition="0",topic="resource",worker="0"} 8.0' in client(
        "/metrics"
    )
    assert client.headers["Content-Type"].startswith("text/plain; version=")


@pytest.mark.parametrize("path", ["/live", "/ready"])
def test_a_probe_answers_json_with_reasons(client: Client, path: str) -> None:
    assert json.loads(client(path))["why"] == []
    assert client.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_method_that_could_change_anything_is_allowed(client: Client, method: str) -> None:
    client("/api/status", method)

    assert client.status == 405


def test_head_has_headers_and_no_content(client: Client) -> None:
    assert client("/api/status", "HEAD") == b""
    assert int(client.headers["Content-Length"]) > 100


def test_an_unknown_path_is_not_found(client: Client) -> None:
    client("/../etc/passwd")

    assert client.status == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8787", 200),
        ("127.0.0.2:8787", 200),
        ("127.0.0.1.evil.example:8787", 421),
        ("[::1]:8787", 200),
        ("evil.example:8787", 421),
        ("[::2]", 421),
    ],
)
def test_a_name_of_another_machine_is_refused_on_loopback(client: Client, host: str, status: int) -> None:
    client("/live", host=host)

    assert client.status == status


@pytest.mark.parametrize(
    ("served_on", "status"),
    [("127.0.0.1", 421), ("127.0.0.2", 421), ("::1", 421), ("localhost", 421), ("192.168.0.7", 200)],
)
def test_every_loopback_address_has_the_check_and_others_serve_any_name(
    served_on: str, status: int
) -> None:
    client = Client(Application({"/live": lambda _: Page(b"")}, served_on))

    client("/live", host="evil.example:8787")

    assert client.status == status


@pytest.mark.parametrize(("address", "status"), [("127.0.1.1", 421), ("192.168.0.7", 200)])
def test_a_name_that_resolves_to_loopback_has_the_check_and_answers_to_itself(
    monkeypatch: pytest.MonkeyPatch, address: str, status: int
) -> None:
    """Debian gives a machine's own name 127.0.1.1 in /etc/hosts."""
    resolved = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: resolved)
    client = Client(Application({"/live": lambda _: Page(b"")}, "NUC"))

    client("/live", host="evil.example:8787")
    assert client.status == status

    client("/live", host="nuc:8787")
    assert client.status == 200


def test_every_answer_forbids_content_from_elsewhere(client: Client) -> None:
    for path in ("/api/status", "/no-such-path"):
        client(path)

        assert client.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert client.headers["X-Content-Type-Options"] == "nosniff"


def test_a_request_that_fails_is_logged_and_answered(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: str) -> Any:
        raise KeyError("canary")

    client = Client(Application({"/": broken}, "127.0.0.1"))
    with caplog.at_level(logging.ERROR, "tower.serve"):
        answer = client("/")

    assert client.status == 500
    assert b"canary" not in answer
    assert "canary" in caplog.text
