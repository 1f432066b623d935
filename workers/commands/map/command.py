"""`tower map`: shows what a route makes of a sample."""

import json
import os
import time
from dataclasses import asdict
from typing import BinaryIO

import click

from workers.commands.map.mapped_message import MappedRecord, SampleMessage, map_message
from workers.config.route import Route
from workers.config.settings import load
from workers.errors import CommandError
from workers.exit_codes import FAILED
from workers.log import printable
from workers.types import Reason

#: What is said if a record gets Kafka's timestamp.
NO_OWN_TIME = "a record has no time of its own: it gets Kafka's timestamp, and here the time of now"


@click.command("map")
@click.option("--route", "name", metavar="NAME", help="The route; needed if TOWER_ROUTES has several.")
@click.option(
    "--test",
    "sample",
    metavar="FILE",
    type=click.File("rb"),
    default="-",
    help="One message as it is sent; - for standard input.",
)
@click.option("--topic", metavar="NAME", help="Topic of the message; the route's first by default.")
@click.option("--partition", type=click.IntRange(0), default=0, help="Partition of the message.")
@click.option("--offset", type=click.IntRange(0), default=0, help="Offset of the message.")
@click.option("--timestamp", type=int, metavar="MS", help="Kafka's timestamp in milliseconds since 1970.")
@click.option("--key", metavar="TEXT", help="Key of the message.")
@click.option("--header", "headers", metavar="NAME=TEXT", multiple=True, help="A header. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON, for programs.")
def map_(
    *,
    name: str | None,
    sample: BinaryIO,
    topic: str | None,
    partition: int,
    offset: int,
    timestamp: int | None,
    key: str | None,
    headers: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the lines that a route makes of a message, and what it leaves out.

    This uses neither Kafka nor InfluxDB. The settings are those of the workers: TOWER_ROUTES names the file
    of routes, and without it the variables are the only route.

    Without --timestamp the message has no time of Kafka's, so any time of a record is used.

    Exit codes: 0 every record becomes a point, 1 some become dead letters, 78 a setting has to be changed.
    """
    route = _chosen(load(os.environ, credentials=False).routes, name)
    message = SampleMessage(
        sample.read(),
        (topic or _first_topic(route), partition, offset),
        timestamp,
        None if key is None else key.encode(),
        [_header(text) for text in headers],
    )
    if topic and not route.matches(topic):
        raise CommandError(f"{route.label} does not read topic {topic}", "name another topic or route")
    records = map_message(route, message)
    note = ""
    if timestamp is None and any(record.reason == Reason.NO_TIME for record in records):
        note = NO_OWN_TIME
        now = SampleMessage(
            message.content, message.place, int(time.time() * 1000), message.name, message.head
        )
        records = map_message(route, now)
    if as_json:
        click.echo(json.dumps([asdict(record) for record in records]))
    else:
        for record in records:
            _show(record)
        if note:
            click.echo(f"note: {note}", err=True)
    if any(record.reason for record in records):
        click.get_current_context().exit(FAILED)


def _chosen(routes: tuple[Route, ...], name: str | None) -> Route:
    if name is None and len(routes) == 1:
        return routes[0]
    names = ", ".join(route.name for route in routes if route.name)
    for route in routes:
        if name and route.name == name:
            return route
    if not names:
        raise CommandError("there is no file of routes", "set TOWER_ROUTES, or leave out --route")
    problem = f"there is no route {printable(name)}" if name else "there are several routes"
    raise CommandError(problem, f"use --route with one of {names}")


def _first_topic(route: Route) -> str:
    """Return a topic of the route; a pattern stands for itself, without what a name cannot have."""
    names = [topic for topic in route.topics if not topic.startswith("^")]
    return names[0] if names else "topic"


def _header(text: str) -> tuple[str, bytes]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(f"{printable(text)} is no header", "write --header NAME=TEXT")
    return name, value.encode()


def _show(record: MappedRecord) -> None:
    if record.reason:
        click.echo(f"dead letter {record.reason}: {printable(record.detail)}")
        return
    click.echo(record.line)
    if record.omitted:
        click.echo(f"  left out, because the value does not fit: {printable(', '.join(record.omitted))}")
    if record.dropped:
        click.echo(f"  left out by the route: {printable(', '.join(record.dropped))}")
