"""How long to wait before the next try."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

#: Seconds the first pause is drawn from; each further one from twice as many, up to the cap.
FIRST_S = 0.1


class Backoff:
    """Full jitter: each pause is drawn evenly from zero to a bound that doubles up to a cap.

    Many workers that lost the same server so come back spread out instead of all at once.

    Args:
        cap_s: Longest pause in seconds.
        draw: Gives a number from 0 to 1, `random.random` unless a test decides.
    """

    def __init__(self, cap_s: float, draw: Callable[[], float] = random.random) -> None:
        self._cap_s = cap_s
        self._draw = draw
        self._bound_s = FIRST_S

    def next(self) -> float:
        """Seconds to wait before the next try."""
        pause = min(self._bound_s, self._cap_s) * self._draw()
        self._bound_s = min(self._bound_s * 2, self._cap_s)
        return pause

    def reset(self) -> None:
        """Start over after a success."""
        self._bound_s = FIRST_S


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks to wait (RFC 9110, section 10.2.3).

    Args:
        text: The header: seconds or an HTTP date; None where the answer has none.
        now: The time a date is measured from, the present unless a test decides.

    Returns:
        Seconds, never negative; None where the header is absent or rubbish.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    # Imported here since most servers send seconds, and it costs memory.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
