"""Which dead letters a command is about."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from workers.commands.dlq.dead_letter import StoredDeadLetter
from workers.commands.replay.offset_reset import parse_since
from workers.errors import CommandError
from workers.types import Reason

#: Partition and offset of a dead letter.
Place = tuple[int, int]

TIME_HELP = "90s, 30m, 2h or 7d ago, or an ISO 8601 time (UTC if it has no zone)"


@dataclass(frozen=True)
class LetterFilter:
    """Which dead letters a command is about; without arguments all.

    Args:
        reason: Only those with this reason.
        since_ms: Only those stored at this time or later, milliseconds since the epoch.
        until_ms: Only those stored before this time.
        places: Only those at these places.
    """

    reason: str | None = None
    since_ms: float | None = None
    until_ms: float | None = None
    places: frozenset[Place] = frozenset()

    @property
    def is_by_reason_alone(self) -> bool:
        """Whether it accepts all dead letters, or all of one reason."""
        return self.since_ms is None and self.until_ms is None and not self.places

    def accepts(self, letter: StoredDeadLetter) -> bool:
        """Whether the command is about this dead letter."""
        return (
            self.reason in {None, letter.reason}
            and (self.since_ms is None or letter.kept_ms >= self.since_ms)
            and (self.until_ms is None or letter.kept_ms < self.until_ms)
            and (not self.places or (letter.number, letter.offset) in self.places)
        )


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `build_filter` to a command."""
    for option in (
        click.option("--until", metavar="TIME", help=f"Only those stored before this time: {TIME_HELP}."),
        click.option("--since", metavar="TIME", help=f"Only those stored since this time: {TIME_HELP}."),
        click.option(
            "--reason",
            type=click.Choice([str(reason) for reason in Reason]),
            metavar="REASON",
            help=f"Only dead letters with this reason: {', '.join(Reason)}.",
        ),
    ):
        command = option(command)
    return command


def build_filter(
    reason: str | None, since: str | None, until: str | None, places: Sequence[str] = ()
) -> LetterFilter:
    """Build a filter from a command's options.

    Raises:
        CommandError: A time or a place is malformed.
    """
    now = time.time()
    return LetterFilter(
        reason,
        None if since is None else parse_since(since, now, "--since") * 1000,
        None if until is None else parse_since(until, now, "--until") * 1000,
        frozenset(map(parse_place, places)),
    )


def parse_place(text: str) -> Place:
    """Parse the place of a dead letter, `0/17`.

    Raises:
        CommandError: It is something else.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,18})", text.strip(), re.ASCII)
    if match is None:
        raise CommandError(
            f"{text!r} is not the place of a dead letter", "`tower dlq list` shows them: 0/17"
        )
    return int(match[1]), int(match[2])
