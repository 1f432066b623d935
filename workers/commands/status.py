"""`python -m workers status`: the state of the pool and of each partition."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.worker_states import WorkerReport, read_states, total
from workers.commands.console import table
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.exit_codes import FAILED
from workers.pool_size import DEFAULT_WORKERS

#: Counters of a partition, by their names in the state files.
COUNTERS = ("consumed", "written", "dead_lettered", "uncommitted")


@dataclass(frozen=True)
class PartitionRow:
    """One partition: its counters since its workers started, and its offsets in Kafka.

    Args:
        partition: Its number.
        owner: `worker 0`, or the group's member if that is on another machine.
        committed: The group's committed offset, None before the first commit.
        end: Offset that the next record will get, None if Kafka does not answer.
        lag: Records between the two.
        state: State of its owner, or why it is not read.
        age_s: Seconds since its owner's last heartbeat.
    """

    partition: int
    owner: str | None
    consumed: int
    written: int
    dead_lettered: int
    uncommitted: int
    committed: int | None
    end: int | None
    lag: int | None
    state: str
    age_s: float | None


@dataclass(frozen=True)
class GroupOffsets:
    """The group and the topic's offsets, by partition; `problem` if Kafka does not answer."""

    ends: Mapping[int, int]
    committed: Mapping[int, int]
    starts: Mapping[int, int]
    owners: Mapping[int, str]
    members: int | None
    problem: str = ""


@click.command()
@click.option(
    "--max-lag",
    type=click.IntRange(0),
    help="Report a problem if a partition lags by more records than this.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def status(max_lag: int | None, as_json: bool) -> None:
    """Show partitions, workers and lag.

    The workers count consumed = written + dead-lettered + uncommitted since they started. The columns
    committed, end and lag come from Kafka.

    It is a problem if:

    \b
    - one of the TOWER_WORKERS workers does not run, waits, or has no recent heartbeat
    - a partition has no owner or is not read, or its counters do not add up
    - a partition's lag is above --max-lag
    - Kafka does not answer

    Exit codes: 0 no problem found, 1 there is a problem, 78 a setting has to be changed.
    """  # noqa: D301 - click needs the control character
    settings = load(os.environ, credentials=False)
    expected = _expected(os.environ.get("TOWER_WORKERS"))
    workers = read_states(settings.run_dir, time.time())
    offsets = read_offsets(settings)
    rows = partition_rows(workers, offsets)
    problems = find_problems(workers, rows, offsets, expected, max_lag)
    if as_json:
        click.echo(json.dumps(as_object(settings, workers, rows, offsets, problems), indent=2))
    else:
        click.echo(describe(settings, workers, rows, problems))
    if problems:
        raise click.exceptions.Exit(FAILED)


def read_offsets(settings: Settings) -> GroupOffsets:
    """Read the group and the topic's offsets. If Kafka does not answer, that is a problem and no error."""
    try:
        kafka_admin = KafkaAdmin(settings)
        topic, name = settings.topic, settings.group
        ends, starts = kafka_admin.end_offsets(topic), kafka_admin.start_offsets(topic)
        committed = kafka_admin.committed(name, topic)
        group = kafka_admin.group(name)
    except CommandError as error:
        return GroupOffsets({}, {}, {}, {}, None, str(error))
    owners = {
        number: f"{member.id} on {member.host}"
        for member in group.members
        for assigned_topic, number in member.partitions
        if assigned_topic == topic
    }
    return GroupOffsets(ends, committed, starts, owners, len(group.members))


def partition_rows(workers: list[WorkerReport], offsets: GroupOffsets) -> list[PartitionRow]:
    """Build one row for each partition that Kafka has or a worker has had."""
    numbers = set(offsets.ends) | {number for worker in workers for number in worker.accounts}
    return [_row(number, workers, offsets) for number in sorted(numbers)]


def _row(number: int, workers: list[WorkerReport], offsets: GroupOffsets) -> PartitionRow:
    owner = next((worker for worker in workers if number in worker.owned and worker.is_running), None)
    member = offsets.owners.get(number)
    committed, end = offsets.committed.get(number), offsets.ends.get(number)
    lag = None
    if end is not None:
        lag = max(0, end - (offsets.starts.get(number, 0) if committed is None else committed))
    if owner is not None:
        state = owner.stopped.get(number, owner.state)
    else:
        state = "on another machine" if member else "no owner"
    return PartitionRow(
        partition=number,
        owner=f"worker {owner.number}" if owner else member,
        **{name: total(workers, number, name) for name in COUNTERS},
        committed=committed,
        end=end,
        lag=lag,
        state=state,
        age_s=None if owner is None else round(owner.age_s, 1),
    )


def find_problems(
    workers: list[WorkerReport],
    rows: list[PartitionRow],
    offsets: GroupOffsets,
    expected: int,
    max_lag: int | None = None,
) -> list[str]:
    """Find everything that is wrong, one sentence each; empty if nothing is.

    Args:
        workers: The workers' state files.
        rows: The partitions.
        offsets: What Kafka says.
        expected: Number of workers that should run on this machine.
        max_lag: Largest lag of a partition, in records, that is no problem.
    """
    problems = [offsets.problem] if offsets.problem else []
    numbers = {worker.number for worker in workers}
    absent = [number for number in range(expected) if number not in numbers]
    if len(absent) == expected:
        problems.append(
            "there is no state file in TOWER_RUN_DIR: start the pool with "
            "`supervisord -c supervisor.conf`, or set TOWER_RUN_DIR to the pool's folder"
        )
    else:
        problems += [f"worker {number} has no state file in TOWER_RUN_DIR: start it" for number in absent]
    for worker in workers:
        # When a pool becomes smaller, the state files of the other workers stay.
        if worker.problem and (worker.number < expected or worker.is_running):
            problems.append(worker.problem)
    for worker in workers:
        if worker.is_running:
            problems += [f"partition {number} is not read: {why}" for number, why in worker.stopped.items()]
    orphans = [str(row.partition) for row in rows if row.owner is None]
    if orphans and not offsets.problem:
        problems.append(f"no owner: partition {', '.join(orphans)}")
    for row in rows:
        accounted = row.written + row.dead_lettered + row.uncommitted
        if row.consumed != accounted:
            problems.append(
                f"partition {row.partition}: the counters do not add up: {row.consumed} consumed, but "
                f"{accounted} written, dead-lettered or uncommitted. Please report this"
            )
        if max_lag is not None and (row.lag or 0) > max_lag:
            problems.append(f"partition {row.partition} lags {row.lag} records, more than {max_lag}")
    return problems


def describe(
    settings: Settings, workers: list[WorkerReport], rows: list[PartitionRow], problems: list[str]
) -> str:
    """Describe the status for people."""
    head = (
        *("partition", "owner", "consumed", "written", "dead-lettered", "uncommitted", "committed"),
        *("end", "lag", "state", "heartbeat"),
    )
    cells = [
        [*list(asdict(row).values())[:-1], None if row.age_s is None else f"{row.age_s:.0f} s ago"]
        for row in rows
    ]
    idle = [worker.number for worker in workers if worker.is_running and not worker.owned]
    lines = [f"topic {settings.topic}, group {settings.group}", table(head, cells)]
    if idle:
        lines.append(f"without a partition: worker {', '.join(map(str, idle))}")
    by_kernel = sum(worker.by_kernel for worker in workers)
    records = by_kernel + sum(worker.by_python for worker in workers)
    if records:
        lines.append(f"C kernel: {by_kernel} of {records} records ({by_kernel / records:.1%})")
    reasons = {worker.why_not_native for worker in workers if worker.is_running and worker.why_not_native}
    lines += [f"C kernel not used: {reason}" for reason in sorted(reasons)]
    lags = [row.lag for row in rows if row.lag is not None]
    found_none = "no problem found" + (f"; lag {sum(lags)} records" if lags else "")
    lines += [f"problem: {problem}" for problem in problems] or [found_none]
    return "\n".join(lines)


def as_object(
    settings: Settings,
    workers: list[WorkerReport],
    rows: list[PartitionRow],
    offsets: GroupOffsets,
    problems: list[str],
) -> dict[str, Any]:
    """Describe the status for programs."""
    return {
        "healthy": not problems,
        "troubles": problems,
        "topic": settings.topic,
        "group": settings.group,
        "members": offsets.members,
        "lag": sum(row.lag or 0 for row in rows) if offsets.ends else None,
        "partitions": [asdict(row) for row in rows],
        "workers": [
            {
                "worker": worker.number,
                "pid": worker.pid,
                "state": worker.state,
                "why": worker.why,
                "heartbeat_age_s": round(worker.age_s, 1),
                "alive": worker.alive,
                "owned": list(worker.owned),
                "native": not worker.why_not_native,
                "records_by_kernel": worker.by_kernel,
                "records_by_python": worker.by_python,
            }
            for worker in workers
        ],
    }


def _expected(variable: str | None) -> int:
    return int(variable) if variable and variable.isdecimal() else DEFAULT_WORKERS
