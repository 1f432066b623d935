"""`up`, `down` and `restart`: one command each to start, stop and change a pool."""

import os
import time
from pathlib import Path

import click

from workers.commands.clients.supervisor_conf import stop_wait_s
from workers.commands.clients.supervisord import Supervisord
from workers.commands.clients.worker_states import is_alive, read_states
from workers.commands.console import ProgressWait
from workers.commands.lifecycle.readiness import WorkerReadiness, readiness
from workers.config.settings import load
from workers.errors import CommandError, SettingsError
from workers.exit_codes import FAILED

#: Seconds between two looks at the pool.
LOOK_S = 0.2

#: Seconds without a change after which a worker without a partition counts as one that gets none, because
#: the topic has fewer partitions than the pool has workers. A rebalance takes a few seconds.
SETTLED_S = 10.0

#: Seconds for supervisord to stop, beyond stopwaitsecs of supervisor.conf.
SPARE_S = 20.0

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("supervisor.conf"),
    show_default=True,
    help="Configuration of supervisord.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(1, 3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest time to wait until the workers run.",
)


@click.command()
@config_option
@timeout_option
def up(config: Path, timeout: float) -> None:
    """Start the pool and wait until its workers run.

    If supervisord runs already, this starts the workers that have ended, with supervisord's environment;
    use `tower restart` for a changed one. Otherwise the workers get the environment of this command.

    Exit codes: 0 all workers run, 1 one does not (its reason is printed; the others go on), 78 a setting
    has to be changed.
    """
    load(os.environ)
    supervisord = Supervisord(config)
    processes = supervisord.processes()
    if processes is None:
        supervisord.start()
    elif any(not process.pid for process in processes):
        supervisord.start_stopped()
    _wait_until_ready(supervisord, timeout)


@click.command()
@config_option
def down(config: Path) -> None:
    """Stop the pool and wait until it has stopped: each worker stores and commits what it has in hand.

    Exit codes: 0 no worker runs, 1 the pool did not stop in time, supervisord does not answer, or workers
    run without it.
    """
    supervisord = Supervisord(config)
    _stop(supervisord, "look at its log, or end it with `kill`")
    _require_no_worker(supervisord)
    click.echo("The pool has stopped.")


@click.command()
@config_option
@timeout_option
def restart(config: Path, timeout: float) -> None:
    """Stop the pool and start it with the settings of now: after a change, an upgrade, or to scale.

    The settings are checked first, so a mistake in them stops nothing. Records that arrive meanwhile wait
    in Kafka.

    Exit codes: 0 all workers run again, 1 one does not, 78 a setting has to be changed; the pool then runs
    on as before.
    """
    load(os.environ)
    supervisord = Supervisord(config)
    begun = time.monotonic()
    _stop(
        supervisord,
        "it is still stopping the pool: look at its log, and once it has ended, run `tower up`",
    )
    supervisord.start()
    _wait_until_ready(supervisord, timeout)
    click.echo(f"Back after {time.monotonic() - begun:.1f} s.")


def _stop(supervisord: Supervisord, remedy: str) -> None:
    """Stop the pool; `remedy` says what to do if that takes longer than supervisord lets a worker take."""
    longest_s = stop_wait_s(supervisord.config) + SPARE_S
    pid = supervisord.pid()
    if pid is None:
        return
    supervisord.shut_down()
    wait = ProgressWait("the workers to stop", longest_s)
    while is_alive(pid):
        if wait.is_over:
            raise CommandError(
                f"supervisord (process {pid}) has not stopped after {longest_s:.0f} s", remedy
            )
        wait.pause(LOOK_S)


def _wait_until_ready(supervisord: Supervisord, timeout_s: float) -> None:
    """Print each worker's state, and raise unless all of them run within `timeout_s`."""
    run_dir = _run_dir(supervisord)
    wait = ProgressWait("the workers to run", timeout_s)
    last: list[WorkerReadiness] = []
    changed_at = time.monotonic()
    while True:
        workers = _look(supervisord, run_dir)
        if workers != last:
            last, changed_at = workers, time.monotonic()
        running = [worker for worker in workers if not worker.ended]
        if workers and all(worker.has_partition for worker in running):
            break
        # With more workers than partitions, some of them never get one.
        is_settled = time.monotonic() - changed_at >= SETTLED_S and all(worker.ready for worker in running)
        if (is_settled and any(worker.has_partition for worker in running)) or wait.is_over:
            break
        wait.pause(LOOK_S)
    for worker in workers:
        click.echo(worker.text)
    if not workers:
        raise CommandError("supervisord runs no worker", "look at TOWER_WORKERS and at its log")
    if not all(worker.ready for worker in workers) or not any(worker.has_partition for worker in workers):
        click.echo(
            "The pool is not ready. `tower check` tries Kafka and InfluxDB and says what to do.", err=True
        )
        raise click.exceptions.Exit(FAILED)


def _run_dir(supervisord: Supervisord) -> Path:
    # Workers read a relative path from the folder of supervisor.conf.
    return supervisord.config.parent / load(os.environ, credentials=False).run_dir


def _require_no_worker(supervisord: Supervisord) -> None:
    """Raise if workers run without supervisord, for example because it was killed."""
    try:
        reports = read_states(_run_dir(supervisord), time.time())
    except SettingsError as error:
        click.echo(f"Whether workers run without supervisord is not known, because of {error}", err=True)
        return
    orphans = [report for report in reports if report.is_running]
    if orphans:
        workers = ", ".join(f"worker {report.number} (process {report.pid})" for report in orphans)
        pids = " ".join(str(report.pid) for report in orphans)
        raise CommandError(
            f"supervisord does not run, but some of its workers do: {workers}",
            f"end them with `kill {pids}`: they store and commit what they have in hand",
        )


def _look(supervisord: Supervisord, run_dir: Path) -> list[WorkerReadiness]:
    processes = supervisord.processes()
    if processes is None:
        # The socket is there a moment after the daemon.
        return []
    return readiness(processes, read_states(run_dir, time.time()), run_dir)
