"""`python -m workers replay`: where the group goes on reading."""

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import click

from workers.commands.cluster import Cluster
from workers.commands.show import Wait, table
from workers.commands.sight import beating
from workers.errors import CommandError
from workers.kafka import CLASSIC
from workers.settings import Settings, load

#: Seconds after which Kafka drops a KIP-848 member that is gone: the broker decides, this is its default.
BROKER_SESSION_S = 45.0

#: Seconds on top of a session: the coordinator looks at its members now and then.
SLACK_S = 5.0

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

STOP = "stop the pool first: `supervisorctl -c supervisor.conf shutdown`"


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


@click.command()
@click.option("--from", "from_", metavar="OFFSET", help="earliest, latest, or an offset.")
@click.option(
    "--since",
    metavar="TIME",
    help="Records that came to Kafka since then: 90s, 30m, 2h, 7d ago, or an ISO 8601 time (UTC where it "
    "names no zone).",
)
@click.option("--partition", type=click.IntRange(0), multiple=True, help="Only this partition; repeatable.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.option("--yes", is_flag=True, help="Skip records that were never read without asking.")
@click.option("--json", "as_json", is_flag=True, help="The moves as JSON.")
def replay(
    *,
    from_: str | None,
    since: str | None,
    partition: tuple[int, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Read records again: move the group's committed offsets.

    Safe at any time: a record that is read again overwrites its own point, as long as the settings that
    make a point are as they were (TOWER_MEASUREMENT, TOWER_TAGS, TOWER_TAG_FIELDS, TOWER_TIME_FIELDS,
    TOWER_TIME_WINDOW_S, TOWER_IDENTITY_PARTITIONS). Dead letters among them are kept once more.

    The pool has to be stopped: Kafka refuses to move a group that has members. A worker that was stopped
    keeps its place for the length of its session (15 s); this waits for that, and says so.

    Exit codes: 0 done, 1 refused or failed, 78 an option has to be changed.
    """
    if (from_ is None) == (since is None):
        raise click.UsageError("give either --from or --since")
    settings = load(os.environ, credentials=False)
    cluster = Cluster(settings)
    made = moves(cluster, settings, from_, since, set(partition))
    if as_json:
        counted = [asdict(each) | {"again": each.again, "skipped": each.skipped} for each in made]
        click.echo(json.dumps(counted, indent=2))
    else:
        click.echo(describe(made))
    if dry_run:
        click.echo("dry run: nothing was changed", err=True)
        return
    _confirm(made, yes)
    wait_until_empty(cluster, settings)
    cluster.move(settings.group, settings.topic, {each.number: each.target for each in made})
    click.echo(
        f"group {settings.group} goes on there; start the pool again: `supervisord -c supervisor.conf`",
        err=True,
    )


def moves(
    cluster: Cluster, settings: Settings, from_: str | None, since: str | None, only: set[int]
) -> list[Move]:
    """The moves that the options ask for.

    Raises:
        CommandError: A partition or offset is not there, or a time is not one.
    """
    topic = settings.topic
    starts, ends = cluster.starts(topic), cluster.ends(topic)
    missing = only - starts.keys()
    if missing:
        raise CommandError(f"{topic} has no partition {min(missing)}; it has {_ranges(starts, ends)}")
    if since is not None:
        at = parse_since(since, time.time())
        click.echo(f"since {datetime.fromtimestamp(at, UTC).isoformat(timespec='seconds')}", err=True)
        found = cluster.since(topic, int(at * 1000))
        targets = {number: offset if offset >= 0 else ends[number] for number, offset in found.items()}
    else:
        targets = dict(_targets(from_ or "", starts, ends, only, topic))
    committed = cluster.committed(settings.group, topic)
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


def _confirm(made: list[Move], yes: bool) -> None:
    """Skipping is losing: it is never done by a slip."""
    skipped = sum(each.skipped for each in made)
    if not skipped or yes:
        return
    text = f"{skipped} records that were never read are skipped and will not reach InfluxDB"
    if not sys.stdin.isatty():
        raise CommandError(f"{text}; say --yes if that is meant")
    click.confirm(f"{text}. Go on?", abort=True)


def wait_until_empty(cluster: Cluster, settings: Settings) -> None:
    """Return once the group has no members.

    Raises:
        CommandError: It has some that are alive, or still has some when their sessions should have ended.
    """
    alive = beating(settings.run_dir, time.time())
    session_s = _session_s(settings)
    wait = Wait("members of the group to leave", session_s + SLACK_S)
    while True:
        group = cluster.group(settings.group)
        if not group.members:
            return
        hosts = ", ".join(sorted({f"{each.id} on {each.host}" for each in group.members}))
        if alive:
            raise CommandError(
                f"group {settings.group} has {len(group.members)} members and workers "
                f"{', '.join(map(str, alive))} are running; {STOP}"
            )
        if wait.is_over:
            raise CommandError(
                f"group {settings.group} still has {len(group.members)} members after {session_s:g} s, so "
                f"they are alive: {hosts}; {STOP}, there if it runs on another machine"
            )
        wait.tick(f": {len(group.members)} left")
        wait.pause(0.5)


def _session_s(settings: Settings) -> float:
    """Seconds until Kafka drops a member that went without a word."""
    if str(settings.kafka.get("group.protocol", "classic")).lower() == "consumer":
        return BROKER_SESSION_S
    given = settings.kafka.get("session.timeout.ms", CLASSIC["session.timeout.ms"])
    return float(str(given)) / 1000
