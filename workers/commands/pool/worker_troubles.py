"""Troubles of the workers of this machine: those that do not run, wait, or run badly."""

from collections.abc import Iterator

from workers.commands.clients.worker_states import HEARTBEAT_TIMEOUT_S, WorkerReport
from workers.commands.console import age
from workers.commands.pool.facts import PoolFacts
from workers.commands.pool.trouble import Severity, Trouble
from workers.kafka.replay_command import replay_command
from workers.state import FENCED_S, WorkerState

#: Times that a worker may be fenced in a minute: once may be a broker that was killed while it joined.
MOST_FENCED = 1


def worker_troubles(worker: WorkerReport, facts: PoolFacts) -> Iterator[Trouble]:
    """Find the troubles of one worker."""
    name = f"worker {worker.number}"
    not_running = _not_running(worker, facts)
    if not_running is not None:
        # When a pool becomes smaller, the state files of the other workers stay.
        if worker.number < facts.expected_workers:
            yield not_running
        return
    if worker.state != WorkerState.RUNNING:
        yield Trouble(
            f"{name} is {worker.state}" + (f": {worker.why}" if worker.why else ""),
            "`tower check` says what to do; the worker resumes by itself",
            worker=worker.number,
        )
    for number, why in worker.stopped.items():
        yield Trouble(
            f"partition {number} is not read: {why}",
            f"stop the pool, choose where to continue with `{replay_command(number)}`, and start the pool "
            "again",
            worker=worker.number,
            partition=number,
        )
    for number, why in worker.read_errors.items():
        yield Trouble(
            f"{name} cannot read partition {number}: {why}",
            "its records stay in Kafka; `tower check` tests the brokers and the rights",
            worker=worker.number,
            partition=number,
        )
    yield from _membership(worker, name)
    if worker.recent.commit_failures:
        yield Trouble(
            f"{name} had {worker.recent.commit_failures} failed commits in the last "
            f"{age(worker.recent.seconds)}",
            "they are repeated, and until then a restart reads their records again; if it goes on, the end "
            f"of {_log(worker, facts)} says why",
            Severity.WARNING,
            worker.number,
        )


def _not_running(worker: WorkerReport, facts: PoolFacts) -> Trouble | None:
    number, name = worker.number, f"worker {worker.number}"
    restart = f"start it with `supervisorctl -c supervisor.conf start worker:{number}`"
    log = _log(worker, facts)
    if worker.ended:
        # A worker gets supervisord's environment, so a variable needs another supervisord.
        return Trouble(
            f"{name} ended: {worker.ended}",
            "correct it, then restart the pool with `tower restart`",
            worker=number,
        )
    if worker.state == WorkerState.STOPPED:
        return Trouble(f"{name} is stopped", restart, worker=number)
    if not worker.alive:
        return Trouble(
            f"{name} has crashed or was killed (process {worker.pid} does not exist)",
            f"supervisord starts it again if it runs; the end of {log} says why",
            worker=number,
        )
    if worker.age_s >= HEARTBEAT_TIMEOUT_S:
        problem = facts.run_dir_problem
        return Trouble(
            f"{name} has had no heartbeat for {age(worker.age_s)}"
            + (f": {facts.run_dir} cannot be written, because {problem}" if problem else ""),
            "make room there, or make it writable; the worker itself goes on"
            if problem
            else f"look at the end of {log}; supervisord starts it again if the watchdog ends it",
            worker=number,
        )
    return None


def _log(worker: WorkerReport, facts: PoolFacts) -> str:
    return f"{facts.run_dir}/worker-{worker.number}.log"


def _membership(worker: WorkerReport, name: str) -> Iterator[Trouble]:
    recent = worker.recent
    if recent.fenced > MOST_FENCED:
        yield Trouble(
            f"{name} was pushed out of the group {recent.fenced} times in the last "
            f"{age(min(recent.seconds, FENCED_S))}: "
            "another pool has the same host name, so its workers have the same names in the group",
            "stop one of the two pools, or give their hosts different names and restart both",
            worker=worker.number,
        )
    elif recent.renewals:
        yield Trouble(
            f"{name} replaced its Kafka client {recent.renewals} times in the last {age(recent.seconds)}"
            + (f": {worker.renewal}" if worker.renewal else ""),
            "if it repeats, look at the brokers' logs",
            Severity.WARNING,
            worker.number,
        )
    if not worker.has_parent:
        yield Trouble(
            f"supervisord is gone and {name} runs without it, so it would not be started again",
            "start it: `supervisord -c supervisor.conf`; its workers take over and the old ones end",
            worker=worker.number,
        )
