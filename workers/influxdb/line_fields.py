"""Reads measurement, fields and time of the lines that Tower encodes (see `workers.records.escape`)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_NAME = rb"[^\\=,]*+(?:\\.[^\\=,]*+)*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_VALUE = rb'(?:%b|[^", ]++)' % _STRING
_VALUES = {
    "string": _STRING,
    "boolean": rb"[tTfF][a-zA-Z]*+",
    "integer": rb"[-+0-9]++i",
    "unsigned": rb"[-+0-9]++u",
    "float": rb"[-+0-9.][-+0-9.eE]*+",
}

#: One field and what follows it. As influxd reads it, a quote in a name is a plain character.
_FIELD = re.compile(rb'((?:[^\\=,]|\\.)+)=("(?:[^"\\]|\\.)*"|[^", ]+)([, ])', re.DOTALL)

#: A measurement, up to the first comma or space without a backslash before it.
_MEASUREMENT = re.compile(rb"(?:[^\\, ]|\\.)+", re.DOTALL)

_ESCAPE = re.compile(rb'\\([,="\ ])')


class Value(NamedTuple):
    """The value of a field, and where it stands in its line."""

    type: str
    start: int
    stop: int


def measurement(line: bytes) -> bytes:
    """Return the name of the measurement without escapes."""
    match = _MEASUREMENT.match(line)
    return _unescape(match.group()) if match else b""


def fields(line: bytes) -> Iterator[tuple[bytes, Value]]:
    """Return names without escapes and values of the fields. It ends early at what Tower does not write."""
    position = _fields_start(line)
    while match := _FIELD.match(line, position):
        position = match.end()
        start, stop = match.span(2)
        yield _unescape(match.group(1)), Value(type_of(line[start:stop]), start, stop)
        if match.group(3) == b" ":
            return


def find(line: bytes, field: bytes) -> Value | None:
    """Return the value of a field by its name without escapes; None if the line does not have it."""
    return next((value for name, value in fields(line) if name == field), None)


def finder(measurement: bytes, field: bytes, type_: str) -> "re.Pattern[bytes]":
    """Build a pattern that matches lines with a field of a type; its group `value` is the value.

    It finds the same as `find`, and is several times as fast.

    Args:
        measurement: Name of the measurement, without escapes.
        field: Name of the field, without escapes.
        type_: string, boolean, integer, unsigned or float.
    """
    head = re.escape(escaped(measurement).replace(b"\\=", b"="))
    return re.compile(
        rb"%b(?=[, ])(?:[^ ]*+(?<=\\) )*+[^ ]*+ (?:%b=%b,)*?%b=(?P<value>%b)[, ]"
        % (head, _NAME, _VALUE, re.escape(escaped(field)), _VALUES[type_]),
        re.DOTALL,
    )


def escaped(name: bytes) -> bytes:
    """Return a name of a field as it stands in a line."""
    return name.replace(b",", b"\\,").replace(b"=", b"\\=").replace(b" ", b"\\ ")


def time_ns(line: bytes) -> int:
    """Return the time of a line in nanoseconds since the epoch; 0 if it has none."""
    text = line[line.rfind(b" ") + 1 :]
    return int(text) if text.lstrip(b"-").isdigit() else 0


def type_of(value: bytes) -> str:
    """Return InfluxDB's name for the type of a value: string, boolean, integer, unsigned or float."""
    if value.startswith(b'"'):
        return "string"
    if value[:1] in b"tTfF":
        return "boolean"
    return {b"i": "integer", b"u": "unsigned"}.get(value[-1:], "float")


def _fields_start(line: bytes) -> int:
    """Return the position behind the first space without a backslash before it."""
    space = line.find(b" ")
    while space > 0 and line[space - 1] == ord("\\"):
        space = line.find(b" ", space + 1)
    return space + 1 if space > 0 else len(line)


def _unescape(name: bytes) -> bytes:
    return _ESCAPE.sub(rb"\1", name) if b"\\" in name else name
