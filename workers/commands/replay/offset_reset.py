"""Where the group's offsets shall go, and what that means for the records."""

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
class Move:
    """One partition's committed offset, before and after.

    Args:
        number: The partition.
        start: First offset that Kafka still has.
        end: Offset the next record will get.
        committed: Where the group stands, None where it has never committed.
        target: Where it shall go on.
    """

    number: int
    start: int
    end: int
    committed: int | None
    target: int

    @property
    def again(self) -> int:
        """Offsets that are read once more."""
        return 0 if self.committed is None else max(0, min(self.committed, self.end) - self.target)

    @property
    def skipped(self) -> int:
        """Offsets that Kafka still has, were never read, and now never will be."""
        at = self.start if self.committed is None else max(self.committed, self.start)
        return max(0, self.target - at)

    @property
    def gone(self) -> int:
        """Offsets that were never read and that Kafka no longer has."""
        return 0 if self.committed is None else max(0, self.start - self.committed)


def moves(
    kafka_admin: KafkaAdmin, settings: Settings, from_: str | None, since: str | None, only: set[int]
) -> list[Move]:
    """The moves that the options ask for.

    Raises:
        CommandError: A partition or offset is not there, or a time is not one.
    """
    topic = settings.topic
    starts, ends = kafka_admin.start_offsets(topic), kafka_admin.end_offsets(topic)
    missing = only - starts.keys()
    if missing:
        raise CommandError(f"{topic} has no partition {min(missing)}; it has {_ranges(starts, ends)}")
    if since is not None:
        at = parse_since(since, time.time())
        click.echo(f"since {datetime.fromtimestamp(at, UTC).isoformat(timespec='seconds')}", err=True)
        found = kafka_admin.offsets_since(topic, int(at * 1000))
        targets = {number: offset if offset >= 0 else ends[number] for number, offset in found.items()}
    else:
        targets = dict(_targets(from_ or "", starts, ends, only, topic))
    committed = kafka_admin.committed(settings.group, topic)
    return [
        Move(number, starts[number], ends[number], committed.get(number), targets[number])
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
        raise CommandError(f"--from takes earliest, latest or an offset, not {from_!r}")
    offset = int(from_)
    for number in sorted(only or starts):
        if not starts[number] <= offset <= ends[number]:
            raise CommandError(
                f"{topic}[{number}] has no offset {offset}; there are {_ranges(starts, ends)}. Name one "
                "partition with --partition, or use --since for all of them"
            )
    return dict.fromkeys(starts, offset)


def _ranges(starts: Mapping[int, int], ends: Mapping[int, int]) -> str:
    return ", ".join(f"{number}: {starts[number]} to {ends[number]}" for number in sorted(starts))


def parse_since(text: str, now: float) -> float:
    """Seconds since the epoch for `2h` (ago) or an ISO 8601 time.

    Raises:
        CommandError: It is neither, or lies in the future.
    """
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if span:
        return now - float(span[1]) * UNITS[span[2]]
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError:
        raise CommandError(f"--since takes 90s, 30m, 2h, 7d or an ISO 8601 time, not {text!r}") from None
    seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    if seconds > now:
        raise CommandError(f"--since {text} lies in the future; times without a zone are UTC")
    return seconds


def describe(made: list[Move]) -> str:
    """The moves for people."""
    rows = [
        (each.number, each.start, each.end, each.committed, each.target, each.again, each.skipped)
        for each in made
    ]
    lines = [
        table(("partition", "first", "end", "committed", "goes to", "read again", "skipped"), rows),
        f"{sum(each.again for each in made)} offsets are read again and overwrite their own points",
    ]
    gone = [each for each in made if each.gone]
    if gone:
        where = ", ".join(f"{each.gone} of partition {each.number}" for each in gone)
        lines.append(f"Kafka no longer has {where}: they are past the topic's retention")
    return "\n".join(lines)
