"""Which lines of a refused write are to blame.

A 400 stores nothing and lists every line it could not parse as `unable to parse '<line>': <why>`, in the
order of the request. The text repeats what a sender wrote, so it is matched against the lines that were
sent and believed no further. A 422 may have stored some and names only the first reason: there, and if a
list does not match, the caller halves.
"""

from collections.abc import Sequence

_MARK = "unable to parse '"
_END = "': "

#: Characters of InfluxDB's reason that are kept in the dead letter.
REASON_CHARACTERS = 300


def find_rejected(message: str, lines: Sequence[bytes]) -> dict[int, str]:
    """The lines a 400 names, as positions in `lines` with InfluxDB's reason.

    Both are read once, from front to back, so that it takes linear time whatever a sender wrote.

    Args:
        message: The answer's text.
        lines: The lines that were sent.

    Returns:
        Empty if the message lists nothing, anything that was not sent, or lines in another order.
    """
    reasons: dict[int, str] = {}
    unread = enumerate(lines)
    start = message.find(_MARK)
    while start >= 0:
        start += len(_MARK)
        place = next((place for place, line in unread if message.startswith(_entry(line), start)), None)
        if place is None:
            return {}
        start += len(_entry(lines[place]))
        following = message.find(_MARK, start)
        end = following if following >= 0 else len(message)
        reasons[place] = message[start:end].strip()[:REASON_CHARACTERS]
        start = following
    return reasons


def _entry(line: bytes) -> str:
    """What stands between the mark and the reason, as the answer's text has it."""
    return line.decode("utf-8", "replace") + _END
