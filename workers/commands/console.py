"""What the operator sees: waits, tables, spans of time."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from workers.log import printable

#: Seconds between two lines about the same wait.
SAY_S = 2.0

#: Texts in a list that are shown, and characters of a foreign name: a sender may use any number of either.
NAMES = 12
NAME_CHARACTERS = 40


class Wait:
    """A wait that is bounded and seen: a line on standard error every `SAY_S` seconds.

    Args:
        what: What is waited for.
        longest_s: Seconds after which it is over in any case.
    """

    def __init__(self, what: str, longest_s: float) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._end = self._begun + longest_s
        self._said = self._begun

    @property
    def is_over(self) -> bool:
        """True where the time is up."""
        return time.monotonic() >= self._end

    def pause(self, seconds: float, note: str = "") -> None:
        """Sleep, but not past the end; `note` says more about the wait."""
        time.sleep(max(0.0, min(seconds, self._end - time.monotonic())))
        self.tick(note)

    def tick(self, note: str = "") -> None:
        """Say that the wait goes on, where it is time to."""
        now = time.monotonic()
        if now - self._said >= SAY_S:
            self._said = now
            text = f"  waiting for {self._what}"
            spent, longest = now - self._begun, self._end - self._begun
            click.echo(f"{text} ({spent:.0f} s of at most {longest:.0f}){note}", err=True)


@contextmanager
def seen(what: str, longest_s: float) -> Iterator[None]:
    """Show that something inside the block is waited for, where it takes longer than `SAY_S`.

    Args:
        what: What is waited for.
        longest_s: Seconds after which the block itself gives up.
    """
    over = threading.Event()
    wait = Wait(what, longest_s)

    def say() -> None:
        while not over.wait(SAY_S):
            wait.tick()

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Columns of text under a head; numbers to the right, None as `-`.

    Args:
        head: Titles of the columns.
        rows: Cells, as many as titles.

    Returns:
        Lines joined by newlines, without trailing spaces.
    """
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    right = [all(_is_number(row[place]) for row in cells) for place in range(len(head))]
    lines = []
    for row in [list(head), *cells]:
        parts = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.lstrip("-").replace(".", "").isdigit()


def age(seconds: float) -> str:
    """A span of time for people: `3 s`, `5 min`, `2.5 h`, `4 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"


def moment(seconds: float) -> str:
    """A time for people: `2026-11-26T07:50:00Z`."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s since 1970"


def listed(texts: Iterable[str]) -> str:
    """Texts on one line, not too many of them."""
    all_ = list(texts)
    return ", ".join(all_[:NAMES]) + (f" and {len(all_) - NAMES} more" if len(all_) > NAMES else "")


def name_shown(text: str) -> str:
    """A foreign name, cut and without control characters."""
    return printable(text[:NAME_CHARACTERS]) + ("…" if len(text) > NAME_CHARACTERS else "")
