"""Checks of the way to InfluxDB: server, rights, mapping, types."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from workers.commands.finding import Finding, fail, ok, warn
from workers.commands.influxdb import Answer, Influxdb, basic, series, token
from workers.commands.show import age
from workers.errors import CommandError
from workers.settings import Settings

#: Seconds two clocks may differ. `Date` has whole seconds, so less cannot be told.
SKEW_S = 5.0

PROVISION = "`python -m workers provision` with an admin token makes it"


def server(influxdb: Influxdb, settings: Settings) -> Iterator[Finding]:
    """Whether it answers, which version it is, and what its clock says."""
    before = time.time()
    try:
        answer = influxdb.ask("GET", "/ping")
    except CommandError as error:
        text, _, do = str(error).rpartition("; ")
        yield fail("influxdb", text, do)
        return
    now = (before + time.time()) / 2
    version = answer.headers.get("x-influxdb-version", "")
    if not version:
        yield warn(
            "influxdb",
            f"something answers {answer.status} at {influxdb.url} and does not say that it is InfluxDB",
            "correct TOWER_INFLUXDB_URL, unless a proxy stands before it",
        )
    elif settings.influxdb_api == "v2" and version.lstrip("v").startswith("1."):
        yield fail(
            "influxdb",
            f"version {version} at {influxdb.url} has no 2.x API",
            "set TOWER_INFLUXDB_API=v1, with TOWER_INFLUXDB_USER and _PASSWORD",
        )
    else:
        yield ok("influxdb", f"version {version} at {influxdb.url}")
    yield from clock(answer.headers.get("date", ""), now)


def clock(date: str, now: float) -> Iterator[Finding]:
    """InfluxDB's clock against this one's: the dashboard's `now()` is InfluxDB's."""
    try:
        skew = parsedate_to_datetime(date).timestamp() + 0.5 - now
    except ValueError:
        return
    if abs(skew) > SKEW_S:
        side = "ahead of" if skew > 0 else "behind"
        yield warn(
            "clock of influxdb",
            f"{age(abs(skew))} {side} this machine's: what a dashboard asks for is off by that",
            "let both machines keep time by NTP (`timedatectl set-ntp true`)",
        )
    else:
        yield ok("clock of influxdb", f"within {SKEW_S:g} s of this machine's")


def write(influxdb: Influxdb, settings: Settings) -> Finding:
    """Whether the workers' credentials may write, found out without writing a point."""
    if settings.influxdb_api == "v1":
        where = f"{settings.influxdb_database}/{settings.influxdb_retention_policy}"
        header = basic(settings.influxdb_user, settings.influxdb_password.reveal())
        answer = influxdb.may_write_v1(
            settings.influxdb_database, settings.influxdb_retention_policy, header
        )
        who = f"user {settings.influxdb_user}"
    else:
        where = f"bucket {settings.influxdb_bucket} of {settings.influxdb_org}"
        header = token(settings.influxdb_token.reveal())
        answer = influxdb.may_write(settings.influxdb_org, settings.influxdb_bucket, header)
        who = "the token"
    return judge(answer, who, where, v1=settings.influxdb_api == "v1")


def judge(answer: Answer, who: str, where: str, *, v1: bool) -> Finding:
    """What the answer to a write of nothing means."""
    if answer.status == 204:
        return ok("write", f"{who} may write to {where}")
    said = f"{answer.status}: {answer.message}"
    if answer.status == 401:
        options = "TOWER_INFLUXDB_USER and _PASSWORD" if v1 else "TOWER_INFLUXDB_TOKEN"
        return fail(
            "write",
            f"{who} is unknown to InfluxDB ({said})",
            f"correct {options}; a v1 user is no 2.x token, and the other way round. "
            "`python -m workers provision` with an admin token makes either",
        )
    if answer.status == 403:
        return fail(
            "write",
            f"{who} may not write to {where} ({said})",
            "give it write permission, or another token",
        )
    if answer.status == 404:
        return fail("write", f"{where} is missing ({said})", f"correct the setting, or {PROVISION}")
    return fail("write", f"InfluxDB answers {said}", "see InfluxDB's own log")


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
