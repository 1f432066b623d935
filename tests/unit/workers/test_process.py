"""A worker that crashes at start does not spin, and one that is stopped there ends as asked."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.signals import catches
from workers import process
from workers.exit_codes import OK


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each wait would have been."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


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
    waited: list[float], tmp_path: Path, ago: float, least: float, most: float
) -> None:
    mark = tmp_path / "worker-0.start"
    mark.touch()
    moment = time.time() - ago
    os.utime(mark, (moment, moment))

    process.pace(mark)

    assert least <= sum(waited) <= most
    assert abs(time.time() - mark.stat().st_mtime) < 5


def test_the_first_start_waits_for_nothing_and_is_remembered(waited: list[float], tmp_path: Path) -> None:
    mark = tmp_path / "worker-0.start"

    process.pace(mark)
    process.pace(mark)

    assert len(waited) == 1


def test_a_folder_that_is_not_there_is_left_to_those_who_need_it(
    waited: list[float], tmp_path: Path
) -> None:
    process.pace(tmp_path / "missing" / "worker-0.start")

    assert waited == []


def test_a_worker_that_is_stopped_while_it_starts_ends_as_asked(tmp_path: Path) -> None:
    # A file that keeps whoever reads it: nobody writes.
    config = tmp_path / "tower.toml"
    os.mkfifo(config)
    deadline = time.monotonic() + processes.START_S

    with processes.running(tmp_path, {"TOWER_CONFIG": str(config)}) as worker:
        while not catches(worker.pid, signal.SIGTERM):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(processes.START_S) == OK
