"""Reads the causes that InfluxDB names in a rejection.

A 400 lists the lines it could not parse (see `workers.influxdb.rejected_lines`). A partial write (422, and
400 in InfluxDB 1.x) names the first cause and how many points were dropped:

    partial write: field type conflict: input field "a" on measurement "m" is type string, already exists as
    type float dropped=3

The text may repeat what a sender chose. So it only says which lines to send on their own.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from sys import maxunicode

_NAME = r'"((?:[^"\\]|\\.)*)"'
_TYPE = r"(float|integer|unsigned|boolean|string)"
_BEGIN = r"(?:failure writing points to database: )?partial write: "

_CONFLICT = re.compile(
    f"{_BEGIN}(field type conflict: input field {_NAME} on measurement {_NAME} is type {_TYPE}, already "
    rf"exists as type {_TYPE}) dropped=(\d{{1,9}})(?: |$)"
)

#: The first form is that of 2.7 and later, the second that of older versions and 1.x.
_RETENTION = re.compile(
    rf"{_BEGIN}(dropped \d+ points outside retention policy of duration \S+|points beyond retention policy)"
    r"(?s:.*?)(?: Lower Bound at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\S*)? dropped=(\d{1,9})"
    r"(?: for database: \S+ for retention policy: \S+)?$"
)

#: A shard that InfluxDB is deleting: no line is wrong.
_SHARD_GOES = re.compile(rf"{_BEGIN}shard \d+ is pending deletion ")

#: Escapes of Go's quoted strings.
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class TypeConflict:
    """A field that exists with another type.

    Attributes:
        measurement: Name of the measurement.
        field: Name of the field.
        sent: The type that was sent: float, integer, unsigned, boolean or string.
        stored: The type that InfluxDB has.
        text: InfluxDB's sentence.
        dropped: Points that were dropped.
    """

    measurement: bytes
    field: bytes
    sent: str
    stored: str
    text: str
    dropped: int


@dataclass(frozen=True, slots=True)
class OutsideRetention:
    """Points that are older than the bucket keeps them.

    Attributes:
        text: InfluxDB's sentence, without the points that it repeats.
        bound_ns: Time of the oldest point that InfluxDB accepts, in nanoseconds since the epoch and rounded
            down to a second; 0 if it does not say.
        dropped: Points that were dropped.
    """

    text: str
    bound_ns: int
    dropped: int


Cause = TypeConflict | OutsideRetention


def cause_of(message: str) -> Cause | None:
    """Return the cause that a partial write names; None if it names none of these."""
    conflict = _CONFLICT.match(message)
    if conflict:
        text, field, measurement, sent, stored, dropped = conflict.groups()
        return TypeConflict(_unquote(measurement), _unquote(field), sent, stored, text, int(dropped))
    retention = _RETENTION.match(message)
    if retention is None:
        return None
    text, bound, dropped = retention.groups()
    return OutsideRetention(text, _nanoseconds(bound) if bound else 0, int(dropped))


def is_no_fault_of_lines(message: str) -> bool:
    """Return whether InfluxDB says that it cannot write just now."""
    return _SHARD_GOES.match(message) is not None


def _nanoseconds(text: str) -> int:
    """Return a time in UTC in nanoseconds since the epoch; 0 if it is none."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9
    except ValueError:
        return 0


def _unquote(text: str) -> bytes:
    """Return the bytes that Go's `%q` has quoted."""
    name, position = b"", 0
    for escape in _ESCAPE.finditer(text):
        name += _encoded(text[position : escape.start()])
        byte, short, long, char = escape.groups()
        if byte:
            name += bytes([int(byte, 16)])
        elif char:
            name += _encoded(_CONTROL.get(char, char))
        else:
            name += _encoded(chr(min(int(short or long, 16), maxunicode)))
        position = escape.end()
    return name + _encoded(text[position:])


def _encoded(text: str) -> bytes:
    # JSON may have halves of surrogate pairs, which no line has.
    return text.encode("utf-8", "replace")
