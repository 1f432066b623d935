"""Converts values of line protocol to the type that their field has, if nothing is lost.

A field of numbers takes `"12.5"`, one of texts takes 7 as `"7"`, one of integers takes 7.0 as `7i`. A value
that would change, such as 0.5 in a field of integers, is not converted.
"""

import re
from decimal import Decimal

from workers.influxdb.line_fields import type_of

#: Longest number in characters. A double has at most 17 digits that count.
NUMBER_CHARACTERS = 64

#: Largest whole number up to which every double stands for one whole number.
MOST_EXACT = 2**53

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": b"true", "True": b"true", "TRUE": b"true"} | {
    "false": b"false",
    "False": b"false",
    "FALSE": b"false",
}
_RANGES = {"integer": (-(2**63), 2**63 - 1, "i"), "unsigned": (0, 2**64 - 1, "u")}


def converted(value: bytes, stored: str) -> bytes | None:
    """Return a value as another type; None if it would not be the same value.

    Args:
        value: As it stands in a line: `"text"`, `t`, `7i`, `7u` or `7.5`.
        stored: The type of its field: float, integer, unsigned, boolean or string.
    """
    sent = type_of(value)
    text = _text(value, sent)
    if stored == "string":
        return b'"%b"' % text.encode()
    if stored == "boolean":
        return _BOOLEANS.get(text)
    number = _number(text) if sent != "boolean" else None
    if number is None:
        return None
    if stored == "float":
        double = float(number)
        return repr(double).encode() if Decimal(repr(double)) == number else None
    low, high, suffix = _RANGES[stored]
    if sent == "float":
        low, high = max(low, -MOST_EXACT), min(high, MOST_EXACT)
    is_whole = low <= number <= high and number == number.to_integral_value()
    return f"{int(number)}{suffix}".encode() if is_whole else None


def _text(value: bytes, sent: str) -> str:
    """Return what a value reads as, without quotes, escapes and suffix."""
    if sent == "string":
        return re.sub(rb'\\(["\\])', rb"\1", value[1:-1]).decode("utf-8", "surrogateescape")
    if sent == "boolean":
        return "true" if value[:1] in b"tT" else "false"
    return value.decode("latin-1").rstrip("iu")


def _number(text: str) -> Decimal | None:
    if len(text) > NUMBER_CHARACTERS or not _NUMBER.fullmatch(text):
        return None
    return Decimal(text)
