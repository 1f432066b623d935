"""Shows dead letters: as rows of a table, or one in full."""

import base64
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from workers.commands.console import age, table
from workers.commands.dlq.dead_letter import StoredDeadLetter, UnknownMessage, printable_payload
from workers.commands.dlq.progress import ReplayProgress
from workers.message_headers import read_headers


def as_row(letter: StoredDeadLetter, *, is_replayed: bool, payload: bool) -> dict[str, Any]:
    """Describe one dead letter, for programs."""
    entry = {
        "letter": f"{letter.number}/{letter.offset}",
        "kept": time_of(letter.kept_ms),
        "reason": letter.reason,
        "from": letter.place,
        "recorded": None if letter.timestamp_ms is None else time_of(letter.timestamp_ms),
        "bytes": len(letter.value or b""),
        "replayed": is_replayed,
        "replays": letter.replays,
        "error": letter.error,
    }
    return entry | ({"payload": printable_payload(letter.value)} if payload else {})


def describe_rows(rows: Sequence[dict[str, Any]], *, payload: bool) -> str:
    """Describe dead letters, for people."""
    names = ("letter", "kept", "reason", "from", "bytes", "replayed", "replays", "error")
    cells = [["yes" if row[name] is True else row[name] or None for name in names] for row in rows]
    titles = ("dead letter", "stored at", "reason", "record", "bytes", "replayed", "replays", "error")
    lines = table(titles, cells).splitlines()
    if not payload:
        return "\n".join(lines)
    text = [lines[0]]
    for line, row in zip(lines[1:], rows, strict=True):
        text += [line, f"    {row['payload']}"]
    return "\n".join(text)


class Summary:
    """Counts all dead letters that a list could show.

    Attributes:
        reasons: Dead letters by reason.
        not_replayed: Those that were never sent back.
        oldest_ms: When the oldest of these was stored, milliseconds since the epoch; None if there is none.
        unknown: Messages that Tower did not write.
    """

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.not_replayed = 0
        self.oldest_ms: int | None = None
        self.unknown: list[UnknownMessage] = []

    def add(self, letter: StoredDeadLetter, *, is_replayed: bool) -> None:
        """Count a dead letter."""
        self.reasons[letter.reason] += 1
        if not is_replayed:
            self.not_replayed += 1
            self.oldest_ms = min(
                letter.kept_ms, letter.kept_ms if self.oldest_ms is None else self.oldest_ms
            )

    def as_object(self) -> dict[str, Any]:
        """Describe the counts, for programs."""
        return {
            "matching": self.reasons.total(),
            "reasons": dict(self.reasons),
            "not_replayed": self.not_replayed,
            "oldest_not_replayed": None if self.oldest_ms is None else time_of(self.oldest_ms),
            "unknown": [f"{message.number}/{message.offset}" for message in self.unknown],
        }

    def describe(self, shown: int, now: float) -> str:
        """Describe the counts, for people.

        Args:
            shown: Number of dead letters that are shown.
            now: Seconds since the epoch.
        """
        parts = [f"{reason} {count}" for reason, count in self.reasons.most_common()]
        lines = [f"{shown} of {self.reasons.total()} shown" + (f" ({', '.join(parts)})" if parts else "")]
        if self.oldest_ms is not None:
            oldest = age(max(0.0, now - self.oldest_ms / 1000))
            lines.append(f"{self.not_replayed} were never replayed; the oldest is from {oldest} ago")
        if self.unknown:
            first = self.unknown[0]
            lines.append(
                f"{len(self.unknown)} messages are left out because Tower did not write them, the first at "
                f"{first.number}/{first.offset}: `tower dlq show` shows them"
            )
        return "\n".join(lines)


def message_object(
    message: Any, letter: StoredDeadLetter | UnknownMessage, *, is_replayed: bool
) -> dict[str, Any]:
    """Describe one message of the dead-letter topic in full, for programs."""
    pairs, unreadable = read_headers(message)
    is_letter = isinstance(letter, StoredDeadLetter)
    original = letter.headers if isinstance(letter, StoredDeadLetter) else tuple(pairs)
    return {
        "letter": f"{letter.number}/{letter.offset}",
        "kept": time_of(message.timestamp()[1]),
        "written_by_tower": is_letter,
        "replayed": is_replayed,
        "tower": {name.removeprefix("tower."): _text(value) for name, value in pairs[len(original) :]},
        "key": _text(message.key()),
        "headers": [[name, _text(value)] for name, value in original],
        "unreadable_headers": unreadable,
        "bytes": len(message.value() or b""),
        "value": _text(message.value()),
        "value_base64": None if message.value() is None else base64.b64encode(message.value()).decode(),
    }


def describe_message(content: dict[str, Any]) -> str:
    """Describe one message in full, for people; `content` is that of `message_object`."""
    lines = [f"dead letter  {content['letter']}, stored at {content['kept']}"]
    if not content["written_by_tower"]:
        lines.append("             Tower did not write it, so it cannot be replayed")
    lines += [f"{name:<12} {_escaped(value)}" for name, value in content["tower"].items()]
    lines.append(f"replayed     {'yes' if content['replayed'] else 'no'}")
    lines.append(f"key          {_escaped(content['key'])}")
    lines += [f"header       {_escaped(name)}: {_escaped(value)}" for name, value in content["headers"]]
    if content["unreadable_headers"]:
        lines.append(f"             {content['unreadable_headers']} headers have names that are not UTF-8")
    lines.append(f"value        {content['bytes']} bytes")
    lines.append(_escaped(content["value"]))
    return "\n".join(lines)


def time_of(milliseconds: int) -> str:
    """Format a time of Kafka, `2026-11-26T07:50:00.000Z`."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{milliseconds} ms since 1970"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def is_replayed(progress: ReplayProgress, letter: StoredDeadLetter) -> bool:
    """Whether a dead letter has been sent back."""
    return progress.covers(letter.offset, letter.reason)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _escaped(text: str | None) -> str:
    return printable_payload(None if text is None else text.encode("utf-8", "backslashreplace"), None)
