"""`tower check`: tests everything a record needs on its way, from this machine."""

import json
import logging
import os
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click
from confluent_kafka import Consumer, KafkaException

from workers.commands.check import (
    dashboard,
    dashboard_points,
    field_types,
    fields,
    kafka,
    newest_records,
    pool,
    records,
    topics,
    type_conflicts,
)
from workers.commands.check import influxdb as check_influxdb
from workers.commands.check.newest_records import Sample
from workers.commands.check.result import CheckResult, Level, as_object, fail, summary, warn
from workers.commands.clients.influxdb_api import InfluxdbApi, token
from workers.commands.clients.worker_states import read_states, running_workers
from workers.config import tls
from workers.config.secret import Secret
from workers.config.settings import Settings, load
from workers.errors import CommandError, SettingsError
from workers.exit_codes import FAILED
from workers.expected_workers import expected_workers
from workers.kafka.properties import consumer_properties, creation_error

Result = TypeVar("Result")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option(
    "--supervisor-conf",
    type=click.Path(path_type=Path),
    default="supervisor.conf",
    show_default=True,
    help="supervisord's configuration of the pool.",
)
@click.option(
    "--watch",
    type=click.FloatRange(0, 60),
    default=3.0,
    show_default=True,
    help="Seconds to wait for a new record. Only a new record shows whether its sender's clock is right.",
)
@click.option(
    "--look-token-file",
    type=click.Path(path_type=Path),
    help="File with a token that may read mapping, retention and field types; the workers' token may only "
    "write.  [default: the token in INFLUXDB_ADMIN_TOKEN]",
)
def check(*, as_json: bool, supervisor_conf: Path, watch: float, look_token_file: Path | None) -> None:
    """Test Kafka, InfluxDB and the newest records, and say what to do next.

    Checks settings, the pool's folder and page, brokers and the addresses they advertise, topics, group,
    the newest records (whether they become points, fill the dashboard's fields and have the right time),
    InfluxDB, rights, mapping, retention, field types, clocks, and the points that the dashboard shows. It
    changes nothing and writes no point.

    Exit codes: 0 no check fails, 1 a check fails, 78 a setting has to be changed. A warning (warn) does not
    change the exit code.
    """
    settings = load(os.environ)
    _refuse_unknown_properties(settings)
    authorization = _authorization(settings, look_token_file, os.environ.get("INFLUXDB_ADMIN_TOKEN"))
    workers = expected_workers(os.environ.get("TOWER_WORKERS"))
    results = []
    for result in run_checks(settings, workers, supervisor_conf, authorization, watch):
        results.append(result)
        if not as_json:
            click.echo(str(result))
    if as_json:
        click.echo(json.dumps(as_object(results), indent=2))
    else:
        click.echo(summary(results))
    if any(result.level is Level.FAIL for result in results):
        raise click.exceptions.Exit(FAILED)


def run_checks(
    settings: Settings, workers: int, supervisor_conf: Path, authorization: str, watch_s: float
) -> Iterator[CheckResult]:
    """Run all checks. If one fails, only the checks that depend on it are skipped.

    Args:
        settings: The workers' settings.
        workers: TOWER_WORKERS.
        supervisor_conf: supervisord's configuration of the pool.
        authorization: Authorization header of a token that may read, or of the workers' token.
        watch_s: Seconds to wait for a new record.
    """
    yield pool.settings_valid(settings)
    yield pool.kernel(settings)
    yield pool.drain(settings, supervisor_conf)
    yield pool.polling(settings)
    yield from pool.files_and_page(settings)
    newest = yield from _guarded("kafka", _kafka(settings, workers, watch_s))
    yield from _guarded("influxdb", _influxdb_of_all(settings, authorization, newest))
    yield from type_conflicts.conflicts(read_states(settings.run_dir, time.time()))


def _kafka(
    settings: Settings, workers: int, watch_s: float
) -> Generator[CheckResult, None, dict[str, Sample] | None]:
    """Check Kafka; returns the newest records by topic, None if they could not be read."""
    bootstrap = kafka.bootstrap(settings)
    yield bootstrap
    if bootstrap.level is Level.FAIL:
        return None
    kafka_admin = kafka.connect(settings)
    if isinstance(kafka_admin, CheckResult):
        yield kafka_admin
        return None
    listeners = list(kafka.listeners(settings, kafka_admin.brokers()))
    yield from listeners
    if [result.level for result in listeners].count(Level.FAIL) == len(kafka_admin.brokers()):
        return None
    names = kafka_admin.matching_topics(settings)
    if not names:
        yield warn(
            "topics", "no topic matches the patterns of TOWER_ROUTES yet", "create one, or wait for it"
        )
    for name in names:
        yield from topics.topic(kafka_admin, settings.for_topic(name), workers)
    readable = [name for name in names if kafka_admin.partitions(name)]
    if not readable:
        return None
    yield from topics.dead_letters(kafka_admin, settings, readable)
    newest = {}
    for name in readable:
        own = settings.for_topic(name)
        running = running_workers(settings.run_dir, time.time())
        results = [kafka.group(kafka_admin, own, running, names)]
        newest[name] = newest_records.read(kafka_admin, own, watch_s)
        results += records.check_records(newest[name], own, time.time(), watch_s)
        results += fields.check_fields(newest[name], own)
        yield from _of_topic(name if settings.has_several_topics else "", results)
    return newest


def _of_topic(topic: str, results: Iterable[CheckResult]) -> Iterator[CheckResult]:
    """Pass the results on, with the topic's name if it is not empty."""
    for result in results:
        yield replace(result, text=f"{topic}: {result.text}") if topic else result


def _influxdb_of_all(
    settings: Settings, authorization: str, newest: Mapping[str, Sample] | None
) -> Generator[CheckResult, None, None]:
    """Check InfluxDB for each topic."""
    if not settings.has_several_topics:
        topic = settings.topic
        yield from _influxdb(settings.for_topic(topic), authorization, (newest or {}).get(topic))
        return
    for topic, sample in (newest or {}).items():
        yield from _of_topic(topic, _influxdb(settings.for_topic(topic), authorization, sample))


def _influxdb(
    settings: Settings, authorization: str, newest: Sample | None
) -> Generator[CheckResult, None, None]:
    """Check InfluxDB, and the dashboard's access to it."""
    influxdb = InfluxdbApi(settings.influxdb_url, tls=tls.context(settings))
    server = list(check_influxdb.server(influxdb, settings))
    yield from server
    if server[0].level is Level.FAIL:
        return
    may_write = check_influxdb.write(influxdb, settings)
    yield may_write
    access, query = dashboard.access(influxdb, settings, authorization)
    kept_s = None
    if settings.influxdb_api == "v2" and may_write.level is Level.OK:
        mapping = dashboard.mapping(influxdb, settings, authorization)
        # If the dashboard's query works, it does not matter that the mapping cannot be read.
        if mapping.level is not Level.WARN or (access is None and query is None):
            yield mapping
        kept_s = dashboard.bucket_kept_s(influxdb, settings, authorization)
    if access is not None:
        yield access
    now = time.time()
    if kept_s is not None or newest is not None:
        yield dashboard_points.retention(kept_s, newest, now)
    if query is not None:
        yield from _warn_on_error("field types", field_types.types(query, settings, newest))
        yield from _warn_on_error("newest point", dashboard_points.points(query, settings, newest, now))
    elif access is None:
        yield warn(
            "points",
            "types of fields and newest points cannot be looked at: this token may only write",
            dashboard.READ,
        )


def _guarded(
    check_: str, results: Generator[CheckResult, None, Result]
) -> Generator[CheckResult, None, Result | None]:
    """Pass the results on; if the server stops answering, that is one more result."""
    try:
        return (yield from results)
    except CommandError as error:
        yield fail(check_, error.problem, error.do or "try again")
        return None


def _warn_on_error(check_: str, results: Iterable[CheckResult]) -> Iterator[CheckResult]:
    """Pass the results on; add a warning if InfluxDB does not answer a query in time."""
    try:
        yield from results
    except CommandError as error:
        yield warn(check_, f"could not be checked: {error.problem}", error.do or "try again")


def _refuse_unknown_properties(settings: Settings) -> None:
    """Let librdkafka read the properties, because only librdkafka knows all of them.

    Raises:
        SettingsError: It rejects one.
    """
    try:
        # It connects at once. The checks report what it would log about that.
        quiet = logging.getLogger("tower.kafka.check")
        quiet.setLevel(logging.CRITICAL)
        Consumer(consumer_properties(settings) | {"logger": quiet}).close()
    except KafkaException as error:
        raise creation_error(error) from None


def _authorization(settings: Settings, file: Path | None, admin: str | None) -> str:
    """Return the authorization header of the token with the most read permissions."""
    if file is not None:
        try:
            return token(Secret(file=file).reveal())
        except (OSError, ValueError) as error:
            raise SettingsError("--look-token-file", f"cannot be read: {error}") from None
    return token(admin or settings.influxdb_token.reveal())
