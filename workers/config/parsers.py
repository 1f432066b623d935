"""Parsers of the settings' values: each returns the value of a text.

All raise `ValueError` for an invalid text. The error says what is valid, and follows the setting's name.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Names that InfluxDB reserves: no tag may have one, and a field of that name gets an underscore behind it.
RESERVED = frozenset({"time", "_field", "_measurement"})

#: What Kafka allows as the name of a topic.
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")

#: A pattern that Kafka's client (POSIX) and Python read alike: no escapes but that of a dot, no groups that
#: begin with `?`, and no doubled repeats.
_PATTERN = re.compile(r"\^(?!.*(\(\?|[*+?}][*+?{]))([A-Za-z0-9_.$|()\[\]^*+?{}-]|\\\.)*")

#: Topics that no pattern may match: Kafka's own.
_INTERNAL = ("__consumer_offsets", "__transaction_state")


def text(raw: str) -> str:
    """Parse any text that is not empty."""
    if not raw:
        raise ValueError("must not be empty")
    return raw


def file(raw: str) -> Path | None:
    """Parse the path of a file; an empty text is none."""
    return Path(raw) if raw else None


def topic(raw: str) -> str:
    """Parse the name of one topic."""
    if not _TOPIC.fullmatch(raw) or raw in {".", ".."}:
        raise ValueError(f"must be the name of one topic (letters, digits, '.', '_', '-'), not {raw!r}")
    return raw


def topics(raw: str) -> tuple[str, ...]:
    """Parse names of topics between commas, and patterns, which begin with `^`."""
    topics_ = names(raw)
    if not topics_:
        raise ValueError("must name a topic")
    for name in topics_:
        if name.startswith("^"):
            _check_pattern(name)
        else:
            topic(name)
    if len(set(topics_)) < len(topics_):
        raise ValueError("must not name a topic twice")
    return topics_


def _check_pattern(pattern: str) -> None:
    try:
        compiled = re.compile(pattern) if _PATTERN.fullmatch(pattern) else None
    except re.error as error:
        raise ValueError(f"has an invalid pattern {pattern!r}: {error}") from None
    if compiled is None:
        raise ValueError(
            f"has a pattern that is not supported, {pattern!r}: use letters, digits and . - _ | ( ) "
            "[ ] * + ? { } $, and \\. for a dot"
        )
    if any(map(compiled.search, _INTERNAL)):
        raise ValueError(
            f"has a pattern that matches Kafka's internal topics, {pattern!r}: make it narrower"
        )


def measurement(raw: str) -> str:
    """Parse the name of a measurement."""
    if not raw or raw.startswith("#"):
        raise ValueError("must not be empty or begin with #, which starts a comment in InfluxDB")
    return raw


def whole(low: int, high: int) -> Callable[[str], int]:
    """Build a parser of whole numbers within bounds."""

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
    """Build a parser of seconds within bounds."""

    def parse(raw: str) -> float:
        try:
            number = float(raw)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}, not {raw!r}")
        return number

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    """Build a parser that accepts some words."""

    def parse(raw: str) -> str:
        if raw not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}, not {raw!r}")
        return raw

    return parse


def path(raw: str) -> tuple[str, ...]:
    """Parse names with a dot between them."""
    parts = tuple(raw.split(".")) if raw else ()
    if not all(parts):
        raise ValueError(f"must be names with a dot between them, not {raw!r}")
    return parts


def optional(parse: Callable[[str], str]) -> Callable[[str], str]:
    """Build a parser that accepts an empty text as well."""
    return lambda raw: parse(raw) if raw else raw


def names(raw: str) -> tuple[str, ...]:
    """Parse names between commas."""
    return tuple(name.strip() for name in raw.split(",") if name.strip())


def tag_names(raw: str) -> tuple[str, ...]:
    """Parse names of tags between commas."""
    tags_ = names(raw)
    for name in tags_:
        if name in RESERVED:
            raise ValueError(f"must not contain {name}, which is a reserved name in InfluxDB")
    return tags_


def tag_name(raw: str) -> str:
    """Parse the name of one tag."""
    if not raw:
        raise ValueError("must not be empty")
    if raw in RESERVED:
        raise ValueError(f"must not be {raw}, which is a reserved name in InfluxDB")
    return raw


def tags(raw: str) -> tuple[tuple[str, str], ...]:
    """Parse `name=value` between commas."""
    pairs = []
    for pair in names(raw):
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise ValueError(f"must have the form name=value,name=value, not {raw!r}")
        pairs.append((name, value))
    tag_names(",".join(name for name, _ in pairs))
    return tuple(pairs)


def renames(raw: str) -> tuple[tuple[str, str], ...]:
    """Parse `name:new_name` between commas, split at the last colon, since a sent name may have colons."""
    pairs: dict[str, str] = {}
    for pair in names(raw):
        name, _, new = (part.strip() for part in pair.rpartition(":"))
        if not (name and new):
            raise ValueError(f"must have the form name:new_name,name:new_name, not {pair!r}")
        if name == new:
            raise ValueError(f"must not rename {name} to itself")
        if name in pairs:
            raise ValueError(f"must not rename {name} twice, to {pairs[name]} and to {new}")
        pairs[name] = new
    return tuple(pairs.items())


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(raw: str) -> Address | None:
    """Parse `host:port` or `[::1]:port`; None for `off`."""
    if raw == "off":
        return None
    host, _, port = raw.rpartition(":")
    name = host.removeprefix("[").removesuffix("]")
    if not name or (":" in name and not host.startswith("[")) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(f"must have the form 127.0.0.1:8787 or [::1]:8787, or be off, not {raw!r}")
    if not 0 < int(port) < 65_536:
        raise ValueError(f"has an invalid port: it must be a number from 1 to 65535, not {port}")
    return Address(name, int(port))


def time_zone(raw: str) -> tzinfo:
    """Parse the name of a time zone, as `Asia/Seoul`."""
    if raw == "UTC":
        return UTC
    try:
        return ZoneInfo(raw)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"must be a time zone that this machine knows, such as Asia/Seoul, not {raw!r}; on Debian the "
            "package tzdata has them"
        ) from None


def time_format(raw: str) -> str:
    """Parse a format of `strptime` that has at least a whole date; empty for none."""
    if "%Z" in raw:
        # It accepts the names of this machine's own zone, and drops them.
        raise ValueError("must not have %Z: write GMT or UTC as it stands, and %z for +0900")
    moment = datetime(2001, 12, 23, 22, 41, 56, tzinfo=UTC)
    try:
        parsed = datetime.strptime(moment.strftime(raw), raw) if raw else moment  # noqa: DTZ007 - a trial
    except ValueError as error:
        raise ValueError(f"is no format of Python's strptime: {error}") from None
    if parsed.date() != moment.date():
        raise ValueError("must have year, month and day, as %d.%m.%Y %H:%M:%S")
    return raw


def url(raw: str) -> str:
    """Parse the address of an HTTP server; a trailing slash is removed."""
    # The address may hold a password, so no error repeats it.
    wrong = ValueError("must be an address like http://localhost:8086")
    try:
        parts = urlsplit(raw)
        # For a label that is empty or over 63 characters the resolver would raise this later.
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise wrong
    if parts.username or parts.password:
        raise ValueError("must not contain a user or password; use TOWER_INFLUXDB_USER and _PASSWORD")
    if parts.query or parts.fragment:
        raise ValueError("must end with the path; organisation, bucket and token have their own settings")
    if " " in raw or not parts.path.isascii():
        raise ValueError("must have no space, and only ASCII in its path")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("has an invalid port: it must be a number from 0 to 65535") from None
    return raw.rstrip("/")
