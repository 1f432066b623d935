"""Checks of the records themselves: do they come, become points, and tell the right time."""

import time
from dataclasses import dataclass

from workers.batch import Batch
from workers.commands.cluster import Cluster
from workers.commands.finding import Finding, fail, ok, warn
from workers.commands.reader import Reader
from workers.commands.show import age, seen
from workers.encoder import Encoder
from workers.settings import Settings
from workers.translator import Translator

#: Seconds a sender's clock may be off before it is worth a word.
SKEW_S = 60.0

#: Seconds after which a dashboard that shows the last hour shows nothing.
BLIND_S = 3_600.0


@dataclass(frozen=True)
class Newest:
    """The newest record of the topic.

    Args:
        point_s: Time of its point in seconds since the epoch, None where it would be a dead letter.
        reason: Why it would be one.
        fresh: Whether it came during the check, so that its age is its sender's clock alone.
    """

    point_s: float | None
    reason: str
    fresh: bool


def newest(cluster: Cluster, settings: Settings, watch_s: float) -> Newest | None:
    """The record that came last; None where there is none.

    Args:
        cluster: Kafka.
        settings: The topic, and how its records become points.
        watch_s: Seconds to wait for a new record.
    """
    before = cluster.ends(settings.topic)
    after, end = before, time.monotonic() + watch_s
    with seen("a new record", watch_s):
        while after == before and time.monotonic() < end:
            time.sleep(0.25)
            after = cluster.ends(settings.topic)
    grown = [number for number in after if after[number] > before.get(number, 0)]
    starts = cluster.starts(settings.topic)
    batches = []
    with Reader(settings, f"{settings.group}-check") as reader:
        for number in grown or [each for each in after if after[each] > starts[each]]:
            messages = list(reader.read(settings.topic, number, after[number] - 1, after[number]))
            batch = Batch()
            Translator(settings, Encoder(settings)).translate(messages, batch)
            if messages:
                batches.append((messages[-1].timestamp()[1], batch))
    if not batches:
        return None
    _, last = max(batches, key=lambda each: each[0])
    if not last.lines:
        return Newest(None, f"{last.dead_letters[0].reason}: {last.dead_letters[0].detail}", bool(grown))
    return Newest(int(last.lines[-1].rpartition(b" ")[2]) / 1e9, "", bool(grown))


def judge(found: Newest | None, now: float, watch_s: float) -> Finding:
    """What the newest record says about its sender and the sender's clock.

    Args:
        found: From `newest`.
        now: Seconds since the epoch.
        watch_s: Seconds that a new record was waited for.
    """
    check = "records"
    if found is None:
        return warn(check, "the topic is empty", "start a sender (Fluentd on the Pi)")
    if found.point_s is None:
        return warn(
            check,
            f"the newest one would become a dead letter ({found.reason})",
            "correct its sender; see `python -m workers dlq list`",
        )
    ahead = found.point_s - now
    off = f"{age(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= SKEW_S:
        return ok(check, f"the newest one is {age(max(0.0, -ahead))} old by its own time")
    if ahead > 0 or found.fresh:
        level = fail if abs(ahead) > BLIND_S else warn
        return level(
            check,
            f"the sender's clock is {off}: InfluxDB gets its points, and a dashboard of the last hour "
            f"{'shows none of them' if abs(ahead) > BLIND_S else 'shows them at the wrong place'}",
            "set the clock of the sender (on the Pi: `timedatectl set-ntp true`)",
        )
    return warn(
        check,
        f"none came in {watch_s:g} s; the newest one is {age(-ahead)} old by its own time",
        "if they should, start the sender (Fluentd on the Pi); if they do, its clock is behind",
    )
