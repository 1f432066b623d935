"""A worker that crashes at start restarts with a pause, and one that is stopped there exits with 0."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.signals import catches
from workers import process
from workers.exit_codes import OK


@pytest.mark.parametrize(
    ("ago", "least", "most"),
    [
        pytest.param(0.0, 0.5, 1.0, id="just now"),
        pytest.param(0.6, 0.1, 0.4, id="a moment ago"),
        pytest.param(60.0, 0.0, 0.0, id="long ago"),
        pytest.param(-3600.0, 0.0, 0.0, id="before the clock was put back"),
    ],
)
def test_a_start_soon_after_the_last_one_waits(
    tmp_path: Path, ago: float, least: float, most: float
) -> None:
    pauses: list[float] = []
    last_start = tmp_path / "worker-0.start"
    last_start.touch()
    modified = time.time() - ago
    os.utime(last_start, (modified, modified))

    process.pace(last_start, sleep=pauses.append)

    assert least <= sum(pauses) <= most
    assert abs(time.time() - last_start.stat().st_mtime) < 5


def test_the_first_start_waits_for_nothing_and_is_remembered(tmp_path: Path) -> None:
    pauses: list[float] = []
    last_start = tmp_path / "worker-0.start"

    process.pace(last_start, sleep=pauses.append)
    process.pace(last_start, sleep=pauses.append)

    assert len(pauses) == 1


def test_a_missing_folder_delays_no_start(tmp_path: Path) -> None:
    pauses: list[float] = []

    process.pace(tmp_path / "missing" / "worker-0.start", sleep=pauses.append)

    assert pauses == []


def test_a_worker_that_is_stopped_while_it_starts_ends_as_asked(tmp_path: Path) -> None:
    # A file that keeps whoever reads it: nobody writes.
    config = tmp_path / "tower.toml"
    os.mkfifo(config)
    deadline = time.monotonic() + processes.START_S

    with processes.running(tmp_path, {"TOWER_CONFIG": str(config)}) as worker:
        while not catches(worker.pid, signal.SIGTERM):
            assert time.monotonic() < deadline
            time.sleep(0.01)

        assert processes.terminate(worker) == OK
