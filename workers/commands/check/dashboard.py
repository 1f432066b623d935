"""Checks of the dashboard's access to the points: DBRP mapping and v1 user."""

from functools import partial
from typing import Any

from workers.commands.check.dashboard_points import Query
from workers.commands.check.result import PROVISION, CheckResult, fail, ok, warn
from workers.commands.clients.influxdb_api import InfluxdbApi, basic, quoted
from workers.config.settings import Settings

#: What to do if a token that may only write hides something.
READ = (
    "set INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD to test the dashboard's query, or name a token that may "
    "read with --look-token-file"
)


def mapping(influxdb: InfluxdbApi, settings: Settings, authorization: str) -> CheckResult:
    """Check the DBRP mapping that the dashboard's query needs.

    Args:
        influxdb: The server.
        settings: Names of bucket, database and retention policy.
        authorization: Authorization header of a token that may read it, or of the workers' token.
    """
    check, database, policy = "dbrp mapping", settings.influxdb_database, settings.influxdb_retention_policy
    query = {"org": settings.influxdb_org, "db": database, "rp": policy}
    answer = influxdb.ask("GET", "/api/v2/dbrps", query, authorization)
    unreadable = warn(
        check,
        f"{database}/{policy} cannot be checked with this token, which may only write",
        READ,
    )
    if answer.status != 200 or not isinstance(answer.content, dict):
        return unreadable
    mappings = answer.content.get("content") or []
    bucket = _bucket(influxdb, settings, authorization)
    if not mappings:
        if bucket is None:
            return unreadable
        return fail(
            check, f"there is none for {database}/{policy}, so the dashboard finds no database", PROVISION
        )
    if bucket is not None and mappings[0].get("bucketID") != bucket["id"]:
        return fail(
            check,
            f"{database}/{policy} is mapped to another bucket than {settings.influxdb_bucket}",
            f"map it to {settings.influxdb_bucket}, or set TOWER_INFLUXDB_BUCKET to the mapped one",
        )
    return ok(check, f"{database}/{policy} is mapped to bucket {settings.influxdb_bucket}")


def bucket_kept_s(influxdb: InfluxdbApi, settings: Settings, authorization: str) -> int | None:
    """Return the seconds for which the bucket keeps points, 0 for ever; None if that cannot be read."""
    bucket = _bucket(influxdb, settings, authorization)
    if bucket is None:
        return None
    rules = bucket.get("retentionRules") or [{}]
    return int(rules[0].get("everySeconds", 0))


def _bucket(influxdb: InfluxdbApi, settings: Settings, authorization: str) -> dict[str, Any] | None:
    query = {"org": settings.influxdb_org, "name": settings.influxdb_bucket}
    answer = influxdb.ask("GET", "/api/v2/buckets", query, authorization)
    buckets = answer.content.get("buckets") if isinstance(answer.content, dict) else None
    return dict(buckets[0]) if buckets else None


def access(
    influxdb: InfluxdbApi, settings: Settings, authorization: str
) -> tuple[CheckResult | None, Query | None]:
    """Test the dashboard's query; returns the result, and a function that queries the same way if it works.

    Without a v1 user the query is sent with the token that may read, and there is no result.
    """
    user, password = settings.influxdb_user, settings.influxdb_password.reveal()
    database, policy = settings.influxdb_database, settings.influxdb_retention_policy
    header = basic(user, password) if user and password else authorization
    query = partial(influxdb.influxql, database, policy, authorization=header)
    # InfluxDB answers SHOW MEASUREMENTS even if there is no such database.
    answer = query(f"SHOW FIELD KEYS FROM {quoted(settings.route.measurement)} LIMIT 1")
    check = "dashboard query"
    if not (user and password):
        return None, query if answer.status == 200 else None
    if answer.status == 200:
        return ok(check, f"user {user} may query {database}/{policy}"), query
    if answer.status == 401:
        result = fail(
            check,
            f"the v1 user {user} or its password is unknown to InfluxDB",
            f"correct INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD; or {PROVISION}",
        )
    elif answer.status == 404:
        result = fail(
            check,
            f"user {user} finds no {database}: no DBRP mapping, or no right to read the bucket",
            PROVISION,
        )
    else:
        result = fail(
            check, f"InfluxDB answers {answer.status}: {answer.message}", "see InfluxDB's own log"
        )
    return result, None
