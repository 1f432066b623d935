"""Reads a record's time, its unit and its precision."""

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from workers.types import Nanoseconds

EPOCH = datetime.fromtimestamp(0, UTC)
SECOND = 10**9
MILLISECOND = 10**6
NANOSECOND = 1

#: Digits of a fraction of a second that are kept.
FRACTION_DIGITS = 9

#: A date and a time of day as RFC 3339, ISO 8601, Ruby, Go, Java and Python print them. The name of a zone
#: behind an offset (`+0900 KST`, `+01:00[Europe/Paris]`) says nothing new.
_DATE_TIME = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d|\d{8})[Tt ]"
    r"(?P<clock>\d\d:\d\d(?::\d\d)?|\d\d(?:\d\d(?:\d\d)?)?)"
    r"(?:[.,](?P<fraction>\d++))?"
    r"(?: ?(?P<zone>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)(?: [A-Z]{1,5})?(?:\[[^\[\]]{1,64}\])*+)?",
    re.ASCII,
)

#: A number of seconds or of a finer unit, with the digits behind its point.
_DECIMAL = re.compile(r"(\d{1,20})\.(\d++)", re.ASCII)

#: Most characters of a text that is a time.
_MAX_CHARACTERS = 200


class Timestamp(NamedTuple):
    """A time as precise as its source.

    Args:
        ns: Nanoseconds since the epoch, a multiple of `tick`.
        tick: Precision in nanoseconds: `SECOND`, `MILLISECOND`, or `NANOSECOND` for a time with digits
            below the millisecond.
        is_local: Whether it was a local time without a zone.
    """

    ns: int
    tick: int
    is_local: bool = False


def from_milliseconds(milliseconds: int) -> Timestamp:
    """Convert Kafka's timestamp of a message."""
    return Timestamp(milliseconds * MILLISECOND, MILLISECOND)


def parse(value: Any, zone: tzinfo = UTC, format_: str = "") -> Timestamp | None:
    """Read a record's time; None if the value is no time.

    Numbers are seconds, milliseconds, microseconds or nanoseconds since the epoch, distinguished by size:
    a value below 10^11 is in seconds (until the year 5138), each further factor of 1,000 one unit
    finer. Text is such a number, RFC 3339, or a common form near it.

    Args:
        value: The value of a record's field.
        zone: The zone of a local time that names none. Of an hour that comes twice it is the first; in one
            that does not come at all the clock goes on as before.
        format_: A format of `strptime` that is tried first; empty for none.
    """
    if type(value) is int:
        # What nearly all times are comes first.
        return Timestamp(value * SECOND, SECOND) if 0 < value < 10**11 else _from_whole(value)
    if isinstance(value, Nanoseconds):
        return _from_ns(int(value)) if value > 0 else None
    if isinstance(value, float):
        return _from_float(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        # A text of many digits would take long to read as a number.
        return _from_text(value.strip(), zone, format_) if len(value) <= _MAX_CHARACTERS else None
    if isinstance(value, datetime):
        return _from_datetime(value, zone)
    return None


def _from_ns(ns: int) -> Timestamp:
    """Return the timestamp of a time finer than a second."""
    return Timestamp(ns, NANOSECOND if ns % MILLISECOND else MILLISECOND)


def _unit(number: float) -> int:
    """Return the nanoseconds of a number's unit."""
    return (
        SECOND if number < 10**11 else MILLISECOND if number < 10**14 else 1_000 if number < 10**17 else 1
    )


def _from_whole(number: int) -> Timestamp | None:
    if number <= 0 or number >= 10**20:
        return None
    if number < 10**11:
        return Timestamp(number * SECOND, SECOND)
    return _from_ns(number * _unit(number))


def _from_float(number: float) -> Timestamp | None:
    if not math.isfinite(number) or number <= 0:
        return None
    if number.is_integer() or number >= 10**14:
        return _from_whole(int(number))
    # A double carries the microseconds of this century and not the digits below: round, so that
    # 1700000000.123 does not become .122999907.
    microseconds = round(number * (_unit(number) // 1_000))
    return _from_ns(microseconds * 1_000) if microseconds else None


def _from_text(text: str, zone: tzinfo, format_: str) -> Timestamp | None:
    if format_ and (timestamp := _from_format(text, zone, format_)):
        return timestamp
    if text.isdecimal() and text.isascii():
        return _from_whole(int(text)) if len(text) <= 20 else None
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        return _from_decimal(int(decimal[1]), decimal[2])
    try:
        return _from_float(float(text))
    except ValueError:
        pass
    try:
        return _from_iso(text, zone)
    except (ValueError, OverflowError):
        return None


def _from_decimal(whole: int, digits: str) -> Timestamp | None:
    """Read a number that was sent as text. All its digits are kept."""
    if not digits.strip("0"):
        return _from_whole(whole)
    unit = _unit(whole)
    ns = whole * unit + int(digits[:FRACTION_DIGITS].ljust(FRACTION_DIGITS, "0")) * unit // SECOND
    return _from_ns(ns) if ns > 0 and whole < 10**20 else None


def _from_iso(text: str, zone: tzinfo) -> Timestamp | None:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        # A date alone, or a week's.
        return _from_datetime(datetime.fromisoformat(text), zone, precise="." in text or "," in text)
    date, clock, fraction, name = match["date"], match["clock"], match["fraction"], match["zone"]
    if fraction and len(clock.replace(":", "")) != 6:
        return None
    is_leap = clock.endswith("60") and len(clock) > 5
    # A positive leap second is the second after :59, which Unix time counts twice.
    clock = clock[:-2] + "59" if is_leap else clock
    offset = "" if name is None else "+00:00" if name[0] not in "+-" else name
    moment = datetime.fromisoformat(f"{date}T{clock}{offset}")
    since = _seconds_since_epoch(moment, zone) + is_leap
    if since <= 0 or (is_leap and since % 86_400):
        return None
    if fraction is None:
        return Timestamp(since * SECOND, SECOND, name is None)
    ns = since * SECOND + int(fraction[:FRACTION_DIGITS].ljust(FRACTION_DIGITS, "0"))
    return _from_ns(ns)._replace(is_local=name is None)


def _seconds_since_epoch(moment: datetime, zone: tzinfo) -> int:
    aware = moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    # Whole numbers all the way: a double would round the last microseconds of a far year up.
    return (aware - EPOCH) // timedelta(seconds=1)


def _from_format(text: str, zone: tzinfo, format_: str) -> Timestamp | None:
    try:
        moment = datetime.strptime(text, format_)  # noqa: DTZ007 - the zone follows
    except ValueError:
        return None
    return _from_datetime(moment, zone, precise="%f" in format_)


def _from_datetime(moment: datetime, zone: tzinfo, precise: bool = True) -> Timestamp | None:
    is_local = moment.tzinfo is None
    try:
        since = _seconds_since_epoch(moment, zone)
    except OverflowError:
        return None
    if since < 1:
        return None
    if not precise:
        return Timestamp(since * SECOND, SECOND, is_local)
    return _from_ns(since * SECOND + moment.microsecond * 1_000)._replace(is_local=is_local)
