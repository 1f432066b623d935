"""Checks of what the workers run under: settings, supervisor.conf, time budgets."""

import configparser
from pathlib import Path

from workers.commands.check.result import Finding, fail, ok, warn
from workers.config.settings import Settings
from workers.drain import LEAVE_S
from workers.errors import CommandError
from workers.kafka.properties import consumer_properties

#: Milliseconds after which the group takes a member that does not poll for dead: librdkafka's default.
MAX_POLL_MS = 300_000


def settings_valid(settings: Settings) -> Finding:
    """What the settings amount to; wrong ones never come so far."""
    where = (
        f"{settings.influxdb_database}/{settings.influxdb_retention_policy} (v1)"
        if settings.influxdb_api == "v1"
        else f"bucket {settings.influxdb_bucket} of {settings.influxdb_org}"
    )
    return ok("settings", f"topic {settings.topic} to {where}, group {settings.group}")


def drain(settings: Settings, conf: Path) -> Finding:
    """Whether supervisord waits longer for a worker than the worker needs to stop."""
    check, needed = "stopwaitsecs", settings.drain_s + LEAVE_S
    try:
        waits = stop_wait_s(conf)
    except CommandError as error:
        return warn(
            check, str(error), "run this where supervisor.conf is, or name it with --supervisor-conf"
        )
    text = (
        f"{waits:g} s in {conf}, TOWER_DRAIN_S {settings.drain_s:g} s and {LEAVE_S:g} s to leave the group"
    )
    if waits <= needed:
        return fail(
            check,
            f"{text}: supervisord would kill a worker that still drains",
            f"set stopwaitsecs above {needed:g}, or TOWER_DRAIN_S below {waits - LEAVE_S:g}",
        )
    return ok(check, text)


def stop_wait_s(conf: Path) -> float:
    """Seconds that supervisord gives the workers, from its configuration file.

    Raises:
        CommandError: It cannot be read, or has no [program:worker].
    """
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    try:
        parser.read_string(conf.read_text())
        return parser.getfloat("program:worker", "stopwaitsecs", fallback=10.0)
    except OSError as error:
        raise CommandError(f"{conf} cannot be read: {error.strerror}") from None
    except (configparser.Error, ValueError) as error:
        raise CommandError(f"{conf} cannot be understood: {type(error).__name__}") from None


def polling(settings: Settings) -> Finding:
    """Whether a write that hangs could cost a worker its place in the group."""
    longest = float(consumer_properties(settings).get("max.poll.interval.ms", MAX_POLL_MS)) / 1000
    # On a revocation the drain comes on top of a write that is under way.
    needed = settings.influxdb_timeout_s + settings.drain_s
    text = f"{longest:g} s between polls allowed, a write and a drain take {needed:g} s at most"
    if needed >= longest:
        return fail(
            "max.poll.interval.ms",
            text,
            f"set TOWER_KAFKA_MAX_POLL_INTERVAL_MS above {needed * 1000:.0f}, or TOWER_INFLUXDB_TIMEOUT_S "
            "lower",
        )
    return ok("max.poll.interval.ms", text)
