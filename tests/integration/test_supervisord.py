"""The pool under a real supervisord: what starts a worker again, and the folders it can live in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.pool import ROOT, STOP_S, TowerPool
from workers.exit_codes import OK

pytestmark = pytest.mark.integration

#: Seconds for the workers to start or stop, on a busy machine.
SOON_S = 30.0

#: Seconds for `make install`; without a package cache it fetches 60 packages.
INSTALL_S = 250.0

#: Names of folders that a shell, Python or supervisor could take for something else.
FOLDERS = [
    "Lab-4. Tower", "it's", 'say "hi"', "50%", "%(here)s %d", "연구실", "back\\slash", "$HOME `id`",
    "a;b #c",
]  # fmt: skip # a table, which is longer with one value a line


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


@pytest.mark.parametrize("name", FOLDERS)
def test_a_pool_runs_in_a_folder_of_any_name(short_folder: Path, name: str) -> None:
    started = pool(short_folder / name, workers=2)
    started.start(wait=False)
    try:
        started.until(lambda: are_running(started), SOON_S, f"two workers in a folder named {name}")
        status = started.control("status")

        assert status.count(" RUNNING ") == 2, status
        assert {path.name for path in started.var.glob("worker-*.log")} == {"worker-0.log", "worker-1.log"}
    finally:
        started.stop()


def test_a_pool_runs_in_a_folder_whose_path_is_as_long_as_make_install_takes(short_folder: Path) -> None:
    (longest,) = [
        int(line.partition(" := ")[2])
        for line in (ROOT / "Makefile").read_text().splitlines()
        if line.startswith("LONGEST_PATH")
    ]
    folder = short_folder.resolve() / "x"
    started = pool(folder.with_name("x" * (longest - len(str(folder)) + 1)), workers=1)
    started.start(wait=False)
    try:
        started.until(lambda: are_running(started), SOON_S, "a worker")

        assert len(str(started.folder)) == longest
    finally:
        started.stop()


def test_make_install_and_what_it_installs_work_in_such_a_folder(short_folder: Path) -> None:
    """As an operator does it, with the programs' own names."""
    checkout = short_folder / 'Lab-4. Tower, it\'s "50%" 연구실'
    checkout.mkdir()
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, checkout / name)
    # With the machine's own way to the package registries, and without what a `make test` around sets.
    machine = {name: os.environ[name] for name in os.environ if not name.startswith(("TOWER_", "MAKE"))}
    environment = machine | processes.environment(checkout / "var", {"TOWER_WORKERS": "2"})

    def run(*command: str, timeout_s: float = SOON_S) -> str:
        done = subprocess.run(
            command,
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    run("make", "install", timeout_s=INSTALL_S)
    run("make", "help")
    assert str(checkout) in run(".venv/bin/python", "-c", "import workers._kernel as k; print(k.__file__)")
    run(".venv/bin/supervisord", "-c", "supervisor.conf")
    try:
        run(".venv/bin/supervisorctl", "-c", "supervisor.conf", "signal", "TERM", "worker:0")
        assert run(".venv/bin/supervisorctl", "-c", "supervisor.conf", "status").count("worker:") == 2
        assert "tower" in run(".venv/bin/tower", "--version")
    finally:
        # Not `supervisorctl shutdown`, which returns before the workers have ended: a worker that is still
        # starting writes bytecode into this folder while it is deleted.
        run(".venv/bin/tower", "down", timeout_s=STOP_S)
