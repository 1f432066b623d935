"""Checks of the dashboard's way to the points: mapping, v1 user, types, age."""

import time
from collections.abc import Iterator
from typing import Any

from workers.commands.finding import PROVISION, Finding, fail, ok, warn
from workers.commands.influxdb import Answer, Influxdb, basic, series
from workers.commands.show import age
from workers.settings import Settings

#: Seconds a point may lie in the future before it is worth a word.
FUTURE_S = 60.0


def mapping(influxdb: Influxdb, settings: Settings, look: str) -> Finding:
    """The DBRP mapping that the dashboard's query goes through.

    Args:
        influxdb: The server.
        settings: Names of bucket, database and retention policy.
        look: Authorization header of a token that may see it, or of the workers'.
    """
    check, database, policy = "dbrp mapping", settings.influxdb_database, settings.influxdb_retention_policy
    query = {"org": settings.influxdb_org, "db": database, "rp": policy}
    answer = influxdb.ask("GET", "/api/v2/dbrps", query, look)
    unseen = warn(
        check,
        f"{database}/{policy} cannot be seen with this token, which may only write",
        "set INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD to have the dashboard's query tried, or name a "
        "token that may read with --look-token-file",
    )
    if answer.status != 200 or not isinstance(answer.content, dict):
        return unseen
    found = answer.content.get("content") or []
    bucket = _bucket(influxdb, settings, look)
    if not found:
        if bucket is None:
            return unseen
        return fail(
            check, f"there is none for {database}/{policy}: the dashboard finds no database", PROVISION
        )
    if bucket is not None and found[0].get("bucketID") != bucket["id"]:
        return fail(
            check,
            f"{database}/{policy} leads to another bucket than {settings.influxdb_bucket}",
            f"map it to {settings.influxdb_bucket}, or set TOWER_INFLUXDB_BUCKET to the one it leads to",
        )
    return ok(check, f"{database}/{policy} leads to bucket {settings.influxdb_bucket}")


def retention(influxdb: Influxdb, settings: Settings, look: str) -> Iterator[Finding]:
    """How long the bucket keeps points, where that can be seen: older ones are refused."""
    bucket = _bucket(influxdb, settings, look)
    rules = (bucket or {}).get("retentionRules") or [{}]
    kept_s = int(rules[0].get("everySeconds", 0))
    if bucket is not None and kept_s:
        yield ok("retention", f"the bucket keeps {age(kept_s)}; older records become dead letters")
    elif bucket is not None:
        yield ok("retention", "the bucket keeps points for ever")


def _bucket(influxdb: Influxdb, settings: Settings, look: str) -> dict[str, Any] | None:
    query = {"org": settings.influxdb_org, "name": settings.influxdb_bucket}
    answer = influxdb.ask("GET", "/api/v2/buckets", query, look)
    found = answer.content.get("buckets") if isinstance(answer.content, dict) else None
    return dict(found[0]) if found else None


def dashboard(influxdb: Influxdb, settings: Settings, look: str) -> Iterator[Finding]:
    """The dashboard's own way: v1 user, database, and the types its fields have."""
    user, password = settings.influxdb_user, settings.influxdb_password.reveal()
    database, policy = settings.influxdb_database, settings.influxdb_retention_policy
    question = f"SHOW FIELD KEYS FROM {_quoted(settings.measurement)}"
    if not (user and password):
        answer = influxdb.influxql(database, policy, question, look)
        if answer.status == 200:
            yield types(answer, settings)
        return
    answer = influxdb.influxql(database, policy, question, basic(user, password))
    check = "dashboard query"
    if answer.status == 200:
        yield ok(check, f"user {user} may ask {database}/{policy}")
        yield types(answer, settings)
        last = f"SELECT * FROM {_quoted(settings.measurement)} ORDER BY time DESC LIMIT 1"  # noqa: S608 - quoted
        yield from newest(influxdb.influxql(database, policy, last, basic(user, password)), time.time())
    elif answer.status == 401:
        yield fail(
            check,
            f"the v1 user {user} or its password is unknown to InfluxDB",
            f"correct INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD, or {PROVISION}",
        )
    elif answer.status == 404:
        yield fail(
            check,
            f"user {user} finds no {database}: no DBRP mapping, or no right to read the bucket",
            PROVISION,
        )
    else:
        yield fail(check, f"InfluxDB answers {answer.status}: {answer.message}", "see InfluxDB's own log")


def newest(answer: Answer, now: float) -> Iterator[Finding]:
    """How old the newest point is, as the dashboard sees it."""
    rows = series(answer)
    if not rows:
        yield warn("newest point", "the measurement is empty", "see the records above, and `status`")
        return
    behind = now - int(rows[0]["time"]) / 1e9
    if behind < -FUTURE_S:
        yield warn(
            "newest point",
            f"lies {age(-behind)} in the future: a sender's clock is or was ahead",
            "set the senders' clocks (`timedatectl set-ntp true`); a dashboard up to now() leaves it out",
        )
    else:
        yield ok("newest point", f"{age(max(0.0, behind))} old")


def types(answer: Answer, settings: Settings) -> Finding:
    """Whether the fields Tower writes as floats are floats in the bucket already."""
    found: dict[str, set[str]] = {}
    for row in series(answer):
        found.setdefault(str(row.get("fieldKey")), set()).add(str(row.get("fieldType")))
    numbers = {name: found[name] for name in settings.number_fields if name in found}
    wrong = {name: kinds for name, kinds in numbers.items() if "float" not in kinds}
    mixed = {name: kinds for name, kinds in numbers.items() if "float" in kinds and len(kinds) > 1}
    if wrong:
        told = ", ".join(f"{name} is {'/'.join(sorted(kinds))}" for name, kinds in wrong.items())
        return fail(
            "field types",
            f"{told} in measurement {settings.measurement}, and Tower writes floats: InfluxDB would refuse "
            "its records (422)",
            "write to a bucket of its own (TOWER_INFLUXDB_BUCKET), or under another TOWER_MEASUREMENT",
        )
    if mixed:
        told = ", ".join(f"{name} is {'/'.join(sorted(kinds))}" for name, kinds in mixed.items())
        return warn(
            "field types",
            f"{told}, by time: records of the time when they were no floats would be refused (422)",
            "replay into a bucket of its own, if those times matter",
        )
    if not numbers:
        return ok("field types", f"measurement {settings.measurement} has none of Tower's fields yet")
    return ok("field types", f"{', '.join(numbers)}: float, as Tower writes them")


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
