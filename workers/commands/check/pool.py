"""Checks of the settings, of supervisor.conf, and of time limits that depend on each other."""

from collections.abc import Iterator
from pathlib import Path

from workers.commands.check.result import CheckResult, fail, ok, warn
from workers.commands.clients.supervisor_conf import stop_wait_s
from workers.commands.pool.facts import SERVE_REMEDY, run_dir_problem, serve_problem
from workers.config.settings import Settings
from workers.drain import LEAVE_S
from workers.errors import CommandError
from workers.kafka.properties import consumer_properties
from workers.records.encoder import Encoder
from workers.records.native import KernelNotApplicableError, KernelUnavailableError, build_kernel

#: Milliseconds after which the group removes a member that does not poll: librdkafka's default.
MAX_POLL_MS = 300_000


def settings_valid(settings: Settings) -> CheckResult:
    """Summarise the settings; invalid ones end the command earlier."""
    where = (
        f"{settings.influxdb_database}/{settings.influxdb_retention_policy} (v1)"
        if settings.influxdb_api == "v1"
        else f"bucket {settings.influxdb_bucket} of {settings.influxdb_org}"
    )
    return ok("settings", f"topic {', '.join(settings.topics)} to {where}, group {settings.group}")


def kernel(settings: Settings) -> CheckResult:
    """Check that the C kernel can convert records; without it Python does, with more CPU."""
    by_python = []
    for route in settings.routes:
        if route.format == "text":
            by_python.append("Python converts legacy text")
            continue
        try:
            build_kernel(route, Encoder(route))
        except KernelNotApplicableError as error:
            by_python.append(str(error))
        except KernelUnavailableError as error:
            return warn("C kernel", f"not used: {error}")
    if len(by_python) == len(settings.routes):
        return ok("C kernel", f"not used: {'; '.join(by_python)}")
    return ok("C kernel", "; ".join(["converts common records", *by_python]))


def drain(settings: Settings, conf: Path) -> CheckResult:
    """Check that supervisord waits longer for a worker than the worker needs to stop."""
    check, needed = "stopwaitsecs", settings.drain_s + LEAVE_S
    try:
        wait_s = stop_wait_s(conf)
    except CommandError as error:
        return warn(
            check,
            str(error),
            "run this in the folder of supervisor.conf, or name the file with --supervisor-conf",
        )
    text = (
        f"{wait_s:g} s in {conf}, TOWER_DRAIN_S {settings.drain_s:g} s and {LEAVE_S:g} s to leave the group"
    )
    if wait_s <= needed:
        return fail(
            check,
            f"{text}: supervisord would kill a worker before it has finished",
            f"set stopwaitsecs above {needed:g}, or TOWER_DRAIN_S below {wait_s - LEAVE_S:g}",
        )
    return ok(check, text)


def files_and_page(settings: Settings) -> Iterator[CheckResult]:
    """Check that the workers can write their states, and that nothing else has the address of the page."""
    problem = run_dir_problem(settings.run_dir)
    if problem:
        yield fail(
            "TOWER_RUN_DIR",
            f"{settings.run_dir} cannot be written, because {problem}",
            "make room there, or make it writable",
        )
    problem = serve_problem(settings)
    if problem:
        yield warn("TOWER_SERVE_ADDRESS", f"{problem}, so the page cannot be served", SERVE_REMEDY)


def polling(settings: Settings) -> CheckResult:
    """Check that a slow write cannot make the group remove the worker."""
    limit_s = float(consumer_properties(settings).get("max.poll.interval.ms", MAX_POLL_MS)) / 1000
    # When a partition is revoked during a write, the drain follows the write.
    needed_s = settings.influxdb_timeout_s + settings.drain_s
    text = f"{limit_s:g} s are allowed between polls; a write and a drain take {needed_s:g} s at most"
    if needed_s >= limit_s:
        return fail(
            "max.poll.interval.ms",
            text,
            f"set TOWER_KAFKA_MAX_POLL_INTERVAL_MS above {needed_s * 1000:.0f}, or lower "
            "TOWER_INFLUXDB_TIMEOUT_S",
        )
    return ok("max.poll.interval.ms", text)
