"""Line protocol as InfluxDB reads it: a reader of our own, to hold the encoder to.

Written from the rules of the format, not from the encoder: a backslash escapes a separator in names and
tag values, the quote and itself in strings, and is itself anywhere else; a string begins with a quote
right behind the equals sign of a field.
"""

import re
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: The control characters that end a line, or that influxd skips like a space.
_BREAKING = re.compile(r"[\x00\t\n\r]")
_FLOAT = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INTEGER = re.compile(r"(-?\d+)(i)|(\d+)(u)")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@dataclass(frozen=True)
class Integer:
    """The value of an integer field, which is not equal to a float."""

    value: int
    unsigned: bool = False


@dataclass(frozen=True)
class Point:
    """One point as it would be stored."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float | bool | str | Integer]
    time: int

    @property
    def identity(self) -> tuple[str, tuple[tuple[str, str], ...], int]:
        """What no two points may share."""
        return self.measurement, tuple(sorted(self.tags.items())), self.time


def split_lines(body: str) -> list[str]:
    """Lines of a body: a line break inside a string is part of it."""
    lines: list[str] = []
    while body:
        _, behind = _tags_and_rest(body)
        line = len(body) - len(behind) + _end(behind, "\n")
        lines.append(body[:line])
        body = body[line + 1 :]
    return lines


def parse(line: str) -> Point:
    """The point of one line.

    Raises:
        ValueError: It is no line.
    """
    if line.startswith("#"):
        raise ValueError("a comment")
    head, rest = _tags_and_rest(line)
    fields, _, time = rest.rpartition(" ")
    measurement, *pairs = _split(head, ",")
    tags = dict(_pair(pair) for pair in pairs)
    if len(tags) != len(pairs) or not fields:
        raise ValueError("a tag stands twice, or there are no fields")
    return Point(_plain(measurement), tags, dict(_field(part) for part in _cut(fields, ",")), int(time))


def _tags_and_rest(text: str) -> tuple[str, str]:
    """What stands before and behind the first space that is not escaped."""
    head, *rest = re.split(r"(?<!\\) ", text, maxsplit=1)
    if not rest or "\n" in head:
        raise ValueError("no fields")
    return head, rest[0]


def _cut(text: str, mark: str) -> list[str]:
    """Parts of a text of fields, between marks that are neither escaped nor in a string."""
    end = _end(text, mark)
    return [text[:end], *_cut(text[end + 1 :], mark)] if end < len(text) else [text]


def _end(text: str, mark: str) -> int:
    """Place of the first such mark, or of the text's end."""
    at, quoted, equals = 0, False, -2
    while at < len(text) and (quoted or text[at] != mark):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"' and (quoted or equals == at - 1):
            quoted = not quoted
        elif text[at] == "=" and not quoted:
            equals = at
        at += 1
    if quoted:
        raise ValueError("a string without an end")
    return at


def _split(text: str, mark: str) -> list[str]:
    return re.split(rf"(?<!\\){mark}", text)


def _plain(text: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", text)


def _pair(text: str) -> tuple[str, str]:
    name, value = _split(text, "=")
    if not (name and value) or _CONTROL.search(name) or _BREAKING.search(value):
        raise ValueError("an empty tag, or a control character")
    return _plain(name), _plain(value)


def _field(text: str) -> tuple[str, float | bool | str | Integer]:
    name, value = re.split(r"(?<!\\)=", text, maxsplit=1)
    if not name or _CONTROL.search(name):
        raise ValueError("a field without a name, or a control character in it")
    if _STRING.fullmatch(value):
        return _plain(name), re.sub(r'\\(["\\])', r"\1", value[1:-1])
    if value in {"t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"}:
        return _plain(name), value[0] in "tT"
    if (integer := _INTEGER.fullmatch(value)) is not None:
        number, letter = filter(None, integer.groups())
        return _plain(name), Integer(int(number), letter == "u")
    if not _FLOAT.fullmatch(value):
        raise ValueError("neither string, bool, integer nor float")
    return _plain(name), float(value)
