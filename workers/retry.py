"""Pauses before the next try: exponential back-off, and the Retry-After header."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

#: Upper bound of the first pause in seconds. It doubles for each further pause, up to the cap.
FIRST_S = 0.1


class Backoff:
    """Back-off with full jitter: a random pause between zero and a bound that doubles up to a cap.

    So many workers that lost the same server do not all return at once.

    Args:
        cap_s: Longest pause in seconds.
        draw: Returns a random number from 0 to 1.
    """

    def __init__(self, cap_s: float, draw: Callable[[], float] = random.random) -> None:
        self._cap_s = cap_s
        self._draw = draw
        self._bound_s = FIRST_S

    def next(self) -> float:
        """Return the seconds to wait before the next try."""
        pause_s = min(self._bound_s, self._cap_s) * self._draw()
        self._bound_s = min(self._bound_s * 2, self._cap_s)
        return pause_s

    def reset(self) -> None:
        """Start over after a success."""
        self._bound_s = FIRST_S


def parse_retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks to wait (RFC 9110, section 10.2.3).

    Args:
        text: The header: seconds or an HTTP date; None if the answer has none.
        now: The time a date is compared with; None for the current time.

    Returns:
        Seconds, never negative; None if the header is missing or malformed.
    """
    if text is None:
        return None
    text = text.strip()
    if text.isdecimal() and text.isascii():
        return float(text[:9])
    # Imported here because it costs memory, and most servers send seconds.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
