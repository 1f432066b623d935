"""`tower dlq purge`: deletes dead letters."""

import json
import os
import sys
import time

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.topic_reader import TopicReader
from workers.commands.dlq import purge as purges
from workers.commands.dlq.letter_filter import TIME_HELP, parse_place
from workers.commands.dlq.progress import LOCK, read_progress, replay_group
from workers.commands.dlq.purge import PartitionPurge
from workers.commands.file_lock import locked
from workers.commands.replay.offset_reset import parse_since
from workers.config.settings import load
from workers.errors import CommandError


@click.command()
@click.option(
    "--replayed", is_flag=True, help="Delete those that were sent back, up to the first that was not."
)
@click.option("--before", metavar="TIME", help=f"Delete those stored before this time: {TIME_HELP}.")
@click.option(
    "--through", metavar="PARTITION/OFFSET", help="Delete those of one partition, up to this one."
)
@click.option("--all", "everything", is_flag=True, help="Delete all.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, but delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def purge(
    *,
    replayed: bool,
    before: str | None,
    through: str | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete dead letters for good, the oldest ones of each partition.

    Kafka can delete only what is before an offset. So this command deletes nothing between dead letters
    that stay. It says first how many were never replayed.

    Exit codes: 0 done, 1 nothing was deleted, 78 a setting has to be changed.
    """
    if sum((replayed, before is not None, through is not None, everything)) != 1:
        raise click.UsageError("use one of --replayed, --before, --through and --all")
    settings = load(os.environ, credentials=False)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    with locked(settings.run_dir / LOCK), TopicReader(settings, replay_group(settings)) as reader:
        progress = {number: read_progress(reader, topic, number)[0] for number in ends}
        if before is not None:
            targets = purges.targets_before(
                kafka_admin, topic, parse_since(before, time.time(), "--before") * 1000
            )
        elif through is not None:
            targets = purges.target_through(parse_place(through))
        else:
            targets = purges.targets_replayed(progress) if replayed else ends
        unknown = targets.keys() - ends.keys()
        if unknown:
            raise CommandError(f"{topic} has no partition {min(unknown)}")
        planned = purges.plan(reader, topic, targets, starts=starts, ends=ends, progress=progress)
        if not as_json:
            click.echo(purges.describe(planned))
        deletes = bool(planned) and not dry_run
        if deletes:
            _confirm(planned, yes)
            kafka_admin.delete_records(topic, {part.number: part.target for part in planned})
    if as_json:
        click.echo(json.dumps(purges.as_object(topic, planned, deleted=deletes), indent=2))
    else:
        click.echo("deleted" if deletes else "nothing was deleted", err=True)


def _confirm(planned: list[PartitionPurge], yes: bool) -> None:
    """Ask before dead letters are deleted: their records are lost if they were not replayed."""
    if yes:
        return
    count, lost = sum(part.count for part in planned), sum(part.not_replayed for part in planned)
    text = f"{count} messages are deleted for good, {lost} of them were never replayed"
    if not sys.stdin.isatty():
        raise CommandError(f"{text}; use --yes if you want that")
    click.confirm(f"{text}. Continue?", abort=True)
