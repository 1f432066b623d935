"""`down` and `restart` with a real supervisord that is stopping already, hangs, or takes long."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.served import until
from workers.commands.clients import supervisord as client
from workers.commands.clients.supervisord import Supervisord, WorkerProcess
from workers.commands.clients.worker_states import HEARTBEAT_TIMEOUT_S, WorkerReport, is_alive
from workers.commands.lifecycle import command
from workers.commands.lifecycle.readiness import readiness
from workers.commands.main import tower
from workers.exit_codes import FAILED, OK

#: Seconds for supervisord and its worker to start or end.
SOON_S = 20.0

#: A pool whose worker ignores SIGTERM, so that supervisord kills it after stopwaitsecs.
CONF = """
[unix_http_server]
file=%(here)s/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid

[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock

[program:worker]
command=/bin/sh -c "trap '' TERM; touch started; exec sleep 60"
directory=%(here)s
process_name=%(process_num)d
startsecs=0
stopwaitsecs=STOP_WAIT_S
"""


class Pool:
    """One supervisord with one worker.

    Args:
        folder: Where its files are.
        stop_wait_s: Its stopwaitsecs.
    """

    def __init__(self, folder: Path, stop_wait_s: int) -> None:
        self.conf = folder / "supervisor.conf"
        self.conf.write_text(CONF.replace("STOP_WAIT_S", str(stop_wait_s)))
        self.supervisord = Supervisord(self.conf)
        self.supervisord.start()
        # A call wakes supervisord, which otherwise starts its worker a second later.
        until(
            lambda: self.supervisord.processes() is not None and (folder / "started").exists(),
            SOON_S,
            "the worker to ignore SIGTERM",
        )
        self.pid = int((folder / "supervisord.pid").read_text())
        self._worker = (self.supervisord.processes() or [])[0].pid

    def kill(self) -> None:
        """End both processes if they run."""
        for pid in (self.pid, self._worker):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not is_alive(self.pid), SOON_S, "supervisord to end")


@pytest.fixture
def pool(short_folder: Path, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """A pool that runs."""
    started = Pool(short_folder, request.param)
    try:
        yield started
    finally:
        started.kill()


def run(name: str, conf: Path) -> Result:
    return CliRunner().invoke(tower, [name, "-c", str(conf)], env={"TOWER_INFLUXDB_TOKEN": "t0ken"})


@pytest.mark.parametrize("pool", [1], indirect=True)
def test_down_waits_for_a_pool_that_is_stopping_already(pool: Pool) -> None:
    pool.supervisord.shut_down()

    done = run("down", pool.conf)

    assert not is_alive(pool.pid)
    assert (done.exit_code, done.stdout) == (OK, "The pool has stopped.\n")


@pytest.mark.parametrize("pool", [30], indirect=True)
def test_down_does_not_say_that_a_pool_has_stopped_whose_supervisord_hangs(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_S", 0.3)
    os.kill(pool.pid, signal.SIGSTOP)

    done = run("down", pool.conf)

    assert done.exit_code == FAILED
    assert "has stopped" not in done.stdout
    assert "supervisord runs, but does not answer: timed out" in done.stderr
    assert "`kill`" in done.stderr


def test_down_of_a_pool_that_does_not_run_has_nothing_to_do(short_folder: Path) -> None:
    conf = short_folder / "supervisor.conf"
    conf.write_text(CONF.replace("STOP_WAIT_S", "10"))

    assert run("down", conf).stdout == "The pool has stopped.\n"


def test_down_names_the_workers_that_run_without_supervisord(short_folder: Path) -> None:
    """The daemon was killed; they go on, as docs/operations.md says."""
    conf, var = short_folder / "supervisor.conf", short_folder / "var"
    conf.write_text(CONF.replace("STOP_WAIT_S", "10"))
    var.mkdir()
    running = {"worker": 1, "pid": os.getpid(), "state": "running", "heartbeat": time.time()}
    (var / "worker-1.json").write_text(json.dumps(running))
    (var / "worker-2.json").write_text(json.dumps(running | {"worker": 2, "state": "stopped"}))

    done = run("down", conf)

    assert done.exit_code == FAILED
    assert "has stopped" not in done.stdout
    assert f"some of its workers do: worker 1 (process {os.getpid()});" in done.stderr
    assert f"`kill {os.getpid()}`" in done.stderr


def test_down_says_if_it_cannot_know_whether_workers_run(short_folder: Path) -> None:
    conf = short_folder / "supervisor.conf"
    conf.write_text(CONF.replace("STOP_WAIT_S", "10"))

    done = CliRunner().invoke(tower, ["down", "-c", str(conf)], env={"TOWER_BATCH_LINES": "none"})

    assert "is not known, because of TOWER_BATCH_LINES" in done.stderr


def test_a_worker_without_a_heartbeat_is_not_ready(tmp_path: Path) -> None:
    process = WorkerProcess(0, 17, "RUNNING", 0)
    reports = [
        WorkerReport(0, 17, "running", "", age_s, True, owned=(0,)) for age_s in (1.0, HEARTBEAT_TIMEOUT_S)
    ]
    (well,), (hung,) = (readiness([process], [report], tmp_path) for report in reports)

    assert (well.ready, well.has_partition) == (True, True)
    assert (hung.ready, hung.has_partition) == (False, False)
    assert "worker 0 has had no heartbeat for 10 s" in hung.text


@pytest.mark.parametrize("pool", [30], indirect=True)
def test_a_restart_waits_as_long_as_stopwaitsecs_and_says_if_the_pool_must_be_started_then(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "SPARE_S", -29.0)

    done = run("restart", pool.conf)

    assert done.exit_code == FAILED
    assert f"supervisord (process {pool.pid}) has not stopped after 1 s" in done.stderr
    assert "once it has ended, run `tower up`" in done.stderr


@pytest.mark.parametrize("pool", [30], indirect=True)
def test_up_during_a_shutdown_says_so(pool: Pool) -> None:
    pool.supervisord.shut_down()

    done = run("up", pool.conf)

    assert done.exit_code == FAILED
    assert "supervisord is shutting down" in done.stderr
