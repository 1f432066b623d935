"""Text that stays one tag, one field or one measurement, whatever a sender writes.

Rules of line protocol as influxd reads it: in names and tag values a backslash escapes comma, equals
sign and space; in string fields it escapes the quote and itself. A backslash at the end of a name or tag
value would escape the separator behind it and cannot be escaped itself, so it becomes a slash. Control
characters end a line or confuse readers, so in names and tag values they become `_`.
"""

_CONTROL = dict.fromkeys((*range(32), 127), "_")
_NAME = str.maketrans({**_CONTROL, ",": "\\,", "=": "\\=", " ": "\\ "})
_MEASUREMENT = str.maketrans({**_CONTROL, ",": "\\,", " ": "\\ "})
_STRING = str.maketrans({'"': '\\"', "\\": "\\\\"})


def _without_last_backslash(text: str) -> str:
    stripped = text.rstrip("\\")
    return stripped + "/" * (len(text) - len(stripped))


def name(text: str) -> str:
    """A tag's name, a tag's value or a field's name."""
    return _without_last_backslash(text).translate(_NAME)


def measurement(text: str) -> str:
    """The name of a measurement."""
    return _without_last_backslash(text).translate(_MEASUREMENT)


def string(text: str) -> str:
    """The value of a string field, quotes included."""
    return f'"{text.translate(_STRING)}"'
