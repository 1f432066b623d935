"""A number as line protocol writes it."""

import math
import re

#: Digits that a double holds exactly: a whole number with at most as many is written as it came.
EXACT_DIGITS = 15
EXACT_LIMIT = 10**EXACT_DIGITS

#: Possessive (`++`): a megabyte of digits with a letter behind it would otherwise be tried at every length.
_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?", re.ASCII)


def number_of_float(value: float) -> str | None:
    """Return the text of a number, None for what is not finite."""
    return repr(value) if math.isfinite(value) else None


def number_of_text(text: str) -> str | None:
    """Return the text of a number that was sent as text, None for what is none."""
    if text.isdecimal() and text.isascii() and len(text) <= EXACT_DIGITS:
        return text if text[0] != "0" or text == "0" else str(int(text))
    stripped = text.strip()
    if stripped != text:
        return number_of_text(stripped)
    return number_of_float(float(text)) if _NUMBER.fullmatch(text) else None
