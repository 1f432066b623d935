"""`python -m workers status`: what the pool does right now, and whether all is well."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.worker_states import Sight, look, total
from workers.commands.console import table
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.exit_codes import FAILED
from workers.pool_size import DEFAULT_WORKERS

#: Entries of a partition's account, as the state files call them.
ACCOUNT = ("consumed", "written", "dead_lettered", "uncommitted")


@dataclass(frozen=True)
class Row:
    """One partition: its account since its workers started, and its place in Kafka.

    Args:
        partition: Its number.
        owner: Who has it: `worker 0`, or the group's member where that is on another machine.
        committed: Offset the group goes on from, None before the first commit.
        end: Offset the next record will get, None where Kafka does not answer.
        lag: Records from one to the other.
        state: Of its owner, or why it is not read.
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
class Kafka:
    """What Kafka tells about the group; `problem` where it does not answer."""

    ends: Mapping[int, int]
    committed: Mapping[int, int]
    starts: Mapping[int, int]
    owners: Mapping[int, str]
    members: int | None
    problem: str = ""


@click.command()
@click.option("--max-lag", type=click.IntRange(0), help="More lag than this in a partition is not well.")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
def status(max_lag: int | None, as_json: bool) -> None:
    """Show partitions, workers and lag.

    The account (consumed = written + dead-lettered + uncommitted) is the workers' own since they started;
    committed, end and lag are Kafka's.

    All is well where each of the TOWER_WORKERS workers runs and has a heartbeat, each partition has an
    owner, is read and adds up, and Kafka answers.

    Exit codes: 0 all is well, 1 it is not, 78 an option has to be changed.
    """
    settings = load(os.environ, credentials=False)
    expected = _expected(os.environ.get("TOWER_WORKERS"))
    sights = look(settings.run_dir, time.time())
    kafka = ask(settings)
    made = rows(sights, kafka)
    found = troubles(sights, made, kafka, expected, max_lag)
    if as_json:
        click.echo(json.dumps(as_object(settings, sights, made, kafka, found), indent=2))
    else:
        click.echo(describe(settings, sights, made, found))
    if found:
        raise click.exceptions.Exit(FAILED)


def ask(settings: Settings) -> Kafka:
    """What Kafka tells; a Kafka that does not answer is a finding, not an error."""
    try:
        kafka_admin = KafkaAdmin(settings)
        topic, name = settings.topic, settings.group
        ends, starts = kafka_admin.ends(topic), kafka_admin.starts(topic)
        committed = kafka_admin.committed(name, topic)
        group = kafka_admin.group(name)
    except CommandError as error:
        return Kafka({}, {}, {}, {}, None, str(error))
    owners = {
        number: f"{member.id} on {member.host}"
        for member in group.members
        for part, number in member.partitions
        if part == topic
    }
    return Kafka(ends, committed, starts, owners, len(group.members))


def rows(sights: list[Sight], kafka: Kafka) -> list[Row]:
    """One row for each partition that Kafka has or a worker has had."""
    known = set(kafka.ends) | {number for each in sights for number in each.accounts}
    return [_row(number, sights, kafka) for number in sorted(known)]


def _row(number: int, sights: list[Sight], kafka: Kafka) -> Row:
    here = next((each for each in sights if number in each.owned and each.beats), None)
    elsewhere = kafka.owners.get(number)
    committed, end = kafka.committed.get(number), kafka.ends.get(number)
    lag = None
    if end is not None:
        lag = max(0, end - (kafka.starts.get(number, 0) if committed is None else committed))
    if here is not None:
        state = here.stopped.get(number, here.state)
    else:
        state = "not here" if elsewhere else "no owner"
    return Row(
        partition=number,
        owner=f"worker {here.number}" if here else elsewhere,
        **{name: total(sights, number, name) for name in ACCOUNT},
        committed=committed,
        end=end,
        lag=lag,
        state=state,
        age_s=None if here is None else round(here.age_s, 1),
    )


def troubles(
    sights: list[Sight], made: list[Row], kafka: Kafka, expected: int, max_lag: int | None = None
) -> list[str]:
    """Everything that is not well, one sentence each; empty where all is.

    Args:
        sights: The workers.
        made: The partitions.
        kafka: What Kafka tells.
        expected: Number of workers that should run here.
        max_lag: Lag of a partition that is still well.
    """
    found = [kafka.problem] if kafka.problem else []
    here = {each.number for each in sights}
    absent = [number for number in range(expected) if number not in here]
    if len(absent) == expected:
        found.append(
            "no worker has ever run here; start the pool with `supervisord -c supervisor.conf`, or name "
            "its folder with TOWER_RUN_DIR"
        )
    else:
        found += [f"worker {number} has never run here" for number in absent]
    # A worker past TOWER_WORKERS has left its file behind when the pool became smaller.
    found += [each.trouble for each in sights if each.trouble and (each.number < expected or each.beats)]
    for each in sights:
        stopped = each.stopped if each.beats else {}
        found += [f"partition {number} is not read: {why}" for number, why in stopped.items()]
    orphans = [str(row.partition) for row in made if row.owner is None]
    if orphans and not kafka.problem:
        found.append(f"no owner: partition {', '.join(orphans)}")
    for row in made:
        accounted = row.written + row.dead_lettered + row.uncommitted
        if row.consumed != accounted:
            found.append(
                f"partition {row.partition}: {row.consumed} consumed, {accounted} accounted for; please "
                "report this"
            )
        if max_lag is not None and (row.lag or 0) > max_lag:
            found.append(f"partition {row.partition} lags {row.lag} records, more than {max_lag}")
    return found


def describe(settings: Settings, sights: list[Sight], made: list[Row], found: list[str]) -> str:
    """The status for people."""
    head = (
        *("partition", "owner", "consumed", "written", "dead-lettered", "uncommitted", "committed"),
        *("end", "lag", "state", "heartbeat"),
    )
    cells = [
        [*list(asdict(row).values())[:-1], None if row.age_s is None else f"{row.age_s:.0f} s ago"]
        for row in made
    ]
    idle = [each.number for each in sights if each.beats and not each.owned]
    lines = [f"topic {settings.topic}, group {settings.group}", table(head, cells)]
    if idle:
        lines.append(f"without a partition: worker {', '.join(map(str, idle))}")
    by_kernel = sum(worker.by_kernel for worker in sights)
    records = by_kernel + sum(worker.by_python for worker in sights)
    if records:
        lines.append(f"C kernel: {by_kernel} of {records} records ({by_kernel / records:.1%})")
    lines += [f"not well: {each}" for each in found] or ["all is well"]
    return "\n".join(lines)


def as_object(
    settings: Settings, sights: list[Sight], made: list[Row], kafka: Kafka, found: list[str]
) -> dict[str, Any]:
    """The status for programs."""
    return {
        "healthy": not found,
        "troubles": found,
        "topic": settings.topic,
        "group": settings.group,
        "members": kafka.members,
        "lag": sum(row.lag or 0 for row in made) if kafka.ends else None,
        "partitions": [asdict(row) for row in made],
        "workers": [
            {
                "worker": each.number,
                "pid": each.pid,
                "state": each.state,
                "why": each.why,
                "heartbeat_age_s": round(each.age_s, 1),
                "alive": each.alive,
                "owned": list(each.owned),
                "records_by_kernel": each.by_kernel,
                "records_by_python": each.by_python,
            }
            for each in sights
        ],
    }


def _expected(given: str | None) -> int:
    return int(given) if given and given.isdecimal() else DEFAULT_WORKERS
