"""The page's files and its content: dead letters as plain text, and the lab's dashboard from InfluxDB."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support import chronograf, fakes
from tests.support.observed import observation, state
from workers.commands.dlq.dead_letter import StoredDeadLetter
from workers.commands.serve.dead_letter_examples import SHOWN_CHARACTERS, Example
from workers.commands.serve.history import History
from workers.commands.serve.lab_dashboard import MOST_DEVICES, PLOTS, LabDashboard
from workers.commands.serve.page_content import page_content
from workers.commands.serve.page_files import FILES, page_routes

ROOT = Path(__file__).resolve().parents[4]


def example(value: bytes) -> Example:
    """The example of a dead letter with this payload."""
    return Example.of(
        StoredDeadLetter(0, 5, 1_700_000_000_000, "json", "bad", "resource", 0, 7, 0, None, value)
    )


def test_control_characters_of_a_dead_letter_are_escaped_and_markup_stays_text() -> None:
    payload = example(b"\x1b[2J<script>alert(1)</script>\x00").payload

    assert payload == "\\x1b[2J<script>alert(1)</script>\\x00"


def test_a_long_dead_letter_is_cut() -> None:
    assert len(example(b"x" * 5_000).payload) == SHOWN_CHARACTERS + 1


def test_dead_letters_are_counted_over_all_workers_the_most_frequent_first(tmp_path: Path) -> None:
    seen = observation(tmp_path, state(0), state(1, dead_letter_reasons={"json": 1, "text": 9}))

    content = page_content(fakes.settings(), seen, History(lambda: seen), {"json": example(b"{")})

    dead_letters = [(entry["reason"], entry["count"]) for entry in content["dead_letters"]]
    assert dead_letters == [("text", 9), ("json", 3)]
    assert content["dead_letters"][0]["example"] is None
    assert content["dead_letters"][1]["example"]["payload"] == "{"


def test_the_content_has_the_status_of_the_command(tmp_path: Path) -> None:
    seen = observation(tmp_path, state(0), state(1), state(2))
    history = History(lambda: seen)
    history.sample(seen)

    content = json.loads(json.dumps(page_content(fakes.settings(), seen, history, {})))

    assert content["status"]["healthy"] is True
    assert content["history"]["partitions"].keys() == {"0", "1", "2"}
    assert content["expected_workers"] == 3


def test_the_page_names_nothing_from_elsewhere() -> None:
    for route in page_routes().values():
        text = re.sub(r'"http://www.w3.org/2000/svg"', "", route("").content.decode())

        assert "//" not in re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE), text[:80]


def test_no_script_takes_markup_from_a_text() -> None:
    scripts = [route("").content.decode() for path, route in page_routes().items() if path.endswith(".js")]

    assert scripts
    for script in scripts:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_the_wheel_has_every_file_of_the_page() -> None:
    folder = ROOT / "workers" / "commands" / "serve" / "page"

    assert {name for name, _ in FILES.values()} == {file.name for file in folder.iterdir()}
    assert '"commands/serve/page/*"' in (ROOT / "pyproject.toml").read_text()


def test_the_plots_are_those_of_the_chronograf_dashboard() -> None:
    assert {
        cell["name"]: chronograf.queries(cell)[0].partition(" FROM ")[0] for cell in chronograf.lab_cells()
    } == {plot.title: f"SELECT {plot.select}" for plot in PLOTS}


@contextmanager
def influxdb(status: int, content: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """InfluxDB's /query with one answer; gives its URL, and each request's query and authorization."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)["q"][0]
            asked.append((query, self.headers["Authorization"]))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def dashboard(url: str, **options: object) -> LabDashboard:
    """A dashboard that asks this InfluxDB as a v1 user."""
    user: dict[str, object] = {"influxdb_user": "tower", "influxdb_password": "canary"}
    return LabDashboard(fakes.settings(influxdb_url=url, **(user | options)))


def series(device: str) -> dict[str, Any]:
    return {
        "name": "labs",
        "tags": {"deviceId": device},
        "columns": ["time", "memory"],
        "values": [[1_700_000_000_000_000_000, 5.0], [1_700_000_015_000_000_000, None]],
    }


def test_a_plot_has_a_line_for_each_device() -> None:
    answer = {"results": [{"statement_id": 0, "series": [series("pi-1"), series("pi-2")]}]}
    with influxdb(200, answer) as (url, asked):
        content = dashboard(url).content()

    assert content["problem"] == ""
    assert [plot["title"] for plot in content["plots"]] == [plot.title for plot in PLOTS]
    assert content["plots"][0]["series"] == [
        {"device": device, "field": "memory", "points": [[1_700_000_000, 5.0]]}
        for device in ("pi-1", "pi-2")
    ]
    assert asked[0][1].startswith("Basic ")


def test_more_devices_than_fit_are_cut_and_it_says_so() -> None:
    many = [series(f"pi-{number}") for number in range(MOST_DEVICES + 1)]
    with influxdb(200, {"results": [{"series": many}]}) as (url, _):
        plot = dashboard(url).content()["plots"][0]

    assert len(plot["series"]) == MOST_DEVICES
    assert plot["is_cut"]


def test_many_pages_are_one_query() -> None:
    with influxdb(200, {"results": []}) as (url, asked):
        shared = dashboard(url)
        for _ in range(5):
            shared.content()

    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "answer", "word"),
    [
        pytest.param(401, {"error": "unauthorized access"}, "unauthorized access", id="wrong password"),
        pytest.param(
            200, {"results": [{"error": "database not found"}]}, "database not found", id="no mapping"
        ),
        pytest.param(503, {"error": "busy"}, "busy", id="busy"),
    ],
)
def test_an_answer_without_values_says_why_and_what_to_do(status: int, answer: Any, word: str) -> None:
    with influxdb(status, answer) as (url, _):
        content = dashboard(url).content()

    assert word in content["problem"]
    assert "tower check" in content["remedy"]
    assert content["plots"] == []


def test_an_influxdb_that_is_away_says_so() -> None:
    content = dashboard("http://127.0.0.1:9").content()

    assert "does not answer" in content["problem"]
    assert content["remedy"]


def test_without_a_v1_user_it_says_which_settings_are_missing() -> None:
    content = dashboard("http://127.0.0.1:9", influxdb_user="", influxdb_password="").content()

    assert "INFLUXDB_V1_USER" in content["remedy"]
