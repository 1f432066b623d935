"""Which lines of a refused write are to blame.

A 400 stores nothing and lists every line it could not parse as `unable to parse '<line>': <why>`. The text
repeats what a sender wrote, so it is matched against the lines that were sent and believed no further.
A 422 may have stored some and names only the first reason: there, and where a list does not match, the
caller halves.
"""

from collections.abc import Sequence

_MARK = "unable to parse '"
_END = "': "

#: Characters of InfluxDB's reason that are kept in the dead letter.
REASON_CHARACTERS = 300


def listed(message: str, lines: Sequence[bytes]) -> dict[int, str]:
    """The lines a 400 names, as positions in `lines` with InfluxDB's reason.

    Args:
        message: The answer's text.
        lines: The lines that were sent.

    Returns:
        Empty where the message lists nothing, or anything that was not sent.
    """
    places = {line.decode("utf-8", "replace"): place for place, line in enumerate(lines)}
    found: dict[int, str] = {}
    for part in message.split(_MARK)[1:]:
        match = _match(part, places)
        if match is None:
            return {}
        found[match[0]] = match[1]
    return found


def _match(part: str, places: dict[str, int]) -> tuple[int, str] | None:
    """The line that a part begins with: its end mark may itself stand inside the line."""
    end = part.find(_END)
    while end >= 0:
        place = places.get(part[:end])
        if place is not None:
            return place, part[end + len(_END) :].strip()[:REASON_CHARACTERS]
        end = part.find(_END, end + 1)
    return None
