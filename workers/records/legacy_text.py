"""The lab's legacy text, `memory:1,tx:2`, to a record."""

import re
from collections.abc import Collection

from workers.errors import RecordError
from workers.records import foreign
from workers.records.number_text import number_of_text
from workers.types import MOST_FIELDS, Reason, Untyped

#: The name of a field. Times, quotes and brackets stand before a colon too, and are none.
#: All patterns are possessive (`*+`), and so linear: a value may be a megabyte of commas, or have no colon
#: behind them.
_NAME = r"\s*+[A-Za-z_][\w.-]*+\s*+:"
_FIRST_NAME = re.compile(_NAME)
#: The comma before the next name.
_NEXT_NAME = re.compile(rf",(?={_NAME})")

#: What may stand behind the last pair.
_ENDS = ", \t\r\n"

#: The lab's senders write one line. Another one would be a part of a value, or of another record.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def decode(payload: bytes, number_names: Collection[str]) -> dict[str, str]:
    """Return the record of one message.

    A pair is split at its first colon. A part without a name belongs to the value before, which may have
    commas and colons of its own. All values are text here; the encoder decides by field which of them are
    numbers.

    Args:
        payload: Text, without a byte order mark.
        number_names: Names under which number fields are sent.

    Raises:
        RecordError: The text does not have the lab's shape: pairs of plain names and values on one line, no
            name twice, and a number in at least one of the number fields.
    """
    try:
        text = payload.decode().strip().rstrip(_ENDS)
    except UnicodeDecodeError:
        raise RecordError(Reason.TEXT, foreign.describe(payload)) from None
    if not _FIRST_NAME.match(text) or _CONTROL.search(text) or foreign.is_ltsv(text):
        raise RecordError(Reason.TEXT, foreign.describe(payload))
    pairs = _NEXT_NAME.split(text, MOST_FIELDS)
    fields: dict[str, str] = {}
    for name, _, value in (pair.partition(":") for pair in pairs):
        fields[name.strip()] = Untyped(value.strip())
    numbers = [value for name, value in fields.items() if name in number_names]
    if not any(map(number_of_text, numbers)):
        raise RecordError(Reason.TEXT, foreign.describe(payload))
    if any("," in value or ":" in value for value in numbers):
        raise RecordError(Reason.TEXT, "a number field holds more than one value")
    if len(pairs) > MOST_FIELDS:
        raise RecordError(Reason.TOO_MANY_FIELDS, f"more than {MOST_FIELDS} fields")
    if len(fields) < len(pairs):
        raise RecordError(Reason.TEXT, "a field name stands twice")
    return fields
