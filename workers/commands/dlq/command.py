"""`python -m workers dlq`: look at the dead letters, and send them back."""

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
from workers.commands.dlq.dead_letter import Letter, shown
from workers.commands.dlq.progress import Mark
from workers.commands.dlq.replay import Replay
from workers.commands.file_lock import locked
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.exit_codes import FAILED
from workers.types import Reason

REASON = click.option(
    "--reason",
    type=click.Choice([str(each) for each in Reason]),
    metavar="REASON",
    help=f"Only these: {', '.join(Reason)}.",
)


def replay_group(settings: Settings) -> str:
    """Name of the group whose offsets say how far the letters have been replayed."""
    return f"{settings.group}-dlq-replay"


@click.group()
def dlq() -> None:
    """Dead letters: records that could not become points.

    They stand in the topic TOWER_DEAD_LETTER_TOPIC with their own bytes and, as headers, the reason and
    where they came from.
    """


@dlq.command(name="list")
@click.option(
    "--limit", type=click.IntRange(0), default=20, show_default=True, help="Newest so many; 0: all."
)
@REASON
@click.option("--payload", is_flag=True, help="Show the records too, with everything unprintable escaped.")
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
def list_(limit: int, reason: str | None, payload: bool, as_json: bool) -> None:
    """Show the newest dead letters; payloads only when asked for: they are strangers' text.

    Exit codes: 0 shown, 1 Kafka does not answer or there is no such topic, 78 an option has to be changed.
    """
    settings = load(os.environ, credentials=False)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    kept: deque[Letter] = deque(maxlen=limit or None)
    marks: dict[int, Mark] = {}
    with TopicReader(settings, replay_group(settings)) as reader:
        for number in sorted(ends):
            marks[number] = _mark(reader, topic, number)[0]
            first = starts[number] if reason or not limit else max(starts[number], ends[number] - limit)
            for letter in dead_letter.read(reader, topic, number, first, ends[number]):
                if reason in {None, letter.reason}:
                    kept.append(letter)
    found = sorted(kept, key=lambda each: (each.kept_ms, each.number, each.offset))
    rows = [_as_object(each, marks[each.number], payload) for each in found]
    held = sum(ends[number] - starts[number] for number in ends)
    if as_json:
        click.echo(json.dumps({"topic": topic, "held": held, "letters": rows}, indent=2))
    else:
        click.echo(_describe(rows, payload))
        click.echo(f"{len(rows)} shown, {topic} holds {held}", err=True)


def _as_object(letter: Letter, mark: Mark, payload: bool) -> dict[str, Any]:
    found = {
        "letter": f"{letter.number}/{letter.offset}",
        "kept": _time(letter.kept_ms),
        "reason": letter.reason,
        "from": letter.place,
        "recorded": None if letter.timestamp_ms is None else _time(letter.timestamp_ms),
        "bytes": len(letter.value or b""),
        "replayed": mark.covers(letter.offset, letter.reason),
        "error": letter.error,
    }
    return found | ({"payload": shown(letter.value)} if payload else {})


def _describe(rows: list[dict[str, Any]], payload: bool) -> str:
    head = ("letter", "kept", "reason", "from", "bytes", "replayed", "error")
    cells = [["yes" if row[name] is True else row[name] or None for name in head] for row in rows]
    lines = table(head, cells).splitlines()
    if not payload:
        return "\n".join(lines)
    text = [lines[0]]
    for line, row in zip(lines[1:], rows, strict=True):
        text += [line, f"    {row['payload']}"]
    return "\n".join(text)


@dlq.command(name="replay")
@REASON
@click.option("--dry-run", is_flag=True, help="Count what would be sent; send nothing.")
@click.option(
    "--from-beginning",
    is_flag=True,
    help="Go on although Kafka no longer knows what was replayed before.",
)
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
def replay(reason: str | None, dry_run: bool, from_beginning: bool, as_json: bool) -> None:
    """Send dead letters back to the topic and partition they came from, with their own time.

    For use after the cause is gone: a limit was raised, a conflicting field was dropped, Tower was updated.
    A record that was sent back has a new offset, so it is a new record with a point of its own; the letter
    stays where it is, until the topic's retention. If it fails again, that makes a new letter.

    What was sent is marked by the offsets of the group <TOWER_KAFKA_GROUP_ID>-dlq-replay once Kafka has
    confirmed it, so running this twice sends nothing twice. Killed in between, up to 100 letters that were
    sent and not yet marked are sent again by the next run.

    Exit codes: 0 all sent, 1 some were not, 78 an option has to be changed.
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
        made = Replay(settings, reader, partitions, reason, dry_run=dry_run)
        for number in sorted(ends):
            mark, is_marked = _mark(reader, topic, number)
            if not (is_marked or from_beginning):
                oldest = next(dead_letter.read(reader, topic, number, starts[number], ends[number]), None)
                _refuse_forgotten(kafka_admin, oldest)
            made.run(number, starts[number], ends[number], mark)
            if made.failed:
                break
    click.echo(json.dumps(made.as_object(), indent=2) if as_json else made.describe())
    if made.failed or made.refused:
        raise click.exceptions.Exit(FAILED)


def _mark(reader: TopicReader, topic: str, number: int) -> tuple[Mark, bool]:
    """How far this partition's letters were replayed, and whether Kafka knows it."""
    offset, metadata = reader.committed(topic, number)
    return Mark.parse(offset, metadata), offset >= 0


def _refuse_forgotten(kafka_admin: KafkaAdmin, oldest: Letter | None) -> None:
    """Kafka forgets a group's offsets some days after its last commit, and so what was replayed.

    Raises:
        CommandError: Letters are older than that, so that they may have been replayed once.
    """
    minutes = int(kafka_admin.broker_config().get("offsets.retention.minutes", "10080"))
    if oldest is None or not oldest.kept_ms:
        return
    days = (datetime.now(UTC).timestamp() - oldest.kept_ms / 1000) / 86_400
    if days * 1440 > minutes:
        raise CommandError(
            f"the oldest letter is {days:.0f} days old, and Kafka forgets what was replayed after "
            f"{minutes / 1440:.0f}: if none of them was sent back before, say --from-beginning"
        )


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
