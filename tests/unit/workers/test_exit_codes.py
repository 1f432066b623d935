"""A wrong setting gives one line and its own exit code. Without one, only a signal stops a worker."""

import json
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.support import brokers, processes
from workers.exit_codes import MISCONFIGURED, OK

#: A worker whose topic has no id: librdkafka's mock brokers give none.
WITHOUT_ID = """
from workers import process
from workers.kafka.topic_id import TopicId
TopicId.ask = lambda _, topics: dict.fromkeys(topics, "")
process.run()
"""

#: The default of TOWER_DRAIN_S.
DRAIN_S = 10.0


@pytest.mark.parametrize(
    ("environ", "option"),
    [
        pytest.param({"TOWER_TOPPIC": "resource"}, "TOWER_TOPPIC", id="unknown option"),
        pytest.param({"TOWER_INFLUXDB_URL": "localhost:8086"}, "TOWER_INFLUXDB_URL", id="bad URL"),
        pytest.param({"TOWER_INFLUXDB_TOKEN": ""}, "TOWER_INFLUXDB_TOKEN", id="missing token"),
        pytest.param(
            {"TOWER_KAFKA_ENABLE_AUTO_COMMIT": "true"}, "TOWER_KAFKA_ENABLE_AUTO_COMMIT", id="auto-commit"
        ),
        pytest.param(
            {"TOWER_KAFKA_NO_SUCH_THING": "1"}, "TOWER_KAFKA_NO_SUCH_THING", id="unknown property"
        ),
        pytest.param(
            {"TOWER_KAFKA_SESSION_TIMEOUT_MS": "999999999"},
            "TOWER_KAFKA_SESSION_TIMEOUT_MS",
            id="property out of range",
        ),
        pytest.param(
            {"TOWER_RUN_DIR": "/dev/null/var"}, "TOWER_RUN_DIR", id="folder that cannot be created"
        ),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    tmp_path: Path, environ: dict[str, str], option: str
) -> None:
    done = processes.run(tmp_path, environ)

    assert (done.returncode, done.stdout) == (MISCONFIGURED, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tower: {option}: ")


def test_a_worker_without_kafka_and_influxdb_waits_and_stops_as_asked(tmp_path: Path) -> None:
    file = tmp_path / "worker-2.json"
    with processes.running(tmp_path, {"TOWER_WORKER": "2"}) as worker:
        deadline = time.monotonic() + processes.START_S
        while not file.exists():
            assert worker.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(processes.START_S) == OK

    output = (tmp_path / processes.OUTPUT).read_text()
    assert "shutdown report: " in output
    state = json.loads(file.read_text())
    assert (state["worker"], state["pid"], state["state"]) == (2, worker.pid, "stopped")
    assert "Traceback" not in output


def test_signals_while_a_stopped_worker_exits_do_not_change_its_exit_code(tmp_path: Path) -> None:
    """Python drops its handlers before the process ends."""
    with processes.running(tmp_path, {}) as worker:
        deadline = time.monotonic() + processes.START_S
        while not (tmp_path / "worker-0.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        while "shutdown report: " not in (tmp_path / processes.OUTPUT).read_text():
            assert time.monotonic() < deadline
            time.sleep(0.005)

        assert processes.terminate(worker) == OK


def test_signals_while_influxdb_does_not_answer_end_a_worker_in_order(tmp_path: Path) -> None:
    """A storm of them, with records in hand: it neither waits for the answer nor crashes."""
    with brokers.running() as cluster, socket.create_server(("127.0.0.1", 0)) as silent:
        cluster.produce("resource", [b'{"memory":1}'] * 8)
        environ = {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap,
            "TOWER_KAFKA_GROUP_PROTOCOL": "consumer",
            "TOWER_INFLUXDB_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        command = [sys.executable, "-c", WITHOUT_ID]
        with processes.running(tmp_path, environ, command) as worker:
            silent.settimeout(processes.START_S)
            with silent.accept()[0] as connection:
                assert connection.recv(1)
                begun = time.monotonic()
                assert processes.terminate(worker) == OK
                took_s = time.monotonic() - begun

    output = (tmp_path / processes.OUTPUT).read_text()
    (line,) = [line for line in output.splitlines() if "shutdown report: " in line]
    partitions = json.loads(line.partition("shutdown report: ")[2])["partitions"].values()
    assert "Traceback" not in output
    assert sum(account["consumed"] for account in partitions) > 0
    assert all(account["consumed"] == account["uncommitted"] for account in partitions)
    assert took_s < DRAIN_S
