"""Checks of the dashboard's way to the points: mapping and v1 user."""

from functools import partial
from typing import Any

from workers.commands.check.points import Ask
from workers.commands.check.result import PROVISION, Finding, fail, ok, warn
from workers.commands.clients.influxdb_api import InfluxdbApi, basic, quoted
from workers.config.settings import Settings


def mapping(influxdb: InfluxdbApi, settings: Settings, look: str) -> Finding:
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


def bucket_kept_s(influxdb: InfluxdbApi, settings: Settings, look: str) -> int | None:
    """Seconds for which the bucket keeps points, 0 for ever; None if it cannot be seen."""
    bucket = _bucket(influxdb, settings, look)
    if bucket is None:
        return None
    rules = bucket.get("retentionRules") or [{}]
    return int(rules[0].get("everySeconds", 0))


def _bucket(influxdb: InfluxdbApi, settings: Settings, look: str) -> dict[str, Any] | None:
    query = {"org": settings.influxdb_org, "name": settings.influxdb_bucket}
    answer = influxdb.ask("GET", "/api/v2/buckets", query, look)
    found = answer.content.get("buckets") if isinstance(answer.content, dict) else None
    return dict(found[0]) if found else None


def access(influxdb: InfluxdbApi, settings: Settings, look: str) -> tuple[Finding | None, Ask | None]:
    """The dashboard's own way, tried; and how to ask by it, if it works.

    Without a v1 user it is tried with the token that may read, and there is no finding.
    """
    user, password = settings.influxdb_user, settings.influxdb_password.reveal()
    database, policy = settings.influxdb_database, settings.influxdb_retention_policy
    header = basic(user, password) if user and password else look
    ask = partial(influxdb.influxql, database, policy, authorization=header)
    # SHOW MEASUREMENTS and the like are answered for a database that is not there, too.
    answer = ask(f"SHOW FIELD KEYS FROM {quoted(settings.measurement)} LIMIT 1")
    check = "dashboard query"
    if not (user and password):
        return None, ask if answer.status == 200 else None
    if answer.status == 200:
        return ok(check, f"user {user} may ask {database}/{policy}"), ask
    if answer.status == 401:
        finding = fail(
            check,
            f"the v1 user {user} or its password is unknown to InfluxDB",
            f"correct INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD, or {PROVISION}",
        )
    elif answer.status == 404:
        finding = fail(
            check,
            f"user {user} finds no {database}: no DBRP mapping, or no right to read the bucket",
            PROVISION,
        )
    else:
        finding = fail(
            check, f"InfluxDB answers {answer.status}: {answer.message}", "see InfluxDB's own log"
        )
    return finding, None
