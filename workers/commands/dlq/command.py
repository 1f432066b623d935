"""`python -m workers dlq`: lists dead letters and sends them back."""

import json
import os
from collections import deque
from datetime import UTC, datetime
from typing import Any

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.topic_reader import TopicReader
from workers.commands.console import table
from workers.commands.dlq import dead_letter
from workers.commands.dlq.dead_letter import StoredDeadLetter, printable_payload
from workers.commands.dlq.progress import ReplayProgress
from workers.commands.dlq.replay import Replay
from workers.commands.file_lock import locked
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.exit_codes import FAILED
from workers.types import Reason

REASON = click.option(
    "--reason",
    type=click.Choice([str(reason) for reason in Reason]),
    metavar="REASON",
    help=f"Only dead letters with this reason: {', '.join(Reason)}.",
)


def replay_group(settings: Settings) -> str:
    """Return the name of the group whose offsets store the progress of the replay."""
    return f"{settings.group}-dlq-replay"


@click.group()
def dlq() -> None:
    """List dead letters and send them back.

    A dead letter is a record that could not become a point. The topic TOWER_DEAD_LETTER_TOPIC holds its
    bytes and, in headers, the reason and where it came from.
    """


@dlq.command(name="list")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Show this many, the newest; 0 shows all.",
)
@REASON
@click.option("--payload", is_flag=True, help="Show the records too, with unprintable characters escaped.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def list_(limit: int, reason: str | None, payload: bool, as_json: bool) -> None:
    """Show the newest dead letters. Their payloads are shown only with --payload.

    Exit codes: 0 done, 1 Kafka does not answer or there is no such topic, 78 a setting has to be changed.
    """
    settings = load(os.environ, credentials=False)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    newest: deque[StoredDeadLetter] = deque(maxlen=limit or None)
    progress: dict[int, ReplayProgress] = {}
    with TopicReader(settings, replay_group(settings)) as reader:
        for number in sorted(ends):
            progress[number] = _progress(reader, topic, number)[0]
            first = starts[number] if reason or not limit else max(starts[number], ends[number] - limit)
            for letter in dead_letter.read(reader, topic, number, first, ends[number]):
                if reason in {None, letter.reason}:
                    newest.append(letter)
    letters = sorted(newest, key=lambda letter: (letter.kept_ms, letter.number, letter.offset))
    rows = [_as_object(letter, progress[letter.number], payload) for letter in letters]
    held = sum(ends[number] - starts[number] for number in ends)
    if as_json:
        click.echo(json.dumps({"topic": topic, "held": held, "letters": rows}, indent=2))
    else:
        click.echo(_describe(rows, payload))
        click.echo(f"{len(rows)} shown, {topic} holds {held}", err=True)


def _as_object(letter: StoredDeadLetter, progress: ReplayProgress, payload: bool) -> dict[str, Any]:
    entry = {
        "letter": f"{letter.number}/{letter.offset}",
        "kept": _time(letter.kept_ms),
        "reason": letter.reason,
        "from": letter.place,
        "recorded": None if letter.timestamp_ms is None else _time(letter.timestamp_ms),
        "bytes": len(letter.value or b""),
        "replayed": progress.covers(letter.offset, letter.reason),
        "error": letter.error,
    }
    return entry | ({"payload": printable_payload(letter.value)} if payload else {})


def _describe(rows: list[dict[str, Any]], payload: bool) -> str:
    names = ("letter", "kept", "reason", "from", "bytes", "replayed", "error")
    cells = [["yes" if row[name] is True else row[name] or None for name in names] for row in rows]
    titles = ("dead letter", "stored at", "reason", "record", "bytes", "replayed", "error")
    lines = table(titles, cells).splitlines()
    if not payload:
        return "\n".join(lines)
    text = [lines[0]]
    for line, row in zip(lines[1:], rows, strict=True):
        text += [line, f"    {row['payload']}"]
    return "\n".join(text)


@dlq.command(name="replay")
@REASON
@click.option("--dry-run", is_flag=True, help="Count what would be sent, but send nothing.")
@click.option(
    "--from-beginning",
    is_flag=True,
    help="Replay even if the progress of earlier replays has expired.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def replay(reason: str | None, dry_run: bool, from_beginning: bool, as_json: bool) -> None:
    """Send dead letters back to the topic and partition they came from, with their own time.

    Use it after the cause is removed: a limit was raised, a conflicting field was deleted, Tower was
    updated. A record that is sent back gets a new offset, so it becomes a new point. Its dead letter stays
    in the topic until the topic's retention ends. If the record fails again, it becomes a new dead letter.

    The group <TOWER_KAFKA_GROUP_ID>-dlq-replay commits what Kafka has confirmed, so that a second run sends
    nothing twice. If a run is killed, the next one may send up to 100 dead letters again.

    Exit codes: 0 all sent, 1 some were not sent, 78 a setting has to be changed.
    """
    settings = load(os.environ, credentials=False)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    partitions = set(kafka_admin.partition_numbers(settings.topic))
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    with (
        locked(settings.run_dir / "dlq-replay.lock"),
        TopicReader(settings, replay_group(settings)) as reader,
    ):
        run = Replay(settings, reader, partitions, reason, dry_run=dry_run)
        for number in sorted(ends):
            progress, is_committed = _progress(reader, topic, number)
            if not (is_committed or from_beginning):
                oldest = next(dead_letter.read(reader, topic, number, starts[number], ends[number]), None)
                _refuse_forgotten(kafka_admin, oldest)
            run.run(number, starts[number], ends[number], progress)
            if run.failed:
                break
    click.echo(json.dumps(run.as_object(), indent=2) if as_json else run.describe())
    if run.failed or run.rejected:
        raise click.exceptions.Exit(FAILED)


def _progress(reader: TopicReader, topic: str, number: int) -> tuple[ReplayProgress, bool]:
    """Read one partition's progress, and whether it was ever committed."""
    offset, metadata = reader.committed(topic, number)
    return ReplayProgress.parse(offset, metadata), offset >= 0


def _refuse_forgotten(kafka_admin: KafkaAdmin, oldest: StoredDeadLetter | None) -> None:
    """Refuse to replay dead letters that may have been replayed before.

    Kafka deletes the offsets of an unused group after some days, and with them the progress.

    Raises:
        CommandError: The oldest dead letter is older than that.
    """
    minutes = int(kafka_admin.broker_config().get("offsets.retention.minutes", "10080"))
    if oldest is None or not oldest.kept_ms:
        return
    days = (datetime.now(UTC).timestamp() - oldest.kept_ms / 1000) / 86_400
    if days * 1440 > minutes:
        raise CommandError(
            f"the oldest dead letter is {days:.0f} days old, and Kafka deletes the replay progress after "
            f"{minutes / 1440:.0f} days",
            "use --from-beginning if none was replayed before",
        )


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
