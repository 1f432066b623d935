"""`python -m workers check`: both ends, tried from here."""

import json
import logging
import os
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import click
from confluent_kafka import Consumer, KafkaException

from workers.commands.check import (
    dashboard,
    fields,
    kafka,
    newest_records,
    points,
    pool,
    records,
    topics,
    types,
)
from workers.commands.check import influxdb as check_influxdb
from workers.commands.check.newest_records import Sample
from workers.commands.check.result import Finding, Level, as_object, fail, summary, warn
from workers.commands.clients.influxdb_api import InfluxdbApi, token
from workers.commands.clients.worker_states import running_workers
from workers.config.secret import Secret
from workers.config.settings import Settings, load
from workers.errors import CommandError, SettingsError
from workers.exit_codes import FAILED
from workers.kafka.properties import consumer_properties, settings_error
from workers.pool_size import DEFAULT_WORKERS

Result = TypeVar("Result")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
@click.option(
    "--supervisor-conf",
    type=click.Path(path_type=Path),
    default="supervisor.conf",
    show_default=True,
    help="The pool's configuration.",
)
@click.option(
    "--watch",
    type=click.FloatRange(0, 60),
    default=3.0,
    show_default=True,
    help="Seconds to wait for a new record, whose age is its sender's clock.",
)
@click.option(
    "--look-token-file",
    type=click.Path(path_type=Path),
    help="File with a token that may read: mapping, retention and field types are looked at with it where "
    "the workers' token may only write. INFLUXDB_ADMIN_TOKEN serves too.",
)
def check(*, as_json: bool, supervisor_conf: Path, watch: float, look_token_file: Path | None) -> None:
    """Try both ends and say what to do next.

    Looks at settings, brokers and the addresses they advertise, topics, group, the newest records (whether
    they become points, fill the dashboard's fields and have the right time), InfluxDB, rights, mapping,
    retention, field types, clocks, and the points that the dashboard sees. It changes nothing and writes no
    point.

    Exit codes: 0 nothing fails, 1 something does, 78 an option has to be changed. A warning (warn) does not
    change the exit code, and still says that something deserves a look.
    """
    settings = load(os.environ)
    _refuse_unknown_properties(settings)
    look = _look(settings, look_token_file, os.environ.get("INFLUXDB_ADMIN_TOKEN"))
    workers = _workers(os.environ.get("TOWER_WORKERS"))
    made = []
    for found in findings(settings, workers, supervisor_conf, look, watch):
        made.append(found)
        if not as_json:
            click.echo(str(found))
    if as_json:
        click.echo(json.dumps(as_object(made), indent=2))
    else:
        click.echo(summary(made))
    if any(each.level is Level.FAIL for each in made):
        raise click.exceptions.Exit(FAILED)


def findings(
    settings: Settings, workers: int, supervisor_conf: Path, look: str, watch_s: float
) -> Iterator[Finding]:
    """All checks, one after the other; one that fails keeps only those that rest on it from being made.

    Args:
        settings: Of the workers.
        workers: TOWER_WORKERS.
        supervisor_conf: The pool's configuration.
        look: Authorization header of a token that may read, or of the workers'.
        watch_s: Seconds to wait for a new record.
    """
    yield pool.settings_valid(settings)
    yield pool.drain(settings, supervisor_conf)
    yield pool.polling(settings)
    newest = yield from _guarded("kafka", _kafka(settings, workers, watch_s))
    yield from _guarded("influxdb", _influxdb(settings, look, newest))


def _kafka(settings: Settings, workers: int, watch_s: float) -> Generator[Finding, None, Sample | None]:
    """Kafka's side; the newest records, None if they could not be read."""
    reached = kafka.bootstrap(settings)
    yield reached
    if reached.level is Level.FAIL:
        return None
    kafka_admin = kafka.connect(settings)
    if isinstance(kafka_admin, Finding):
        yield kafka_admin
        return None
    listeners = list(kafka.listeners(settings, kafka_admin.brokers()))
    yield from listeners
    if len([each for each in listeners if each.level is Level.FAIL]) == len(kafka_admin.brokers()):
        return None
    topic = list(topics.topic(kafka_admin, settings, workers))
    yield from topic
    if not kafka_admin.partitions(settings.topic):
        return None
    yield from topics.dead_letters(kafka_admin, settings)
    yield kafka.group(kafka_admin, settings, running_workers(settings.run_dir, time.time()))
    newest = newest_records.take(kafka_admin, settings, watch_s)
    yield from records.judge(newest, settings, time.time(), watch_s)
    yield from fields.judge(newest, settings)
    return newest


def _influxdb(settings: Settings, look: str, newest: Sample | None) -> Generator[Finding, None, None]:
    """InfluxDB's side, and the dashboard's way through it."""
    influxdb = InfluxdbApi(settings.influxdb_url)
    reached = list(check_influxdb.server(influxdb, settings))
    yield from reached
    if reached[0].level is Level.FAIL:
        return
    may_write = check_influxdb.write(influxdb, settings)
    yield may_write
    tried, ask = dashboard.access(influxdb, settings, look)
    kept_s = None
    if settings.influxdb_api == "v2" and may_write.level is Level.OK:
        mapping = dashboard.mapping(influxdb, settings, look)
        # What cannot be seen matters no more once the dashboard's own query has been answered.
        if mapping.level is not Level.WARN or (tried is None and ask is None):
            yield mapping
        kept_s = dashboard.bucket_kept_s(influxdb, settings, look)
    if tried is not None:
        yield tried
    now = time.time()
    if kept_s is not None or newest is not None:
        yield points.retention(kept_s, newest, now)
    if ask is not None:
        yield from _seen("field types", types.types(ask, settings, newest))
        yield from _seen("newest point", points.points(ask, settings, newest, now))


def _guarded(
    check_: str, made: Generator[Finding, None, Result]
) -> Generator[Finding, None, Result | None]:
    """The findings and what `made` returns; if the server goes away meanwhile, that is one more finding."""
    try:
        return (yield from made)
    except CommandError as error:
        yield fail(check_, error.problem, error.do or "try again")
        return None


def _seen(check_: str, made: Iterable[Finding]) -> Iterator[Finding]:
    """The findings; a warning if InfluxDB does not answer a question in time."""
    try:
        yield from made
    except CommandError as error:
        yield warn(check_, f"could not be looked at: {error.problem}", error.do or "try again")


def _refuse_unknown_properties(settings: Settings) -> None:
    """Have librdkafka read the properties: it alone knows them all.

    Raises:
        SettingsError: It refuses one.
    """
    try:
        # It begins to connect at once, and what it would log about that is told by the checks.
        quiet = logging.getLogger("tower.kafka.check")
        quiet.setLevel(logging.CRITICAL)
        Consumer(consumer_properties(settings) | {"logger": quiet}).close()
    except KafkaException as error:
        raise settings_error(error) from None


def _look(settings: Settings, file: Path | None, admin: str | None) -> str:
    """Authorization header of the token that sees most."""
    if file is not None:
        try:
            return token(Secret(file=file).reveal())
        except (OSError, ValueError) as error:
            raise SettingsError("--look-token-file", f"cannot be read: {error}") from None
    return token(admin or settings.influxdb_token.reveal())


def _workers(given: str | None) -> int:
    return int(given) if given and given.isdecimal() else DEFAULT_WORKERS
