"""`tower replay`: resets the offsets from which the group reads."""

import json
import os
import sys
import time
from dataclasses import asdict

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.worker_states import running_workers
from workers.commands.console import ProgressWait, listed
from workers.commands.replay.offset_reset import OffsetReset, describe, offset_resets
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.kafka.properties import CLASSIC
from workers.log import printable

#: Seconds after which Kafka removes a silent member of the new protocol (KIP-848): the broker's default.
BROKER_SESSION_S = 45.0

#: Seconds added to a session: the coordinator does not check its members all the time.
GRACE_S = 5.0

#: Advice if workers are running.
STOP = "stop the pool first: `tower down`"


@click.command()
@click.option("--from", "from_", metavar="OFFSET", help="Continue at: earliest, latest, or an offset.")
@click.option(
    "--since",
    metavar="TIME",
    help="Continue at the records of this time: 90s, 30m, 2h or 7d ago, or an ISO 8601 time (UTC if it has "
    "no zone).",
)
@click.option("--topic", metavar="NAME", help="Only this topic; needed if the routes have several.")
@click.option("--partition", type=click.IntRange(0), multiple=True, help="Only this partition. Repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would happen, but change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before skipping records that were never read.")
@click.option("--json", "as_json", is_flag=True, help="Print the offset resets as JSON, for programs.")
def replay(
    *,
    from_: str | None,
    since: str | None,
    topic: str | None,
    partition: tuple[int, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Read records again: reset the group's committed offsets.

    A record that is read again overwrites its own point, if the settings that build a point have not
    changed (TOWER_MEASUREMENT, TOWER_TAGS, TOWER_LINE_TAGS, TOWER_RENAME, TOWER_TAG_FIELDS,
    TOWER_TIME_FIELDS, TOWER_TIME_FORMAT, TOWER_TIME_ZONE, TOWER_TIME_WINDOW_S, TOWER_IDENTITY), and if
    its point is not of version 0.1.0. A record that becomes a dead letter gets a second dead letter.

    Stop the pool first: Kafka does not reset the offsets of a group that has members. A worker that has
    just stopped remains a member until its session ends (15 s). This command waits for that.

    Exit codes: 0 done, 1 nothing was changed, 78 a setting has to be changed.
    """
    if (from_ is None) == (since is None):
        raise click.UsageError("use either --from or --since")
    settings = load(os.environ, credentials=False)
    kafka_admin = KafkaAdmin(settings)
    settings = _for_topic(settings, topic, kafka_admin.matching_topics(settings))
    resets = offset_resets(kafka_admin, settings, from_, since, set(partition))
    if as_json:
        objects = [asdict(reset) | {"again": reset.again, "skipped": reset.skipped} for reset in resets]
        click.echo(json.dumps(objects, indent=2))
    else:
        click.echo(describe(resets))
    if dry_run:
        click.echo("dry run: nothing was changed", err=True)
        return
    _confirm(resets, yes)
    wait_until_empty(kafka_admin, settings)
    kafka_admin.reset_offsets(
        settings.group, settings.topic, {reset.number: reset.target for reset in resets}
    )
    click.echo(
        f"group {settings.group} is reset; start the pool again: `supervisord -c supervisor.conf`",
        err=True,
    )


def _for_topic(settings: Settings, topic: str | None, topics: list[str]) -> Settings:
    """Return the settings of one topic.

    Raises:
        CommandError: The topic is none of the routes', or there are several and none is named.
    """
    if topic is None and not settings.has_several_topics:
        return settings
    if topic not in topics:
        problem = f"no route reads topic {printable(topic)}" if topic else "the routes have several topics"
        raise CommandError(problem, f"use --topic with one of {listed(topics)}")
    return settings.for_topic(topic)


def _confirm(resets: list[OffsetReset], yes: bool) -> None:
    """Ask before records are skipped: they would be lost."""
    skipped = sum(reset.skipped for reset in resets)
    if not skipped or yes:
        return
    text = f"{skipped} records that were never read are skipped and will not reach InfluxDB"
    if not sys.stdin.isatty():
        raise CommandError(f"{text}; use --yes if you want that")
    click.confirm(f"{text}. Continue?", abort=True)


def wait_until_empty(kafka_admin: KafkaAdmin, settings: Settings) -> None:
    """Wait until the group has no members.

    Raises:
        CommandError: Workers are running, or members remain although their sessions should have ended.
    """
    running = running_workers(settings.run_dir, time.time())
    session_s = _session_s(settings)
    wait = ProgressWait("members of the group to leave", session_s + GRACE_S)
    while True:
        group = kafka_admin.group(settings.group)
        if not group.members:
            return
        hosts = ", ".join(sorted({f"{member.id} on {member.host}" for member in group.members}))
        if running:
            raise CommandError(
                f"group {settings.group} has {len(group.members)} members and workers "
                f"{', '.join(map(str, running))} are running; {STOP}"
            )
        if wait.is_over:
            raise CommandError(
                f"group {settings.group} still has {len(group.members)} members after {session_s:g} s, so "
                f"they are running: {hosts}; {STOP}, on the other machine if it runs there"
            )
        wait.tick(f": {len(group.members)} left")
        wait.pause(0.5)


def _session_s(settings: Settings) -> float:
    """Return the seconds until Kafka removes a member that is silent."""
    if str(settings.kafka.get("group.protocol", "classic")).lower() == "consumer":
        return BROKER_SESSION_S
    timeout_ms = settings.kafka.get("session.timeout.ms", CLASSIC["session.timeout.ms"])
    return float(str(timeout_ms)) / 1000
