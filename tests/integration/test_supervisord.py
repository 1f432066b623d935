"""The pool under a real supervisord: what starts a worker again."""

from pathlib import Path

import pytest

from tests.support import processes
from tests.support.pool import TowerPool
from workers.exit_codes import OK

pytestmark = pytest.mark.integration

#: Seconds for the workers to start or stop, on a busy machine.
SOON_S = 30.0


def pool(folder: Path, workers: int) -> TowerPool:
    """A pool whose workers wait for servers that are not there."""
    return TowerPool(folder, processes.environment(folder / "var", {}), workers)


def are_running(started: TowerPool) -> bool:
    """Whether each worker runs and has told so itself."""
    try:
        pids = started.pids()
    except OSError:
        return False
    return len(pids) == started.workers and pids == {
        state["worker"]: state["pid"]
        for state in started.states()
        if state["state"] in {"running", "waiting"}
    }


def statenames(started: TowerPool) -> dict[int, str]:
    return {number: process["statename"] for number, process in started.processes().items()}


def test_sigterm_from_elsewhere_is_a_restart(short_folder: Path) -> None:
    started = pool(short_folder / "p", workers=3)
    started.start(wait=False)
    try:
        started.until(lambda: are_running(started), SOON_S, "three workers")
        before = started.pids()
        for worker in before:
            started.terminate(worker)
        started.until(lambda: are_running(started), SOON_S, "three workers again")

        assert not set(before.values()) & set(started.pids().values())
        assert [started.exit_codes(pid) for pid in before.values()] == [[OK]] * 3
        for worker in before:
            assert "Stopped by SIGTERM" in started.log(worker)
    finally:
        started.stop()


def test_a_stop_that_supervisord_orders_lasts_until_it_orders_a_start(short_folder: Path) -> None:
    started = pool(short_folder / "p", workers=2)
    started.start(wait=False)
    try:
        started.until(lambda: are_running(started), SOON_S, "two workers")
        before = started.pids()
        assert "worker:0: stopped" in started.control("stop", "worker:0")
        # Meanwhile the other one is started again, by an order and after a stray signal: when that is done,
        # supervisord has had its chances to start this one too.
        assert "worker:1: started" in started.control("restart", "worker:1")
        started.terminate(1)
        started.until(lambda: len(started.spawned()) == 2 + 2, SOON_S, "worker 1 to be started twice more")

        assert statenames(started)[0] == "STOPPED"
        assert before[1] not in started.pids().values()

        started.control("start", "worker:0")
        started.until(lambda: are_running(started), SOON_S, "two workers again")
    finally:
        started.stop()
