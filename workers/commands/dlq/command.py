"""`tower dlq`: lists dead letters, shows them, sends them back, and deletes them."""

import json
import os
import time
from collections import deque

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.topic_reader import TopicReader
from workers.commands.dlq import dead_letter, listing
from workers.commands.dlq.dead_letter import StoredDeadLetter, UnknownMessage
from workers.commands.dlq.letter_filter import build_filter, filter_options, parse_place
from workers.commands.dlq.progress import read_progress, replay_group
from workers.commands.dlq.purge_command import purge
from workers.commands.dlq.replay_command import replay
from workers.config.settings import load
from workers.errors import CommandError

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")


@click.group()
def dlq() -> None:
    """List dead letters, show them, send them back, and delete them.

    A dead letter is a record that could not become a point. The topic TOWER_DEAD_LETTER_TOPIC holds its
    key, bytes and headers and, in further headers, the reason and where it came from.
    """


@dlq.command(name="list")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Show this many, the newest; 0 shows all.",
)
@filter_options
@click.option(
    "--replayed/--not-replayed", default=None, help="Only those that were sent back, or were not."
)
@click.option("--payload", is_flag=True, help="Show the records too, with unprintable characters escaped.")
@AS_JSON
def list_(
    *,
    limit: int,
    reason: str | None,
    since: str | None,
    until: str | None,
    replayed: bool | None,
    payload: bool,
    as_json: bool,
) -> None:
    """Show the newest dead letters, and count all of them by reason.

    Payloads are shown only with --payload. `replays` is how many times a record has been sent back before
    it became this dead letter.

    Exit codes: 0 done, 1 Kafka does not answer or there is no such topic, 78 a setting has to be changed.
    """
    settings = load(os.environ, credentials=False)
    wanted = build_filter(reason, since, until)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    newest: deque[tuple[StoredDeadLetter, bool]] = deque(maxlen=limit or None)
    summary = listing.Summary()
    with TopicReader(settings, replay_group(settings)) as reader:
        for number in sorted(ends):
            progress, _ = read_progress(reader, topic, number)
            for letter in dead_letter.read(reader, topic, number, starts[number], ends[number]):
                if isinstance(letter, UnknownMessage):
                    summary.unknown.append(letter)
                    continue
                is_replayed = listing.is_replayed(progress, letter)
                if wanted.accepts(letter) and replayed in {None, is_replayed}:
                    summary.add(letter, is_replayed=is_replayed)
                    newest.append((letter, is_replayed))
    letters = sorted(newest, key=lambda pair: (pair[0].kept_ms, pair[0].number, pair[0].offset))
    rows = [
        listing.as_row(letter, is_replayed=is_replayed, payload=payload) for letter, is_replayed in letters
    ]
    held = sum(ends[number] - starts[number] for number in ends)
    if as_json:
        content = {"topic": topic, "held": held, "letters": rows, **summary.as_object()}
        click.echo(json.dumps(content, indent=2))
    else:
        click.echo(listing.describe_rows(rows, payload=payload))
        click.echo(f"{summary.describe(len(rows), time.time())}\n{topic} holds {held}", err=True)


@dlq.command()
@click.argument("place", metavar="PARTITION/OFFSET")
@AS_JSON
def show(place: str, as_json: bool) -> None:
    """Show one dead letter in full: why it is one, and its record with key and headers.

    Control characters are shown as text, so that no record can command a terminal. --json has the bytes
    too, as base64.

    Exit codes: 0 done, 1 there is no such dead letter, or Kafka does not answer, 78 a setting has to be
    changed.
    """
    settings = load(os.environ, credentials=False)
    number, offset = parse_place(place)
    topic = settings.dead_letter_topic
    kafka_admin = KafkaAdmin(settings)
    start, end = (
        kafka_admin.start_offsets(topic).get(number, 0),
        kafka_admin.end_offsets(topic).get(number, 0),
    )
    with TopicReader(settings, replay_group(settings)) as reader:
        in_range = start <= offset < end
        message = next(reader.read(topic, number, offset, offset + 1), None) if in_range else None
        if message is None:
            raise CommandError(
                f"there is no dead letter {place} in {topic}",
                f"partition {number} has {start} to {end - 1}"
                if end > start
                else "`tower dlq list` shows all",
            )
        letter = dead_letter.from_message(message)
        is_replayed = isinstance(letter, StoredDeadLetter) and listing.is_replayed(
            read_progress(reader, topic, number)[0], letter
        )
    content = listing.message_object(message, letter, is_replayed=is_replayed)
    click.echo(json.dumps(content, indent=2) if as_json else listing.describe_message(content))


dlq.add_command(replay)
dlq.add_command(purge)
