"""Checks of the newest records: do they arrive, do they become points, is their time right."""

from collections import Counter
from collections.abc import Iterator

from workers.commands.check.converted_record import Record
from workers.commands.check.newest_records import Sample, of_newest
from workers.commands.check.result import CheckResult, fail, ok, warn
from workers.commands.console import age, utc_time
from workers.config.settings import Settings
from workers.log import printable
from workers.records.record_time import EARLIEST_NS, LATEST_NS
from workers.records.timestamps import SECOND

#: Seconds by which a sender's clock may be wrong without a warning.
SKEW_S = 60.0

#: Seconds after which a dashboard that shows the last hour shows nothing.
BLIND_S = 3_600.0

#: Time zones differ by multiples of 15 minutes, and by at most 14 hours from UTC.
ZONE_S = 900.0
FARTHEST_ZONE_S = 14 * 3_600.0

CLOCK = "set the clock of the sender (on the Pi: `timedatectl set-ntp true`)"


def check_records(sample: Sample, settings: Settings, now: float, watch_s: float) -> Iterator[CheckResult]:
    """Check the newest records and their senders' clocks.

    Args:
        sample: The newest records.
        settings: Names of the fields that hold a time, and how far it may be from Kafka's.
        now: Seconds since the epoch.
        watch_s: Seconds for which this command waited for a new record.
    """
    if not sample.records:
        yield warn(
            "records",
            "the topic is empty, or its newest offsets hold no records (as after an aborted transaction)",
            "start a sender (Fluentd on the Pi)",
        )
        return
    if sample.dead:
        yield dead_letters(sample)
    if not sample.points:
        return
    is_backfill = settings.route.time_window_s == 0
    groups = wrong_times(sample.points, now, is_backfill)
    newest = sample.points[0]
    if not any(newest in group for group in groups):
        yield freshness(sample.points, now, watch_s, is_backfill)
    for group in groups:
        yield wrong_time(group, sample.points, now)
    yield from own_times(sample.points, settings, now)


def dead_letters(sample: Sample) -> CheckResult:
    """Report how many of the newest records would become dead letters, and why."""
    counts = Counter(record.reason for record in sample.dead)
    reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.most_common())
    last = sample.dead[0]
    text = (
        f"{of_newest(sample.dead, list(sample.records))} would become dead letters ({reasons}), the last "
        f"of them {last.place}"
    )
    if last.detail:
        text += f" ({printable(last.detail)})"
    do = (
        "correct their sender, or the setting that the reason belongs to (docs/records.md); "
        "`tower dlq list` shows the dead letters that exist already"
    )
    return warn("bad records", text, do) if sample.points else fail("records", text, do)


def freshness(points: list[Record], now: float, watch_s: float, is_backfill: bool = False) -> CheckResult:
    """Report how old the newest record is. Its time is right as far as this command can check.

    Args:
        points: All points, the newest first.
        now: Seconds since the epoch.
        watch_s: Seconds for which this command waited for a new record.
        is_backfill: Whether records may be old on purpose (TOWER_TIME_WINDOW_S=0).
    """
    newest, by_kafka = points[0], [record for record in points if not record.is_by_own_time]
    came_s, whose = newest.point_s, "its own" if newest.is_by_own_time else "Kafka's"
    if is_backfill and newest.kafka_s is not None and is_plausible(newest.kafka_s):
        came_s, whose = newest.kafka_s, "Kafka's"
    old_s = max(0.0, now - came_s)
    text = f"the newest one is {age(old_s)} old by {whose} time"
    if by_kafka:
        text += f"; {of_newest(by_kafka, points)} get Kafka's time"
    if old_s <= SKEW_S:
        return ok("records", text)
    return warn(
        "records",
        f"none came in {watch_s:g} s; {text}",
        "if none is sent, start the sender (Fluentd on the Pi); if records are sent, its clock is behind",
    )


def ahead(record: Record, now: float) -> float:
    """Compute the seconds by which a point's time is ahead of the right time, negative if behind; else 0.

    An old record may have come when its time was right, so it is only compared with Kafka's timestamp.
    """
    if record.point_s - now > SKEW_S:
        return record.point_s - now
    right = now if record.fresh else record.kafka_s if is_plausible(record.kafka_s) else None
    if right is not None and right - record.point_s > SKEW_S:
        return record.point_s - right
    return 0.0


def wrong_times(points: list[Record], now: float, is_backfill: bool = False) -> list[list[Record]]:
    """Group the points whose time is wrong by the kind of error, the newest first.

    Args:
        points: All points, the newest first.
        now: Seconds since the epoch.
        is_backfill: Whether records may be old on purpose.
    """
    groups: dict[tuple[bool, bool], list[Record]] = {}
    for record in points:
        off = ahead(record, now)
        if off > 0 or (off and not is_backfill):
            groups.setdefault((off > 0, record.is_by_own_time), []).append(record)
    return list(groups.values())


def wrong_time(group: list[Record], points: list[Record], now: float) -> CheckResult:
    """Report a wrong time of some points.

    Args:
        group: Those with one kind of error, the newest first.
        points: All points, the newest first.
        now: Seconds since the epoch.
    """
    last = group[0]
    off = ahead(last, now)
    is_newest, is_blind = last is points[0], abs(off) > BLIND_S
    right = "this machine's clock" if off > 0 or last.fresh else "Kafka's timestamp"
    whose = "the records' own time is" if last.is_by_own_time else "Kafka's timestamps are"
    text = (
        f"{whose} wrong: {of_newest(group, points)}; in {last.place} it is {age(abs(off))} "
        f"{'ahead of' if off > 0 else 'behind'} {right}. InfluxDB gets the points, and a dashboard of the "
        f"last hour {'does not show them' if is_blind else 'shows them at the wrong place'}"
    )
    is_sure = is_newest and is_blind and (off > 0 or last.fresh)
    return (fail if is_sure else warn)(
        "records" if is_newest else "record times", text, remedy(last, off, now)
    )


def remedy(record: Record, off: float, now: float) -> str:
    """Advise what to do about a time that is `off` seconds ahead."""
    if not record.is_by_own_time:
        return (
            "set the clock of the producer (timestamps are in milliseconds), or let the brokers set the "
            "timestamps (message.timestamp.type=LogAppendTime on the topic)"
        )
    do = CLOCK
    # If the clock is wrong, Kafka's timestamp is wrong too, because the producer sets it.
    stamped_right = record.kafka_s is None or not record.fresh or abs(record.kafka_s - now) <= SKEW_S
    quarters = abs(off - round(off / ZONE_S) * ZONE_S)
    if stamped_right and ZONE_S - SKEW_S <= abs(off) <= FARTHEST_ZONE_S + SKEW_S and quarters <= SKEW_S:
        do = (
            "it is a local time without a zone: set TOWER_TIME_ZONE to the zone of the sender (such as "
            "Asia/Seoul), or send the zone (Fluentd: time_format %Y-%m-%dT%H:%M:%S%z)"
            if record.is_local
            else "set the clock and the zone of the sender: its time differs from the right one by a zone"
        )
    return f"{do}; or the records were delayed on their way" if off < 0 else do


def own_times(points: list[Record], settings: Settings, now: float) -> Iterator[CheckResult]:
    """Check the records whose own time is not the time of their points."""
    fields, window_s = ", ".join(settings.route.time_fields), settings.route.time_window_s
    unused = [record for record in points if record.own_s is not None and not record.is_by_own_time]
    unset = [record for record in unused if not is_plausible(record.own_s)]
    if unset:
        yield warn(
            "record times",
            f"the time in {of_newest(unset, points)} is before 2000 or after 2099, so Kafka's is used: "
            f"{compared(unset[0])}",
            f"{CLOCK}, or correct the unit of its times",
        )
    apart = [record for record in unused if is_plausible(record.own_s)]
    if apart:
        last = apart[0]
        sender_is_right = abs((last.own_s or 0.0) - now) < abs((last.kafka_s or 0.0) - now)
        yield warn(
            "record times",
            f"the time in {of_newest(apart, points)} is more than TOWER_TIME_WINDOW_S ({window_s} s) from "
            f"Kafka's, so Kafka's is used: {compared(last)}",
            (
                "correct the producer's timestamps (milliseconds since 1970), or set TOWER_TIME_WINDOW_S=0"
                if sender_is_right
                else "if these records are meant to be old, set TOWER_TIME_WINDOW_S=0 and read them again; "
                f"if not, {CLOCK}"
            ),
        )
    misstamped = [
        record for record in points if record.kafka_s is not None and not is_plausible(record.kafka_s)
    ]
    if misstamped:
        yield warn(
            "record times",
            f"Kafka's timestamp of {of_newest(misstamped, points)} is before 2000 or after 2099, so it is "
            f"not used if the record has a time: {misstamped[0].place} has {misstamped[0].kafka_s} s",
            "correct the producer's timestamps (milliseconds since 1970), or let the brokers set them "
            "(message.timestamp.type=LogAppendTime on the topic)",
        )
    unreadable = [record for record in points if record.unreadable]
    if unreadable:
        yield warn(
            "record times",
            f"the time ({fields}) of {of_newest(unreadable, points)} cannot be read, so Kafka's is used; "
            f"the last of them is {unreadable[0].place}",
            "send RFC 3339 or seconds since 1970, set TOWER_TIME_FORMAT to the form of this time, or name "
            "another field in TOWER_TIME_FIELDS",
        )


def is_plausible(seconds: float | None) -> bool:
    """Whether seconds since the epoch are a time that the workers believe."""
    return seconds is not None and EARLIEST_NS <= seconds * SECOND < LATEST_NS


def compared(record: Record) -> str:
    """Describe the record's own time and Kafka's."""
    kafka = "none" if record.kafka_s is None else utc_time(record.kafka_s)
    return f"{record.place} has {utc_time(record.own_s or 0.0)}, Kafka has {kafka}"
