"""What is wrong with the pool: each cause with its remedy.

`status` and every other view of the pool show this list.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workers.commands.clients.worker_states import WorkerReport
from workers.commands.pool.facts import SERVE_REMEDY, PoolFacts
from workers.commands.pool.partition_rows import PartitionRow, partition_rows
from workers.commands.pool.record_troubles import MAX_DEAD_SHARE, record_troubles
from workers.commands.pool.trouble import Severity, Trouble
from workers.commands.pool.worker_troubles import worker_troubles
from workers.types import partition_key

__all__ = ["Severity", "Thresholds", "Trouble", "find_troubles"]


#: What to do if a server does not say that it is InfluxDB.
NOT_SURE_INFLUXDB = (
    "another server may store nothing: see whether `tower check` finds the newest points. Correct "
    "TOWER_INFLUXDB_URL, or let a proxy in between pass the header X-Influxdb-Version. InfluxDB 3 lacks it"
)


@dataclass(frozen=True)
class Thresholds:
    """What is no trouble yet.

    Args:
        max_lag: Largest lag of a partition, in records; None for any.
        max_dead_share: Largest share of dead letters among the records of the last minutes, from 0 to 1.
    """

    max_lag: int | None = None
    max_dead_share: float = MAX_DEAD_SHARE


#: The thresholds of `status` without options.
DEFAULT_THRESHOLDS = Thresholds()


def find_troubles(
    workers: Sequence[WorkerReport], facts: PoolFacts, thresholds: Thresholds = DEFAULT_THRESHOLDS
) -> list[Trouble]:
    """Find everything that is wrong, errors first; empty if nothing is.

    Args:
        workers: The workers' state files.
        facts: What Kafka and the file system say.
        thresholds: What is no trouble yet.
    """
    rows = partition_rows(workers, facts.offsets)
    troubles = [*_pool_troubles(workers, facts)]
    for worker in workers:
        troubles += worker_troubles(worker, facts)
    troubles += _partition_troubles(rows, facts, thresholds)
    troubles += record_troubles(workers, thresholds.max_dead_share)
    return sorted(troubles, key=lambda trouble: trouble.severity is not Severity.ERROR)


def _pool_troubles(workers: Sequence[WorkerReport], facts: PoolFacts) -> Iterator[Trouble]:
    if facts.offsets.problem:
        yield Trouble(facts.offsets.problem, "`tower check` says what to do")
    start = "`supervisord -c supervisor.conf`"
    numbers = {worker.number for worker in workers}
    absent = [number for number in range(facts.expected_workers) if number not in numbers]
    if absent and len(absent) == facts.expected_workers:
        yield Trouble(
            f"there is no state file in TOWER_RUN_DIR ({facts.run_dir})",
            f"start the pool with {start}, or set TOWER_RUN_DIR to the pool's folder",
        )
    else:
        for number in absent:
            yield Trouble(
                f"worker {number} has no state file in TOWER_RUN_DIR ({facts.run_dir})",
                f"start it with `supervisorctl -c supervisor.conf start worker:{number}`",
                worker=number,
            )
    running = [worker for worker in workers if worker.is_running]
    for reason in sorted({worker.why_not_native for worker in running} - {""}):
        numbers_with = [worker.number for worker in running if worker.why_not_native == reason]
        yield Trouble(
            f"the C kernel is not used by worker {', '.join(map(str, numbers_with))}: {reason}",
            "records are stored, with more CPU; `tower check` says it too",
            Severity.WARNING,
        )
    unmarked = [worker.number for worker in running if worker.unmarked]
    if unmarked:
        yield Trouble(
            f"worker {', '.join(map(str, unmarked))} got answers 204 without InfluxDB's headers",
            NOT_SURE_INFLUXDB,
            Severity.WARNING,
        )
    if facts.run_dir_problem and running:
        yield Trouble(
            f"{facts.run_dir} cannot be written, because {facts.run_dir_problem}",
            "make room there, or make it writable; the workers go on, without logs and states",
            Severity.WARNING,
        )
    if facts.serve_problem:
        yield Trouble(
            f"{facts.serve_problem}, so this pool's page and metrics are not served",
            SERVE_REMEDY,
            Severity.WARNING,
        )


def _partition_troubles(
    rows: Sequence[PartitionRow], facts: PoolFacts, thresholds: Thresholds
) -> Iterator[Trouble]:
    orphans = [str(row.partition) for row in rows if row.owner is None]
    if orphans and not facts.offsets.problem:
        yield Trouble(
            f"no owner: partition {', '.join(orphans)}",
            "wait a minute if a worker has just ended; otherwise start as many workers as needed",
            partition=partition_key(orphans[0]) if len(orphans) == 1 else None,
        )
    for row in rows:
        accounted = row.written + row.dead_lettered + row.uncommitted
        if row.consumed != accounted:
            yield Trouble(
                f"partition {row.partition}: the counters do not add up: {row.consumed} consumed, but "
                f"{accounted} written, dead-lettered or uncommitted",
                "please report this",
                partition=row.partition,
            )
        if thresholds.max_lag is not None and (row.lag or 0) > thresholds.max_lag:
            yield Trouble(
                f"partition {row.partition} lags {row.lag} records, more than {thresholds.max_lag}",
                'see docs/operations.md, "The lag grows"',
                partition=row.partition,
            )
