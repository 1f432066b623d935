"""Checks of the points that the dashboard shows: do they exist, and at which time."""

from collections.abc import Callable, Iterator
from typing import Any

from workers.commands.check.converted_record import Record
from workers.commands.check.newest_records import Sample, of_newest
from workers.commands.check.records import BLIND_S
from workers.commands.check.result import CheckResult, ok, warn
from workers.commands.clients.influxdb_api import ApiResponse, quoted, result_rows
from workers.commands.console import age, listed, name_shown
from workers.config.settings import Settings
from workers.errors import CommandError

#: Seconds by which a point may be in the future without a warning.
FUTURE_S = 60.0

#: Seconds by which the newest point may be older than the newest record; a healthy pool needs under one.
BEHIND_S = 30.0

#: Most fields that are queried one by one.
FIELDS = 50

#: Most other measurements that are listed.
MEASUREMENTS = 6

ADVICE = "name the fields that your dashboard asks for in TOWER_NUMBER_FIELDS"

#: Where the reason may be found.
SEE_RECORDS = "see the lines `records`, `record fields` and `record times`"

#: Shortest retention of a bucket in InfluxDB 2, in seconds.
SHORTEST_S = 3_600

#: Sends an InfluxQL query as the dashboard does.
Query = Callable[[str], ApiResponse]


def points(query: Query, settings: Settings, sample: Sample | None, now: float) -> Iterator[CheckResult]:
    """Check the newest point, and the dashboard's fields in the last hour.

    It queries the dashboard's own fields only: with thousands of fields, a query for all of them would take
    InfluxDB minutes.

    Args:
        query: Queries InfluxDB.
        settings: The measurement, and the fields that the dashboard asks for.
        sample: The newest records; None if they could not be read.
        now: Seconds since the epoch.

    Raises:
        CommandError: InfluxDB does not answer in time.
    """
    fields = settings.route.number_fields[:FIELDS]
    if not fields:
        yield warn("newest point", "not checked: TOWER_NUMBER_FIELDS names no field", ADVICE)
        return
    columns, table = ", ".join(map(quoted, fields)), quoted(settings.route.measurement)
    hour = "time > now() - 1h AND time <= now() ORDER BY time DESC LIMIT 1"
    statements = [f"SELECT {quoted(field)} FROM {table} WHERE {hour}" for field in fields]  # noqa: S608 - quoted
    future = (
        f"SELECT {columns} FROM {table} WHERE time > now() + {FUTURE_S:.0f}s ORDER BY time DESC LIMIT 1"  # noqa: S608
    )
    ahead = _newest_s(query_rows(query, future))
    rows = query_rows(query, "; ".join(statements))
    if ahead is not None:
        yield warn(
            "newest point",
            f"it is {age(ahead - now)} in the future, and a dashboard up to now() does not show it: a "
            "sender's clock is or was ahead, or its times have no zone",
            "set the senders' clocks (`timedatectl set-ntp true`), and send times with a zone",
        )
    if rows:
        if ahead is None:
            yield newest_point(max(int(row["time"]) for row in rows) / 1e9, settings, sample, now)
        shown = {name for row in rows for name, value in row.items() if value is not None}
        yield dashboard_fields(shown, fields, sample, now)
        return
    everything = f"SELECT {columns} FROM {table} ORDER BY time DESC LIMIT 1"  # noqa: S608 - quoted
    newest = _newest_s(query_rows(query, everything)) if ahead is None else None
    yield from explain_no_points(query, settings, newest, sample, now)


def newest_point(newest_s: float, settings: Settings, sample: Sample | None, now: float) -> CheckResult:
    """Check how old the newest point is, and whether newer records are not stored.

    Args:
        newest_s: Its time, in seconds since the epoch.
        settings: The measurement.
        sample: The newest records.
        now: Seconds since the epoch.
    """
    text = f"{age(max(0.0, now - newest_s))} old, in measurement {settings.route.measurement}"
    times_s = [
        record.point_s
        for record in (sample.points if sample else [])
        if record.point_s <= now and not record.types.keys().isdisjoint(settings.route.number_fields)
    ]
    if times_s and max(times_s) - newest_s > BEHIND_S:
        return warn(
            "newest point",
            f"{text}; the newest record is {age(now - max(times_s))} old and not stored",
            "start the pool, or see `tower status` for the reason",
        )
    return ok("newest point", text)


def dashboard_fields(
    shown: set[str], fields: tuple[str, ...], sample: Sample | None, now: float
) -> CheckResult:
    """Check which of the dashboard's fields have a point in the last hour."""
    check, empty = "dashboard fields", [name for name in fields if name not in shown]
    if not empty:
        return ok(check, f"all {len(fields)} that were asked for have points in the last hour")
    text = f"no point in the last hour has {listed(empty)}"
    recent = recent_records(sample, now)
    sent = {name for record in recent for name in record.types}
    lost = [name for name in empty if name in sent]
    if lost:
        return warn(
            check,
            f"{text}, although the newest records fill {listed(lost)}",
            f"{SEE_RECORDS}, `tower status` for the lag, "
            "and `tower dlq list --reason refused` for what InfluxDB rejected",
        )
    why = "the newest records do not fill them" if recent else "no records came"
    return ok(check, f"{text}, and {why}")


def explain_no_points(
    query: Query, settings: Settings, newest_s: float | None, sample: Sample | None, now: float
) -> Iterator[CheckResult]:
    """Explain why the dashboard's last hour is empty."""
    check, name = "newest point", settings.route.measurement
    if newest_s is not None:
        although = " although records come" if recent_records(sample, now) else ""
        yield warn(
            check,
            f"{age(now - newest_s)} old{although}: a dashboard of the last hour shows nothing",
            f"{SEE_RECORDS}, and `tower status`",
        )
        return
    others = [str(row.get("name")) for row in query_rows(query, f"SHOW MEASUREMENTS LIMIT {MEASUREMENTS}")]
    if name in others:
        yield warn(
            check,
            f"measurement {name} has none of the fields that the dashboard asks for",
            "see the line `record fields`",
        )
    elif others:
        yield warn(
            check,
            f"there is no measurement {name}; there are {listed(map(name_shown, others))}",
            f"set TOWER_MEASUREMENT to the one that the dashboard asks for; if it is, {SEE_RECORDS}, and "
            "`tower status`",
        )
    else:
        yield warn(check, "there are no points", f"{SEE_RECORDS}, and `tower status`")


def recent_records(sample: Sample | None, now: float) -> list[Record]:
    """Select the records that came in the last hour, by Kafka's time, and become points."""
    points = sample.points if sample else []
    return [record for record in points if record.fresh or abs(now - (record.kafka_s or 0.0)) < BLIND_S]


def retention(kept_s: int | None, sample: Sample | None, now: float) -> CheckResult:
    """Check that the bucket keeps points as old as the newest records: InfluxDB rejects older ones.

    Args:
        kept_s: Seconds for which the bucket keeps points, 0 for ever, None if that is unknown. The v1
            endpoint does not show it: InfluxDB 2 always answers "for ever" there.
        sample: The newest records.
        now: Seconds since the epoch.
    """
    check, points = "retention", sample.points if sample else []
    if kept_s == 0:
        return ok(check, "the bucket keeps points for ever")
    old = [record for record in points if now - record.point_s > (kept_s or SHORTEST_S)]
    share = of_newest(old, points)
    if kept_s is None and old:
        return warn(
            check,
            f"how long the bucket keeps points cannot be seen with this token, and {share} are over an "
            f"hour old, the last of them {old[0].place}: InfluxDB may reject them (422)",
            "name a token that may read it with --look-token-file",
        )
    if kept_s is None:
        return ok(check, "no record is older than an hour, which every bucket keeps")
    if old:
        return warn(
            check,
            f"the bucket keeps {age(kept_s)}, and {share} are older, the last of them {old[0].place}: "
            "InfluxDB rejects them (422), and they become dead letters",
            "correct the senders' clocks, or keep points longer (`influx bucket update --retention`)",
        )
    return ok(check, f"the bucket keeps {age(kept_s)}; older records become dead letters")


def query_rows(query: Query, statement: str) -> list[dict[str, Any]]:
    """Send a query and return its rows.

    Raises:
        CommandError: InfluxDB does not answer, or answers with an error.
    """
    answer = query(statement)
    if answer.status != 200 or not isinstance(answer.content, dict):
        raise CommandError(f"InfluxDB answers {answer.status}: {answer.message}", "see InfluxDB's own log")
    return result_rows(answer)


def _newest_s(rows: list[dict[str, Any]]) -> float | None:
    return int(rows[0]["time"]) / 1e9 if rows else None
