"""Fields whose type a route fixes, and fields that it leaves out."""

import re
from typing import Any

from workers.config.route import Route

#: A whole number, as integer fields take it.
_WHOLE = re.compile(r"([+-]?\d{1,19})(?:\.0*)?", re.ASCII)

#: Integers of InfluxDB have 64 bits.
_INTEGERS = range(-(2**63), 2**63)

#: A double holds each whole number up to this one.
_EXACT_FLOAT = 2**53

_TRUE, _FALSE = frozenset({"true", "1"}), frozenset({"false", "0"})


class Literal(str):
    """A field's value as it is written into the line."""

    __slots__ = ()


class FieldTypes:
    """Applies a route's integer, boolean and text fields, and those it drops or keeps.

    Args:
        route: The route.
    """

    def __init__(self, route: Route) -> None:
        parsers = {
            **dict.fromkeys(route.integer_fields, integer),
            **dict.fromkeys(route.boolean_fields, boolean),
            **dict.fromkeys(route.text_fields, text),
        }
        # A field that could not take its new name has the same type under its own.
        self._parsers = parsers | {name: parsers[new] for name, new in route.rename if new in parsers}
        self._drop = frozenset(route.drop)
        self._keep = frozenset(route.keep)
        #: Names that are looked for in a record, all of them new names.
        self.names = self._drop | self._keep | parsers.keys()

    def apply(self, values: dict[Any, Any]) -> None:
        """Change the values of a record's fields in place; a value of another type becomes None."""
        if self._keep:
            for name in values.keys() - self._keep:
                del values[name]
        for name in self._drop & values.keys():
            del values[name]
        for name in self._parsers.keys() & values.keys():
            if values[name] is not None:
                values[name] = self._parsers[name](values[name])


def integer(value: Any) -> Literal | None:
    """Return an integer field's text, None for what is no whole number of 64 bits."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        match = _WHOLE.fullmatch(value.strip())
        value = int(match[1]) if match else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) <= _EXACT_FLOAT else None
    # Of ints alone, because a range is searched from its start for one of a subclass, such as a time.
    return Literal(f"{value}i") if type(value) is int and value in _INTEGERS else None


def boolean(value: Any) -> bool | None:
    """Return a boolean field's value, None for what is neither true nor false."""
    if isinstance(value, bool):
        return value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str | int | float):
        return None
    word = f"{value:g}" if isinstance(value, float) else str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def text(value: Any) -> Any:
    """Return a text field's value: numbers and booleans as JSON writes them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    return str(value) if isinstance(value, str) else value
