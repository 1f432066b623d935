"""Resets of the group's committed offsets, and what they mean for the records."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.console import table
from workers.config.settings import Settings
from workers.errors import CommandError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class OffsetReset:
    """One partition's committed offset, before and after.

    Args:
        number: The partition.
        start: First offset that Kafka still has.
        end: Offset that the next record will get.
        committed: The group's committed offset, None if it has never committed.
        target: Offset to continue at.
    """

    number: int
    start: int
    end: int
    committed: int | None
    target: int

    @property
    def again(self) -> int:
        """Number of offsets that are read again."""
        return 0 if self.committed is None else max(0, min(self.committed, self.end) - self.target)

    @property
    def skipped(self) -> int:
        """Number of offsets that Kafka still has, that were never read, and that will not be read."""
        unread = self.start if self.committed is None else max(self.committed, self.start)
        return max(0, self.target - unread)

    @property
    def expired(self) -> int:
        """Number of offsets that were never read and that Kafka no longer has."""
        return 0 if self.committed is None else max(0, self.start - self.committed)


def offset_resets(
    kafka_admin: KafkaAdmin, settings: Settings, from_: str | None, since: str | None, only: set[int]
) -> list[OffsetReset]:
    """Compute the offset resets for the options.

    Raises:
        CommandError: A partition or offset does not exist, or a time is malformed.
    """
    topic = settings.topic
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    missing = only - starts.keys()
    if missing:
        raise CommandError(f"{topic} has no partition {min(missing)}; it has {_ranges(starts, ends)}")
    if since is not None:
        since_s = parse_since(since, time.time())
        click.echo(f"since {datetime.fromtimestamp(since_s, UTC).isoformat(timespec='seconds')}", err=True)
        offsets = kafka_admin.offsets_since(topic, int(since_s * 1000))
        targets = {number: offset if offset >= 0 else ends[number] for number, offset in offsets.items()}
    else:
        targets = dict(_targets(from_ or "", starts, ends, only, topic))
    committed = kafka_admin.committed(settings.group, topic)
    return [
        OffsetReset(number, starts[number], ends[number], committed.get(number), targets[number])
        for number in sorted(only or starts)
    ]


def _targets(
    from_: str, starts: Mapping[int, int], ends: Mapping[int, int], only: set[int], topic: str
) -> Mapping[int, int]:
    if from_ == "earliest":
        return starts
    if from_ == "latest":
        return ends
    if not from_.isdecimal():
        raise CommandError(f"--from has to be earliest, latest or an offset, not {from_!r}")
    offset = int(from_)
    for number in sorted(only or starts):
        if not starts[number] <= offset <= ends[number]:
            raise CommandError(
                f"{topic}[{number}] has no offset {offset}; the offsets are {_ranges(starts, ends)}",
                "choose one partition with --partition, or use --since for all of them",
            )
    return dict.fromkeys(starts, offset)


def _ranges(starts: Mapping[int, int], ends: Mapping[int, int]) -> str:
    return ", ".join(f"{number}: {starts[number]} to {ends[number]}" for number in sorted(starts))


def parse_since(text: str, now: float, option: str = "--since") -> float:
    """Parse `2h` (ago) or an ISO 8601 time into seconds since the epoch.

    Raises:
        CommandError: It is neither, or is in the future.
    """
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if span:
        return now - float(span[1]) * UNITS[span[2]]
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError(
            f"{option} has to be 90s, 30m, 2h, 7d or an ISO 8601 time, not {text!r}"
        ) from None
    seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    if seconds > now:
        raise CommandError(f"{option} {text} is in the future; times without a zone are UTC")
    return seconds


def describe(resets: list[OffsetReset]) -> str:
    """Describe the offset resets for people."""
    rows = [
        (
            *(reset.number, reset.start, reset.end, reset.committed, reset.target),
            *(reset.again, reset.skipped),
        )
        for reset in resets
    ]
    again = sum(reset.again for reset in resets)
    lines = [
        table(("partition", "first", "end", "committed", "new offset", "read again", "skipped"), rows),
        f"{again} offsets are read again",
        "They overwrite their own points if the settings that build a point are unchanged",
    ]
    expired = ", ".join(f"{reset.expired} of partition {reset.number}" for reset in resets if reset.expired)
    if expired:
        lines.append(f"Kafka no longer has {expired}: the topic's retention has ended for them")
    return "\n".join(lines)
