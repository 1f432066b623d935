"""Line protocol as InfluxDB reads it: a reader of our own, to hold the encoder to.

Written from the rules of the format, not from the encoder: a backslash escapes a separator in names and
tag values, the quote and itself in strings, and is itself anywhere else.
"""

import re
from dataclasses import dataclass

_TAGS_END = re.compile(r"(?<!\\) ")


@dataclass(frozen=True)
class Point:
    """One point as it would be stored."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float | bool | str]
    time: int

    @property
    def identity(self) -> tuple[str, tuple[tuple[str, str], ...], int]:
        """What no two points may share."""
        return self.measurement, tuple(sorted(self.tags.items())), self.time


def split_lines(body: str) -> list[str]:
    """Lines of a body: a line break inside a string is part of it."""
    lines, start, quoted, in_fields, at = [], 0, False, False, 0
    while at < len(body):
        char = body[at]
        if char == "\\" and at + 1 < len(body):
            at += 1
        elif char == " " and not quoted:
            in_fields = True
        elif char == '"' and in_fields and (quoted or body[at - 1] == "="):
            quoted = not quoted
        elif char == "\n" and not quoted:
            lines.append(body[start:at])
            start, in_fields = at + 1, False
        at += 1
    return [*lines, body[start:]]


def parse(line: str) -> Point:
    """The point of one line.

    Raises:
        ValueError: It is no line.
    """
    end = _TAGS_END.search(line)
    if end is None or line.startswith("#"):
        raise ValueError("no fields, or a comment")
    measurement, *pairs = _split(line[: end.start()], ",")
    fields, _, time = line[end.end() :].rpartition(" ")
    tags = dict(_pair(pair) for pair in pairs)
    if len(tags) != len(pairs):
        raise ValueError("a tag stands twice")
    return Point(_plain(measurement), tags, dict(_field(each) for each in _fields(fields)), int(time))


def _split(text: str, mark: str) -> list[str]:
    return re.split(rf"(?<!\\){mark}", text)


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _pair(text: str) -> tuple[str, str]:
    name, value = _split(text, "=")
    if not (name and value) or re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("an empty tag, or a control character")
    return _plain(name), _plain(value)


def _fields(text: str) -> list[str]:
    """Fields of a field set: commas inside strings separate nothing."""
    fields, start, quoted, at = [], 0, False, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"' and (quoted or text[at - 1] == "="):
            quoted = not quoted
        elif text[at] == "," and not quoted:
            fields.append(text[start:at])
            start = at + 1
        at += 1
    if quoted:
        raise ValueError("a string without an end")
    return [*fields, text[start:]]


def _field(text: str) -> tuple[str, float | bool | str]:
    name, value = re.split(r"(?<!\\)=", text, maxsplit=1)
    if not name or re.search(r"[\x00-\x1f\x7f]", name):
        raise ValueError("a field without a name, or a control character in it")
    if value.startswith('"'):
        if not re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', value, re.DOTALL):
            raise ValueError("not one string")
        return _plain(name), re.sub(r'\\(["\\])', r"\1", value[1:-1])
    if value in {"true", "false"}:
        return _plain(name), value == "true"
    if not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?", value):
        raise ValueError("no float")
    return _plain(name), float(value)
