"""`python -m workers replay`: where the group goes on reading."""

import json
import os
import sys
import time
from dataclasses import asdict

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.worker_states import running_workers
from workers.commands.console import Wait
from workers.commands.replay.offset_reset import Move, describe, moves
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.kafka.properties import CLASSIC

#: Seconds after which Kafka drops a KIP-848 member that is gone: the broker decides, this is its default.
BROKER_SESSION_S = 45.0

#: Seconds on top of a session: the coordinator looks at its members now and then.
SLACK_S = 5.0


STOP = "stop the pool first: `supervisorctl -c supervisor.conf shutdown`"


@click.command()
@click.option("--from", "from_", metavar="OFFSET", help="earliest, latest, or an offset.")
@click.option(
    "--since",
    metavar="TIME",
    help="Records that came to Kafka since then: 90s, 30m, 2h, 7d ago, or an ISO 8601 time (UTC where it "
    "names no zone).",
)
@click.option("--partition", type=click.IntRange(0), multiple=True, help="Only this partition; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.option("--yes", is_flag=True, help="Skip records that were never read without asking.")
@click.option("--json", "as_json", is_flag=True, help="The moves as JSON.")
def replay(
    *,
    from_: str | None,
    since: str | None,
    partition: tuple[int, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Read records again: move the group's committed offsets.

    Safe at any time: a record that is read again overwrites its own point, as long as the settings that
    make a point are as they were (TOWER_MEASUREMENT, TOWER_TAGS, TOWER_TAG_FIELDS, TOWER_TIME_FIELDS,
    TOWER_TIME_WINDOW_S, TOWER_IDENTITY_PARTITIONS). Dead letters among them are kept once more.

    The pool has to be stopped: Kafka refuses to move a group that has members. A worker that was stopped
    keeps its place for the length of its session (15 s); this waits for that, and says so.

    Exit codes: 0 done, 1 refused or failed, 78 an option has to be changed.
    """
    if (from_ is None) == (since is None):
        raise click.UsageError("give either --from or --since")
    settings = load(os.environ, credentials=False)
    kafka_admin = KafkaAdmin(settings)
    made = moves(kafka_admin, settings, from_, since, set(partition))
    if as_json:
        counted = [asdict(each) | {"again": each.again, "skipped": each.skipped} for each in made]
        click.echo(json.dumps(counted, indent=2))
    else:
        click.echo(describe(made))
    if dry_run:
        click.echo("dry run: nothing was changed", err=True)
        return
    _confirm(made, yes)
    wait_until_empty(kafka_admin, settings)
    kafka_admin.reset_offsets(settings.group, settings.topic, {each.number: each.target for each in made})
    click.echo(
        f"group {settings.group} goes on there; start the pool again: `supervisord -c supervisor.conf`",
        err=True,
    )


def _confirm(made: list[Move], yes: bool) -> None:
    """Skipping is losing: it is never done by a slip."""
    skipped = sum(each.skipped for each in made)
    if not skipped or yes:
        return
    text = f"{skipped} records that were never read are skipped and will not reach InfluxDB"
    if not sys.stdin.isatty():
        raise CommandError(f"{text}; say --yes if that is meant")
    click.confirm(f"{text}. Go on?", abort=True)


def wait_until_empty(kafka_admin: KafkaAdmin, settings: Settings) -> None:
    """Return once the group has no members.

    Raises:
        CommandError: It has some that are alive, or still has some when their sessions should have ended.
    """
    alive = running_workers(settings.run_dir, time.time())
    session_s = _session_s(settings)
    wait = Wait("members of the group to leave", session_s + SLACK_S)
    while True:
        group = kafka_admin.group(settings.group)
        if not group.members:
            return
        hosts = ", ".join(sorted({f"{each.id} on {each.host}" for each in group.members}))
        if alive:
            raise CommandError(
                f"group {settings.group} has {len(group.members)} members and workers "
                f"{', '.join(map(str, alive))} are running; {STOP}"
            )
        if wait.is_over:
            raise CommandError(
                f"group {settings.group} still has {len(group.members)} members after {session_s:g} s, so "
                f"they are alive: {hosts}; {STOP}, there if it runs on another machine"
            )
        wait.tick(f": {len(group.members)} left")
        wait.pause(0.5)


def _session_s(settings: Settings) -> float:
    """Seconds until Kafka drops a member that went without a word."""
    if str(settings.kafka.get("group.protocol", "classic")).lower() == "consumer":
        return BROKER_SESSION_S
    given = settings.kafka.get("session.timeout.ms", CLASSIC["session.timeout.ms"])
    return float(str(given)) / 1000
