"""What an option may hold: each parser takes its text and gives its value, or says what would be right.

All of them raise `ValueError`; its text goes behind the option's name.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

#: Names that mean something else to InfluxDB: no tag may have one, and a field of that name gets an
#: underscore behind it.
RESERVED = frozenset({"time", "_field", "_measurement"})

#: What Kafka itself allows as the name of a topic; a `^` would make it a pattern for several, whose records
#: share offsets and so would overwrite each other's points.
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def text(raw: str) -> str:
    """Any text but none."""
    if not raw:
        raise ValueError("must not be empty")
    return raw


def topic(raw: str) -> str:
    """The name of one topic."""
    if not _TOPIC.fullmatch(raw) or raw in {".", ".."}:
        raise ValueError(f"must be the name of one topic (letters, digits, '.', '_', '-'), not {raw!r}")
    return raw


def measurement(raw: str) -> str:
    """The name of a measurement whose lines are no comments."""
    if not raw or raw.startswith("#"):
        raise ValueError("must not be empty nor begin with #, which InfluxDB takes for a comment")
    return raw


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number within bounds."""

    def parse(raw: str) -> int:
        try:
            number = int(raw)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}, not {raw!r}")
        return number

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Seconds within bounds."""

    def parse(raw: str) -> float:
        try:
            number = float(raw)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be seconds from {low:g} to {high:g}, not {raw!r}")
        return number

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(raw: str) -> str:
        if raw not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {raw!r}")
        return raw

    return parse


def names(raw: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in raw.split(",") if name.strip())


def tag_names(raw: str) -> tuple[str, ...]:
    """Names between commas that a tag may have."""
    found = names(raw)
    for name in found:
        if name in RESERVED:
            raise ValueError(f"must not hold {name}: InfluxDB keeps that name for itself")
    return found


def tags(raw: str) -> tuple[tuple[str, str], ...]:
    """`name=value` between commas."""
    pairs = []
    for pair in names(raw):
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ValueError(f"must read name=value,name=value, not {raw!r}")
        pairs.append((name, value))
    tag_names(",".join(name for name, _ in pairs))
    return tuple(pairs)


def renames(raw: str) -> tuple[tuple[str, str], ...]:
    """`name:new_name` between commas, split at the last colon: a name as it is sent may hold colons."""
    pairs: dict[str, str] = {}
    for pair in names(raw):
        name, _, new = (part.strip() for part in pair.rpartition(":"))
        if not (name and new):
            raise ValueError(f"must read name:new_name,name:new_name, not {pair!r}")
        if name == new:
            raise ValueError(f"must not rename {name} to itself")
        if name in pairs:
            raise ValueError(f"must not rename {name} twice, to {pairs[name]} and to {new}")
        pairs[name] = new
    return tuple(pairs.items())


def url(raw: str) -> str:
    """The address of an HTTP server, without the slash at its end."""
    # The address may hold a password, so no error repeats it.
    wrong = ValueError("must be an address like http://localhost:8086")
    try:
        parts = urlsplit(raw)
        # The resolver would raise this in mid-run, for a label that is empty or over 63 characters.
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise wrong
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password; use TOWER_INFLUXDB_USER and _PASSWORD")
    if parts.query or parts.fragment:
        raise ValueError("must end with the path; organisation, bucket and token are options of their own")
    if " " in raw or not parts.path.isascii():
        raise ValueError("must hold no space, and only ASCII in its path")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("has a port that is no number from 0 to 65535") from None
    return raw.rstrip("/")
