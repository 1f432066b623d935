"""`tower dlq replay`: sends dead letters back."""

import json
import os
from datetime import UTC, datetime

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.topic_reader import TopicReader
from workers.commands.dlq import dead_letter
from workers.commands.dlq.dead_letter import StoredDeadLetter, UnknownMessage
from workers.commands.dlq.letter_filter import build_filter, filter_options
from workers.commands.dlq.progress import LOCK, read_progress, replay_group
from workers.commands.dlq.replay import MOST_REPLAYS, Replay
from workers.commands.file_lock import locked
from workers.config.settings import load
from workers.errors import CommandError
from workers.exit_codes import FAILED
from workers.types import Partition


@click.command()
@click.argument("places", metavar="[PARTITION/OFFSET]...", nargs=-1)
@filter_options
@click.option("--dry-run", is_flag=True, help="Count what would be sent, but send nothing.")
@click.option(
    "--max-replays",
    type=click.IntRange(1),
    default=MOST_REPLAYS,
    show_default=True,
    help="Leave out records that came back this many times.",
)
@click.option(
    "--from-beginning",
    is_flag=True,
    help="Replay even if the progress of earlier replays has expired.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def replay(
    *,
    places: tuple[str, ...],
    reason: str | None,
    since: str | None,
    until: str | None,
    dry_run: bool,
    max_replays: int,
    from_beginning: bool,
    as_json: bool,
) -> None:
    """Send dead letters back to where they came from, with their own key, headers and time.

    Without arguments and options, it sends all. Use it after the cause is removed: a limit was raised, a
    conflicting field was deleted, Tower was updated. A record that is sent back gets a new offset, so it
    becomes a new point. Its dead letter stays in the topic until the topic's retention ends, or `dlq purge`
    deletes it. If the record fails again, it becomes a new dead letter.

    The group <TOWER_KAFKA_GROUP_ID>-dlq-replay commits what Kafka has confirmed, so that a second run sends
    nothing twice. If a run is killed, the next one may send up to 100 dead letters again. What cannot be
    sent back is reported and never counts as replayed.

    Exit codes: 0 all sent, 1 some were not sent, 78 a setting has to be changed.
    """
    settings = load(os.environ, credentials=False)
    wanted = build_filter(reason, since, until, places)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    partitions = {
        Partition(name, number)
        for name in kafka_admin.matching_topics(settings)
        for number in kafka_admin.partition_numbers(name)
    }
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    with locked(settings.run_dir / LOCK), TopicReader(settings, replay_group(settings)) as reader:
        run = Replay(settings, reader, partitions, wanted, dry_run=dry_run, most_replays=max_replays)
        for number in sorted(ends):
            progress, is_committed = read_progress(reader, topic, number)
            if not (is_committed or from_beginning):
                oldest = next(dead_letter.read(reader, topic, number, starts[number], ends[number]), None)
                _refuse_forgotten(kafka_admin, oldest)
            run.run(number, starts[number], ends[number], progress)
            if run.failed or run.is_full:
                break
    click.echo(json.dumps(run.as_object(), indent=2) if as_json else run.describe())
    if run.is_incomplete:
        raise click.exceptions.Exit(FAILED)


def _refuse_forgotten(kafka_admin: KafkaAdmin, oldest: StoredDeadLetter | UnknownMessage | None) -> None:
    """Refuse to replay dead letters that may have been replayed before.

    Kafka deletes the offsets of an unused group after some days, and with them the progress.

    Raises:
        CommandError: The oldest dead letter is older than that.
    """
    minutes = int(kafka_admin.broker_config().get("offsets.retention.minutes", "10080"))
    if not isinstance(oldest, StoredDeadLetter) or not oldest.kept_ms:
        return
    days = (datetime.now(UTC).timestamp() - oldest.kept_ms / 1000) / 86_400
    if days * 1440 > minutes:
        raise CommandError(
            f"the oldest dead letter is {days:.0f} days old, and Kafka deletes the replay progress after "
            f"{minutes / 1440:.0f} days",
            "use --from-beginning if none was replayed before",
        )
