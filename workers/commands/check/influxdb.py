"""Checks of the way to InfluxDB: server, clock, rights."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from workers.commands.check.result import PROVISION, Finding, fail, ok, warn
from workers.commands.clients.influxdb_api import Answer, InfluxdbApi, basic, token
from workers.commands.console import age
from workers.config.settings import Settings
from workers.errors import CommandError

#: Seconds two clocks may differ. `Date` has whole seconds, so less cannot be told.
SKEW_S = 5.0


def server(influxdb: InfluxdbApi, settings: Settings) -> Iterator[Finding]:
    """Whether it answers, which version it is, and what its clock says."""
    before = time.time()
    try:
        answer = influxdb.ask("GET", "/ping")
    except CommandError as error:
        yield fail("influxdb", error.problem, error.do)
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


def write(influxdb: InfluxdbApi, settings: Settings) -> Finding:
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
