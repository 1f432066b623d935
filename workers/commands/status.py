"""`tower status`: the state of the pool and of each partition."""

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import click

from workers.commands.clients import recent_counts
from workers.commands.clients.worker_states import WorkerReport, read_states
from workers.commands.console import age, table
from workers.commands.pool.facts import PoolFacts, read_facts
from workers.commands.pool.partition_rows import PartitionRow, partition_rows
from workers.commands.pool.record_troubles import MAX_DEAD_SHARE
from workers.commands.pool.troubles import Severity, Thresholds, Trouble, find_troubles
from workers.config.settings import Settings, load
from workers.exit_codes import FAILED
from workers.expected_workers import expected_workers

#: Decimal places of a share in JSON.
SHARE_PLACES = 6


@click.command()
@click.option(
    "--max-lag",
    type=click.IntRange(0),
    help="Report a problem if a partition lags by more records than this.",
)
@click.option(
    "--max-dead-share",
    type=click.FloatRange(0, 1),
    default=MAX_DEAD_SHARE,
    show_default=True,
    help="Report a problem if more than this share of the last minutes' records became dead letters.",
)
@click.option(
    "--watch",
    "every_s",
    type=click.FloatRange(0.5, 3600),
    metavar="SECONDS",
    help="Show it again every SECONDS until Ctrl-C, with --json as one line each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def status(max_lag: int | None, max_dead_share: float, every_s: float | None, as_json: bool) -> None:
    """Show partitions, workers and lag, and what is wrong.

    The workers count consumed = written + dead-lettered + uncommitted since they started. The columns
    committed, end and lag come from Kafka. Each problem and each warning comes with what to do about it.

    It is a problem if:

    \b
    - one of the TOWER_WORKERS workers does not run, waits, or has no recent heartbeat
    - a partition has no owner or is not read, or its counters do not add up
    - a partition's lag is above --max-lag
    - the share of dead letters in the last minutes is above --max-dead-share
    - two pools use the same names in the group, or supervisord is gone
    - Kafka does not answer

    It is a warning if records become points, but some became dead letters, lost a value, or did not get
    their own time; if a worker's Kafka client was replaced, or the C kernel is not used; and if another
    program has the port of the page.

    Exit codes: 0 no problem found, 1 there is a problem, 78 a setting has to be changed.
    """  # noqa: D301 - click needs the control character
    settings = load(os.environ, credentials=False)
    thresholds = Thresholds(max_lag, max_dead_share)
    indent = 2 if every_s is None else None
    is_healthy = True
    with suppress(KeyboardInterrupt):
        while True:
            text, is_healthy = _look(settings, thresholds, as_json, indent)
            if every_s is None:
                click.echo(text)
                break
            # Together, so that a slow answer of Kafka leaves no empty terminal.
            click.clear()
            click.echo(text)
            time.sleep(every_s)
    if not is_healthy:
        raise click.exceptions.Exit(FAILED)


def _look(
    settings: Settings, thresholds: Thresholds, as_json: bool, indent: int | None
) -> tuple[str, bool]:
    """Return the status as text and whether it has no error."""
    workers = read_states(settings.run_dir, time.time())
    facts = read_facts(settings, expected_workers(os.environ.get("TOWER_WORKERS")))
    troubles = find_troubles(workers, facts, thresholds)
    is_healthy = all(trouble.severity is not Severity.ERROR for trouble in troubles)
    if as_json:
        return json.dumps(as_object(settings, workers, facts, troubles), indent=indent), is_healthy
    return describe(settings, workers, facts, troubles), is_healthy


def describe(
    settings: Settings, workers: Sequence[WorkerReport], facts: PoolFacts, troubles: Sequence[Trouble]
) -> str:
    """Describe the status for people."""
    rows = partition_rows(workers, facts.offsets)
    lines = [f"{topics_title(settings)}, group {settings.group}", _partition_table(rows)]
    idle = [worker.number for worker in workers if worker.is_running and not worker.owned]
    if idle:
        lines.append(f"without a partition: worker {', '.join(map(str, idle))}")
    omitted = sum(worker.values_omitted for worker in workers)
    doubled = sum(worker.names_doubled for worker in workers)
    if omitted or doubled:
        lines.append(
            f"left out: {omitted} values that cannot be stored, {doubled} of names that stand twice"
        )
    by_kernel = sum(worker.by_kernel for worker in workers)
    records = by_kernel + sum(worker.by_python for worker in workers)
    if records:
        lines.append(f"C kernel: {by_kernel} of {records} records ({by_kernel / records:.1%})")
    lags = [row.lag for row in rows if row.lag is not None]
    warnings = sum(trouble.severity is Severity.WARNING for trouble in troubles)
    found_none = f"no problem found{f', {warnings} to look at' if warnings else ''}"
    found_none += f"; lag {sum(lags)} records" if lags else ""
    words = {Severity.ERROR: "problem", Severity.WARNING: "warning"}
    lines += [f"{words[trouble.severity]}: {trouble}" for trouble in troubles]
    if warnings == len(troubles):
        lines.append(found_none)
    return "\n".join(lines)


def topics_title(settings: Settings) -> str:
    """Name the topics, for a title."""
    return f"topic{'s' if settings.has_several_topics else ''} {', '.join(settings.topics)}"


def _partition_table(rows: Sequence[PartitionRow]) -> str:
    head = (
        *("partition", "owner", "consumed", "written", "dead-lettered", "uncommitted", "committed"),
        *("end", "lag", "state", "heartbeat"),
    )
    cells = [
        [*list(asdict(row).values())[:-1], None if row.age_s is None else f"{age(row.age_s)} ago"]
        for row in rows
    ]
    return table(head, cells)


def as_object(
    settings: Settings, workers: Sequence[WorkerReport], facts: PoolFacts, troubles: Sequence[Trouble]
) -> dict[str, Any]:
    """Describe the status for programs."""
    rows = partition_rows(workers, facts.offsets)
    recent = recent_counts.add(worker.recent for worker in workers if worker.is_running)
    return {
        "healthy": all(trouble.severity is Severity.WARNING for trouble in troubles),
        "troubles": [asdict(trouble) for trouble in troubles],
        "topic": ", ".join(settings.topics),
        "group": settings.group,
        "members": facts.offsets.members,
        "lag": sum(row.lag or 0 for row in rows) if facts.offsets.ends else None,
        "recent": {**asdict(recent), "dead_share": round(recent.dead_share, SHARE_PLACES)},
        "partitions": [{**vars(row)} for row in rows],
        "workers": [_worker_object(worker) for worker in workers],
    }


def _worker_object(worker: WorkerReport) -> dict[str, Any]:
    return {
        "worker": worker.number,
        "pid": worker.pid,
        "state": worker.state,
        "why": worker.why,
        "heartbeat_age_s": round(worker.age_s, 1),
        "alive": worker.alive,
        "owned": list(worker.owned),
        "native": not worker.why_not_native,
        "values_omitted": worker.values_omitted,
        "names_doubled": worker.names_doubled,
        "records_by_kernel": worker.by_kernel,
        "records_by_python": worker.by_python,
        "recent": {**vars(worker.recent)},
    }
