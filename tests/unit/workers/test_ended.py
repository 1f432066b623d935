"""A worker that a setting keeps from running says which one, where `status` looks."""

import json
import os
import time
from pathlib import Path

from tests.support import processes
from workers import ended
from workers.commands.clients.worker_states import read_states
from workers.exit_codes import MISCONFIGURED


def test_a_worker_without_a_token_leaves_the_reason_behind(tmp_path: Path) -> None:
    environ = {"TOWER_RUN_DIR": str(tmp_path), "TOWER_WORKER": "2", "TOWER_INFLUXDB_TOKEN": ""}
    with processes.running(tmp_path, environ) as worker:
        code = worker.wait(processes.START_S)

    (report,) = read_states(tmp_path, time.time())
    assert code == MISCONFIGURED
    assert (report.number, report.state) == (2, "stopped")
    assert report.ended.startswith("TOWER_INFLUXDB_TOKEN: is missing")


def test_the_folder_may_be_named_in_the_settings_file(tmp_path: Path) -> None:
    config = tmp_path / "tower.toml"
    config.write_text(f'run_dir = "{tmp_path}"\ntopic = "no topic"\n')

    ended.leave_behind({"TOWER_CONFIG": str(config), "TOWER_WORKER": "1"}, "TOWER_TOPIC: no")

    assert read_states(tmp_path, time.time())[0].ended == "TOWER_TOPIC: no"


def test_the_file_of_a_worker_that_runs_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "worker-0.json"
    file.write_text(json.dumps({"worker": 0, "pid": os.getppid(), "state": "running", "heartbeat": 1}))
    before = file.read_text()

    ended.leave_behind({"TOWER_RUN_DIR": str(tmp_path)}, "TOWER_TOPIC: no")

    assert file.read_text() == before


def test_a_folder_that_cannot_be_written_leaves_the_log_alone(tmp_path: Path) -> None:
    ended.leave_behind({"TOWER_RUN_DIR": str(tmp_path / "none")}, "TOWER_TOPIC: no")
    ended.leave_behind({"TOWER_RUN_DIR": str(tmp_path), "TOWER_WORKER": "x"}, "TOWER_WORKER: no")

    assert list(tmp_path.iterdir()) == []
