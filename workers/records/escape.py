"""Escapes text, so that any text stays one tag, one field or one measurement.

Rules of line protocol as influxd reads it: in names and tag values a backslash escapes comma, equals
sign and space; in string fields it escapes the quote and itself. A backslash in a name would escape
the escape behind it, and one at the end of a tag's value the separator; neither can be escaped, so they
become a slash. Control characters end a line or confuse readers: in names and tag values they become `_`.
"""

_CONTROL = dict.fromkeys((*range(32), 127), "_")
_PRINTABLE = str.maketrans({**_CONTROL, "\\": "/"})
_NAME = str.maketrans({**_CONTROL, ",": "\\,", "=": "\\=", " ": "\\ ", "\\": "/"})
_TAG = str.maketrans({**_CONTROL, ",": "\\,", "=": "\\=", " ": "\\ "})
_MEASUREMENT = str.maketrans({**_CONTROL, ",": "\\,", " ": "\\ ", "\\": "/"})
_STRING = str.maketrans({'"': '\\"', "\\": "\\\\"})


def printable(text: str) -> str:
    """Return a name as InfluxDB stores it: without the characters that line protocol cannot hold."""
    return text.translate(_PRINTABLE)


def name(text: str) -> str:
    """Escape the name of a tag or field."""
    return text.translate(_NAME)


def tag(text: str) -> str:
    """Escape the value of a tag."""
    stripped = text.rstrip("\\")
    return (stripped + "/" * (len(text) - len(stripped))).translate(_TAG)


def measurement(text: str) -> str:
    """Escape the name of a measurement."""
    return text.translate(_MEASUREMENT)


def string(text: str) -> str:
    """Escape the value of a string field, and quote it."""
    return f'"{text.translate(_STRING)}"'
