"""No secret in any argv, log, repr or traceback: canaries are planted, and searched for everywhere."""

import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import fakes, processes, server
from tests.support.fakes import FakeWait
from tests.support.server import influxdb_error
from workers.batch import Batch
from workers.influxdb.delivery import Delivery
from workers.influxdb.writer import Writer
from workers.kafka.dead_letters import headers
from workers.log import ThrottledLogger

TOKEN, PASSWORD, KEY = "CANARY-token-9f3b", "CANARY-password-51c7", "CANARY-key-0d2e"

#: Seconds a worker is watched.
WATCH_S = 2.0

SECRETS = {"TOWER_KAFKA_SASL_PASSWORD": PASSWORD, "TOWER_KAFKA_SSL_KEY_PASSWORD": KEY}


def command_lines(pid: int) -> str:
    """The argv of a process and of all its threads' children."""
    files = [Path(f"/proc/{pid}/cmdline")]
    for task in Path(f"/proc/{pid}/task").iterdir():
        files += [Path(f"/proc/{child}/cmdline") for child in _text(task / "children").split()]
    return "\n".join(map(_text, files))


def _text(file: Path) -> str:
    # A thread or child may be gone between one look and the next.
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def watched(folder: Path, environ: Mapping[str, str], seconds: float = WATCH_S) -> tuple[str, str]:
    """The argv of a worker that runs for a while, and all it printed and wrote into its folder."""
    with processes.running(folder, environ) as worker:
        argv = ""
        end = time.monotonic() + processes.START_S
        while time.monotonic() < end and worker.poll() is None:
            argv += command_lines(worker.pid)
            if (folder / "worker-0.json").exists():
                end = min(end, time.monotonic() + seconds)
            time.sleep(0.1)
        worker.send_signal(signal.SIGTERM)
        worker.wait(processes.START_S)
    return argv, "".join(file.read_text(errors="replace") for file in folder.iterdir())


def test_a_worker_that_reaches_nothing_shows_no_secret(tmp_path: Path) -> None:
    argv, written = watched(
        tmp_path,
        {
            **SECRETS,
            "TOWER_INFLUXDB_TOKEN": TOKEN,
            "TOWER_LOG_LEVEL": "DEBUG",
            "TOWER_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "TOWER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "TOWER_KAFKA_SASL_USERNAME": "tower",
            "TOWER_KAFKA_DEBUG": "conf,security,broker",
        },
    )

    assert "workers" in argv
    assert "shutdown report" in written
    assert '"heartbeat"' in written
    assert "CANARY" not in argv + written


def test_the_search_would_find_one(tmp_path: Path) -> None:
    _, written = watched(tmp_path, {"TOWER_KAFKA_CLIENT_ID": TOKEN}, seconds=0.5)

    assert "CANARY" in written


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"TOWER_INFLUXDB_TOKEN": f"{TOKEN}\nx"}, id="token of two lines"),
        pytest.param(
            {"TOWER_KAFKA_SECURITY_PROTOCOL": "SSL", "TOWER_KAFKA_SSL_KEY_PEM": KEY}, id="key that is none"
        ),
        pytest.param(
            {"TOWER_INFLUXDB_URL": f"http://tower:{PASSWORD}@localhost"}, id="password in the address"
        ),
        pytest.param({"TOWER_INFLUXDB_TOKEN": TOKEN, "TOWER_BATCH_LINES": "many"}, id="another option"),
    ],
)
def test_wrong_settings_show_no_secret(tmp_path: Path, environ: dict[str, str]) -> None:
    done = processes.run(tmp_path, {**SECRETS, **environ})

    assert done.returncode
    assert "CANARY" not in done.stdout + done.stderr


def test_a_crash_shows_no_secret(tmp_path: Path) -> None:
    # A module that breaks whatever is asked of the worker's state, to have a traceback through it all.
    (tmp_path / "sitecustomize.py").write_text(
        "import json\njson.dumps = lambda *_, **__: 1 / 0\n", encoding="utf-8"
    )
    done = processes.run(tmp_path, {**SECRETS, "TOWER_INFLUXDB_TOKEN": TOKEN, "PYTHONPATH": str(tmp_path)})

    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "CANARY" not in done.stdout + done.stderr


def test_a_rejected_token_is_not_logged_with_influxdbs_answer(caplog: pytest.LogCaptureFixture) -> None:
    wait = FakeWait()
    batch = Batch(lines=[b"labs a=1 1"], origins=[fakes.origin()], next_offsets={fakes.partition(0): 1})
    with server.serving() as influxdb:
        influxdb.answer(influxdb_error(401, "unauthorized access"), influxdb_error(503, "busy"))
        settings = fakes.settings({"TOWER_INFLUXDB_TOKEN": TOKEN}, influxdb_url=influxdb.url)
        client = Writer(settings)
        throttled_log = ThrottledLogger(logging.getLogger("tower.loop"))
        Delivery(settings, client, wait, lambda: False, throttled_log).deliver(batch, timeout_s=5)
        client.close()

    assert "unauthorized access" in caplog.text
    assert "CANARY" not in caplog.text + str(wait.asked)


@pytest.mark.parametrize("status", [400, 401, 413, 422, 503])
def test_an_answer_that_repeats_the_token_shows_it_in_no_log_and_no_dead_letter(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    wait = FakeWait()
    batch = Batch(lines=[b"labs a=1 1"], origins=[fakes.origin()], next_offsets={fakes.partition(0): 1})
    with server.serving() as influxdb:
        influxdb.answer(
            influxdb_error(status, f"unable to parse 'labs a=1 1': Authorization: Token {TOKEN}")
        )
        settings = fakes.settings({"TOWER_INFLUXDB_TOKEN": TOKEN}, influxdb_url=influxdb.url)
        client = Writer(settings)
        throttled_log = ThrottledLogger(logging.getLogger("tower.loop"))
        Delivery(settings, client, wait, lambda: False, throttled_log).deliver(batch, timeout_s=5)
        client.close()
    shown = caplog.text + str(wait.asked) + "".join(str(headers(letter)) for letter in batch.dead_letters)

    assert "Token ***" in shown
    assert "CANARY" not in shown
