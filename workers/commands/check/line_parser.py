"""Parses a line of line protocol: what InfluxDB would store."""

import re
from dataclasses import dataclass

#: The end of measurement and tags: the first space without a backslash before it.
_SERIES_END = re.compile(r"(?<!\\) ")

_MEASUREMENT_END = re.compile(r"(?<!\\)[, ]")

#: One field with what ends it. In a name a backslash escapes comma, equals sign and space, in a string the
#: quote and itself (see workers/records/escape.py).
_FIELD = re.compile(r'((?:[^\\,= ]|\\.)+)=("(?:[^"\\]|\\.)*"|[^, ]+)[, ]', re.DOTALL)
_ESCAPED = re.compile(r"\\([,= ])")


@dataclass(frozen=True)
class Point:
    """One point.

    Args:
        measurement: Its measurement.
        types: Type of each field by its name, in InfluxDB's words: float, integer, unsigned, string or
            boolean.
        time: Nanoseconds since the epoch.
    """

    measurement: str
    types: dict[str, str]
    time: int


def parse(line: bytes) -> Point:
    """Parse a line that an encoder produced.

    Raises:
        ValueError: It is not such a line.
    """
    text = line.decode()
    series_end = _SERIES_END.search(text)
    if series_end is None:
        raise ValueError("a line without fields")
    types, place = {}, series_end.end()
    while (field := _FIELD.match(text, place)) is not None:
        types[_ESCAPED.sub(r"\1", field[1])] = _type(field[2])
        place = field.end()
    measurement = _MEASUREMENT_END.split(text, maxsplit=1)[0]
    return Point(_ESCAPED.sub(r"\1", measurement), types, int(text[place:]))


def _type(value: str) -> str:
    if value.startswith('"'):
        return "string"
    if value[0] in "tTfF":
        return "boolean"
    return {"i": "integer", "u": "unsigned"}.get(value[-1], "float")
