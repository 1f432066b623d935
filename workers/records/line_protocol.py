"""Line protocol: the lines of one message, each checked before it is sent.

Accepts what influxd accepts and reads in one way only. influxd reads a line several times, and some of its
readers take a backslash and the character behind it as a pair while others look back one character. They
disagree on two backslashes before a separator, so such a line is refused. Apart from that, a backslash in a
name is an ordinary character unless a comma, an equals sign or a space follows.

All patterns are possessive (`*+`), and so linear: a value may be a megabyte of anything.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from workers.errors import RecordError
from workers.types import MAX_RECORDS, MOST_LINES, Reason, Unreadable

if TYPE_CHECKING:
    from workers.records.timestamps import Timestamp

#: Tags that influxd refuses (models/points.go, `reservedTagKeys`).
RESERVED_TAGS = frozenset({b"time", b"_field", b"_measurement"})
#: A field that influxd leaves out in silence (tsdb/shard.go, `validateSeriesAndFields`).
IGNORED_FIELD = b"time"
#: Most bytes of measurement, tags and one field's name with the separator between them (`MaxKeyLength`).
MOST_KEY_BYTES = 65_535
KEY_SEPARATOR_BYTES = 4

#: Times that influxd takes (models/time.go).
EARLIEST, LATEST = -(2**63) + 2, 2**63 - 2

_CONTROL = rb"\x00-\x1f\x7f"
#: Measurement. influxd also reads `\=` and `\"` as escapes in it, but only some of its readers do.
_MEASUREMENT = rb"(?:[^\\, " + _CONTROL + rb"]++|\\++(?=[^\\,= \"])|\\[, ])++"
#: Name or value of a tag.
_TAG_NAME = rb"(?:[^\\,= " + _CONTROL + rb"]++|\\++(?=[^\\,= ])|\\++[,= ])++"
_TAG_VALUE = rb"(?:[^\\,= \x00\t\n\r]++|\\++(?=[^\\,= ])|\\++[,= ])++"
#: Name of a field. influxd reads `\"` in it as a quote, other readers do not.
_FIELD = rb"(?:[^\\,= " + _CONTROL + rb"]++|\\++(?=[^\\,= \"])|(?:\\\\)*+\\[,= ])++"
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_NUMBER = rb"-?+(?:\d++\.?+\d*+|\.\d++)(?:[eE][+-]?+\d++)?+"
_BOOLEAN = rb"(?:true|True|TRUE|t|T|false|False|FALSE|f|F)"
_VALUE = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"[iu]?+|" + _BOOLEAN + rb")(?=[, \r\n]|\Z)"

_HEAD = rb"(" + _MEASUREMENT + rb")((?:," + _TAG_NAME + rb"=" + _TAG_VALUE + rb")*+) ++"
_FIELDS = rb"(" + _FIELD + rb"=" + _VALUE + rb"(?:," + _FIELD + rb"=" + _VALUE + rb")*+)"
_TIME = rb"(?: ++(-?+\d++))?+"
_END = rb" *+\r?+(?:\n|\Z)"

_LINE = re.compile(_HEAD + _FIELDS + _TIME + _END, re.DOTALL)
_ONE_TAG = re.compile(rb",(" + _TAG_NAME + rb")=(" + _TAG_VALUE + rb")")
_ONE_FIELD = re.compile(rb"(" + _FIELD + rb")=(" + _VALUE + rb"),?+", re.DOTALL)
_PAIRS = re.compile(rb"(?<!\\)(?:\\\\)++[,= ]")
_WHOLE = re.compile(rb"-?+\d++")

#: The end of a line that is not valid, with the line breaks in its strings, as influxd finds it.
_EXTENT = re.compile(
    rb"(?:[^\\ \n]++|\\.|\\\Z)*+(?: (?:[^\\\"\n]++|\\.|\\\Z|(?<==)" + _STRING + rb"|\")*+)?+(?:\n|\Z)",
    re.DOTALL,
)
_BLANK = re.compile(rb"(?:[ \t\r]*+\n| *+#[^\n]*+(?:\n|\Z))*+(?:[ \t\r]++\Z| *+)")

#: Looks like a line, valid or not: what a dead letter of a text says then.
_LIKELY = re.compile(rb"[^\s,=:{]++(?:,[^\s,=]++=[^\s,]*+)*+ ++[^\s,=]++=")

#: What is wrong with a line: the first of these patterns that does not match.
_STEPS = [
    (re.compile(_MEASUREMENT), "no valid measurement"),
    (
        re.compile(_MEASUREMENT + rb"(?:," + _TAG_NAME + rb"=" + _TAG_VALUE + rb")*+(?=[ \r\n]|\Z)"),
        "a tag is not valid",
    ),
    (re.compile(_HEAD + _FIELD + rb"="), "no field"),
    (re.compile(_HEAD + _FIELDS + rb"(?=[ \r\n]|\Z)", re.DOTALL), "a field is not valid"),
]


@dataclass(frozen=True, slots=True)
class Line:
    """One valid line. Names and values are bytes as sent, with their escapes.

    Args:
        measurement: Its measurement.
        tags: Names and values, in the order of the names.
        fields: Names and values, in their order.
        time: Nanoseconds since the epoch, None without. A `Timestamp` if its sender is less precise,
            `Unreadable` if it is no time.
        omitted: Values of the record that are not among the fields.
    """

    measurement: bytes
    tags: tuple[tuple[bytes, bytes], ...]
    fields: tuple[tuple[bytes, bytes], ...]
    time: "int | Timestamp | Unreadable | None"
    omitted: int = 0


def is_line_protocol(value: bytes) -> bool:
    """Return whether some text is line protocol and nothing else.

    One valid line among the first `MAX_RECORDS` is enough: half a million lines that are none would take
    seconds. But it must have a tag or a time: `Connected port=8080` of a log would be a point otherwise. A
    measurement with an equals sign is more likely a word of `key=value` text.
    """
    return any(
        isinstance(line, Line) and (line.tags or line.time is not None) and b"=" not in line.measurement
        for line, _ in islice(_read(value), MAX_RECORDS)
    )


def refusal(value: bytes) -> RecordError | None:
    """Why some text that looks like line protocol is not taken for it; None if it does not look like it."""
    if not _LIKELY.match(value, _start(value, 0)):
        return None
    line, _ = next(_read(value))
    if isinstance(line, RecordError):
        return line
    return RecordError(
        Reason.LINE, "may be line protocol, but has neither tag nor time (TOWER_FORMAT=line takes it)"
    )


def decode(value: bytes) -> list[tuple[Line | RecordError, bytes]]:
    """Return the lines of one message without blank ones and comments, each with its bytes.

    Returns:
        For each line what it says, or why it is not valid.

    Raises:
        RecordError: There is no line, or there are too many.
    """
    lines: list[tuple[Line | RecordError, bytes]] = []
    for line in _read(value):
        if len(lines) == MOST_LINES:
            raise RecordError(Reason.TOO_MANY_RECORDS, f"more than {MOST_LINES} lines in one message")
        lines.append(line)
    if not lines:
        raise RecordError(Reason.EMPTY, "only blank lines and comments")
    return lines


def _read(value: bytes) -> Iterator[tuple[Line | RecordError, bytes]]:
    place = _start(value, 0)
    while place < len(value):
        match = _LINE.match(value, place)
        if match is None:
            end = _end(value, place)
            raw = value[place:end].rstrip(b"\r\n")
            yield RecordError(Reason.LINE, _why(raw)), raw
        else:
            end = match.end()
            raw = value[place:end].rstrip(b"\r\n")
            try:
                yield _parse(match), raw
            except RecordError as error:
                yield error, raw
        place = _start(value, end)


def _start(value: bytes, place: int) -> int:
    """Return the start of the next line that is neither blank nor a comment."""
    match = _BLANK.match(value, place)
    return match.end() if match else place


def _end(value: bytes, place: int) -> int:
    """Return the end of a line that is not valid."""
    match = _EXTENT.match(value, place)
    if match:
        return match.end()
    return value.find(b"\n", place) + 1 or len(value)


def _why(raw: bytes) -> str:
    for pattern, text in _STEPS:
        if not pattern.match(raw):
            return text
    return "the time is not valid"


def _parse(match: re.Match[bytes]) -> Line:
    """Return a line whose form is valid.

    Raises:
        RecordError: influxd would refuse it, or read it in another way.
    """
    measurement, head, body, time = match.groups()
    try:
        match[0].decode()
    except UnicodeDecodeError:
        raise RecordError(Reason.LINE, "not UTF-8") from None
    if _PAIRS.search(head) and b'"' in match[0]:
        # influxd's search for the end of the line then sees a space or an equals sign where its parser sees
        # none, and a quote may join this line with the next one.
        raise RecordError(Reason.LINE, "two backslashes before a separator, and quotes")
    tags = _ONE_TAG.findall(head)
    fields = _ONE_FIELD.findall(body)
    if len({name for name, _ in tags}) != len(tags):
        raise RecordError(Reason.LINE, "a tag stands twice")
    if len({name for name, _ in fields}) != len(fields):
        raise RecordError(Reason.LINE, "a field stands twice")
    for name, _ in tags:
        if name in RESERVED_TAGS:
            raise RecordError(Reason.LINE, f"InfluxDB refuses a tag named {name.decode()}")
    for _, field in fields:
        _check(field)
    return Line(measurement, tuple(sorted(tags)), tuple(fields), _nanoseconds(time))


def _nanoseconds(text: bytes | None) -> int | None:
    if text is None:
        return None
    # Python refuses to read thousands of digits.
    time = int(text) if len(text) <= 40 else LATEST + 1
    if not EARLIEST <= time <= LATEST:
        raise RecordError(Reason.LINE, "the time is out of the range of 64 bits")
    return time


def _check(field: bytes) -> None:
    """Check the range of a number.

    Raises:
        RecordError: It does not fit in its type.
    """
    kind, first = field[-1:], field[:1]
    if first == b'"' or first in b"tTfF":
        return
    if kind in b"iu":
        digits = field[:-1]
        low, high = (-(2**63), 2**63) if kind == b"i" else (0, 2**64)
        if not _WHOLE.fullmatch(digits) or (kind == b"u" and first == b"-"):
            raise RecordError(Reason.LINE, "an integer is not valid")
        if len(digits) > 40 or not low <= int(digits) < high:
            raise RecordError(Reason.LINE, "an integer is out of the range of 64 bits")
    elif not math.isfinite(float(field)):
        raise RecordError(Reason.LINE, "a number is out of the range of a double")
