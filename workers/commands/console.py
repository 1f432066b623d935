"""Output for the operator: waits, tables, spans of time."""

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click

from workers.log import printable

#: Seconds between two lines about the same wait.
PROGRESS_S = 2.0

#: Most texts of a list that are shown, and most characters of a name that a sender has chosen.
LISTED = 12
NAME_CHARACTERS = 40


#: Set in a program that has nobody to tell that it waits.
_silent = threading.Event()


def silence_waits() -> None:
    """Print no more lines about waits, in a program that runs for long and logs instead."""
    _silent.set()


class ProgressWait:
    """A bounded wait that prints a line on standard error every `PROGRESS_S` seconds.

    Args:
        what: What it waits for.
        longest_s: Seconds after which it is over.
    """

    def __init__(self, what: str, longest_s: float) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._end = self._begun + longest_s
        self._printed_at = self._begun

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def pause(self, seconds: float, note: str = "") -> None:
        """Sleep, but not past the end; `note` says more about the wait."""
        time.sleep(max(0.0, min(seconds, self._end - time.monotonic())))
        self.tick(note)

    def tick(self, note: str = "") -> None:
        """Print that the wait goes on, if the last line is old enough."""
        now = time.monotonic()
        if now - self._printed_at >= PROGRESS_S and not _silent.is_set():
            self._printed_at = now
            text = f"  waiting for {self._what}"
            spent, longest = now - self._begun, self._end - self._begun
            click.echo(f"{text} ({spent:.0f} s of at most {longest:.0f}){note}", err=True)


@contextmanager
def show_wait(what: str, longest_s: float) -> Iterator[None]:
    """Print what the block waits for, every `PROGRESS_S` seconds.

    Args:
        what: What the block waits for.
        longest_s: Seconds after which the block gives up by itself.
    """
    finished = threading.Event()
    wait = ProgressWait(what, longest_s)

    def print_lines() -> None:
        while not finished.wait(PROGRESS_S):
            wait.tick()

    thread = threading.Thread(target=print_lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Format columns of text under their titles: numbers to the right, None as `-`.

    Args:
        head: Titles of the columns.
        rows: One cell for each title.

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
    """Format a span of time: `3 s`, `5 min`, `2.5 h`, `4 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"


def utc_time(seconds: float) -> str:
    """Format a time: `2026-11-26T07:50:00Z`."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s since 1970"


def listed(texts: Iterable[str]) -> str:
    """Join texts on one line, at most `LISTED` of them."""
    items = list(texts)
    return ", ".join(items[:LISTED]) + (f" and {len(items) - LISTED} more" if len(items) > LISTED else "")


def name_shown(text: str) -> str:
    """Shorten a sender's name and replace its control characters."""
    return printable(text[:NAME_CHARACTERS]) + ("…" if len(text) > NAME_CHARACTERS else "")
