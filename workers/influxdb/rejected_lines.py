"""Finds the lines that InfluxDB rejects, in the text of a 400.

A 400 stores nothing and lists every line it could not parse as `unable to parse '<line>': <reason>`, in the
order of the request. The text repeats records, so it is trusted only as far as it matches the lines that
were sent. A 422 may have stored a part and names only the first reason. For a 422, and for a list that does
not match, the caller writes each half again.
"""

from collections.abc import Sequence

_MARK = "unable to parse '"
_END = "': "

#: Maximum characters of InfluxDB's reason in the dead letter.
REASON_CHARACTERS = 300


def find_rejected(message: str, lines: Sequence[bytes]) -> dict[int, str]:
    """Find the lines that a 400 lists.

    Message and lines are read once, from front to back, so the time is linear for any text.

    Args:
        message: The answer's text.
        lines: The lines that were sent.

    Returns:
        InfluxDB's reason by position in `lines`. Empty if the message lists nothing, a line that was not
        sent, or lines in another order.
    """
    reasons: dict[int, str] = {}
    unread = enumerate(lines)
    start = message.find(_MARK)
    while start >= 0:
        start += len(_MARK)
        position = next((at for at, line in unread if message.startswith(_entry(line), start)), None)
        if position is None:
            return {}
        start += len(_entry(lines[position]))
        following = message.find(_MARK, start)
        end = following if following >= 0 else len(message)
        reasons[position] = message[start:end].strip()[:REASON_CHARACTERS]
        start = following
    return reasons


def _entry(line: bytes) -> str:
    """Return the text between the mark and the reason."""
    return line.decode("utf-8", "replace") + _END
