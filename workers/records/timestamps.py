"""Reads a record's time, its unit and its precision."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from workers.types import Nanoseconds

EPOCH = datetime.fromtimestamp(0, UTC)
SECOND = 10**9
MILLISECOND = 10**6


class Timestamp(NamedTuple):
    """A time as precise as its source.

    Args:
        ns: Nanoseconds since the epoch, a multiple of `tick`.
        tick: Precision in nanoseconds: `SECOND` or `MILLISECOND`. A finer source is cut to the
            millisecond, since the digits below are used by the point's time.
    """

    ns: int
    tick: int


def from_milliseconds(milliseconds: int) -> Timestamp:
    """Convert Kafka's timestamp of a message."""
    return Timestamp(milliseconds * MILLISECOND, MILLISECOND)


def parse(value: Any) -> Timestamp | None:
    """Read a record's time; None if the value is no time.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since the epoch, distinguished by size:
    a value below 10^11 is in seconds (until the year 5138), each further factor of 1,000 one unit
    finer. Text is such a number or ISO 8601, read as UTC if it has no zone.
    """
    if type(value) is int:
        return _from_whole(value)
    if isinstance(value, Nanoseconds):
        return Timestamp(int(value) // MILLISECOND * MILLISECOND, MILLISECOND)
    if isinstance(value, float):
        return _from_float(value)
    if isinstance(value, str):
        return _from_text(value.strip())
    if isinstance(value, datetime):
        return _from_datetime(value)
    return None


def _from_whole(number: int) -> Timestamp | None:
    if number <= 0 or number >= 10**20:
        return None
    if number < 10**11:
        return Timestamp(number * SECOND, SECOND)
    unit = MILLISECOND if number < 10**14 else 1_000 if number < 10**17 else 1
    return Timestamp(number * unit // MILLISECOND * MILLISECOND, MILLISECOND)


def _from_float(number: float) -> Timestamp | None:
    if not math.isfinite(number) or number <= 0:
        return None
    if number >= 10**11 or number.is_integer():
        return _from_whole(int(number))
    # A double carries seconds of this century to about 0.2 us: round before the cut, so that
    # 1700000000.123 does not become .122.
    microseconds = round(number * 10**6)
    return Timestamp(microseconds // 1_000 * MILLISECOND, MILLISECOND)


def _from_text(text: str) -> Timestamp | None:
    if text.isdecimal() and text.isascii() and len(text) <= 20:
        return _from_whole(int(text))
    try:
        return _from_float(float(text))
    except ValueError:
        pass
    try:
        return _from_datetime(datetime.fromisoformat(text), precise="." in text or "," in text)
    except ValueError:
        return None


def _from_datetime(value: datetime, precise: bool = True) -> Timestamp | None:
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    since = value - EPOCH
    if since < timedelta(seconds=1):
        return None
    # Whole numbers all the way: a double would round the last microseconds of a far year up.
    if not precise:
        return Timestamp(since // timedelta(seconds=1) * SECOND, SECOND)
    return Timestamp(since // timedelta(milliseconds=1) * MILLISECOND, MILLISECOND)
