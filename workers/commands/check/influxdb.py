"""Checks of InfluxDB: server, clock, write permission."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from workers.commands.check.result import PROVISION, CheckResult, fail, ok, warn
from workers.commands.clients.influxdb_api import ApiResponse, InfluxdbApi, basic, token
from workers.commands.console import age
from workers.config import tls
from workers.config.settings import Settings
from workers.errors import CommandError

#: Seconds that two clocks may differ. The header `Date` has whole seconds, so less cannot be measured.
SKEW_S = 5.0


def server(influxdb: InfluxdbApi, settings: Settings) -> Iterator[CheckResult]:
    """Check that it answers, its version, and its clock."""
    before = time.time()
    try:
        answer = influxdb.ask("GET", "/ping")
    except CommandError as error:
        yield fail("influxdb", error.problem, error.do)
        return
    now = (before + time.time()) / 2
    version = answer.headers.get("x-influxdb-version", "")
    if answer.status == 400 and "HTTPS" in answer.message:
        # The text of Go's net/http, with which InfluxDB and many proxies are built.
        yield fail(
            "influxdb",
            f"the server at {influxdb.url} accepts only TLS",
            "use https:// in TOWER_INFLUXDB_URL",
        )
    elif not version:
        yield warn(
            "influxdb",
            f"the server at {influxdb.url} answers {answer.status}, but not as InfluxDB does. If it takes "
            "writes and stores nothing, all records are lost",
            "correct TOWER_INFLUXDB_URL, unless there is a proxy in between",
        )
    elif settings.influxdb_api == "v2" and version.lstrip("v").startswith("1."):
        yield fail(
            "influxdb",
            f"version {version} at {influxdb.url} has no 2.x API",
            "set TOWER_INFLUXDB_API=v1, with TOWER_INFLUXDB_USER and TOWER_INFLUXDB_PASSWORD",
        )
    else:
        yield ok("influxdb", f"version {version} at {influxdb.url}")
    if tls.is_in_clear(settings.influxdb_url):
        yield warn("transport", f"{settings.influxdb_url} is not encrypted", tls.IN_CLEAR)
    yield from clock(answer.headers.get("date", ""), now)


def clock(date: str, now: float) -> Iterator[CheckResult]:
    """Compare InfluxDB's clock with this machine's: the dashboard's `now()` is InfluxDB's."""
    try:
        skew = parsedate_to_datetime(date).timestamp() + 0.5 - now
    except ValueError:
        return
    if abs(skew) > SKEW_S:
        direction = "ahead of" if skew > 0 else "behind"
        yield warn(
            "clock of influxdb",
            f"{age(abs(skew))} {direction} this machine's, so a dashboard asks for the wrong times",
            "synchronise both machines by NTP (`timedatectl set-ntp true`)",
        )
    else:
        yield ok("clock of influxdb", f"within {SKEW_S:g} s of this machine's")


def write(influxdb: InfluxdbApi, settings: Settings) -> CheckResult:
    """Check that the workers' credentials may write, without writing a point."""
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
    return interpret_write(answer, who, where, v1=settings.influxdb_api == "v1")


def interpret_write(answer: ApiResponse, who: str, where: str, *, v1: bool) -> CheckResult:
    """Interpret the answer to a write of zero lines."""
    if answer.status == 204:
        return ok("write", f"{who} may write to {where}")
    reply = f"{answer.status}: {answer.message}"
    if answer.status == 401:
        names = "TOWER_INFLUXDB_USER and TOWER_INFLUXDB_PASSWORD" if v1 else "TOWER_INFLUXDB_TOKEN"
        return fail(
            "write",
            f"{who} is unknown to InfluxDB ({reply})",
            f"correct {names}; a v1 user is not a 2.x token. `tower provision` "
            "with an admin token creates either",
        )
    if answer.status == 403:
        return fail(
            "write",
            f"{who} may not write to {where} ({reply})",
            "give it write permission, or another token",
        )
    if answer.status == 404:
        return fail("write", f"{where} is missing ({reply})", f"correct the setting; or {PROVISION}")
    return fail("write", f"InfluxDB answers {reply}", "see InfluxDB's own log")
