"""Which records are older than InfluxDB keeps them, as its answers have said."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from workers.influxdb.line_fields import time_ns
from workers.influxdb.piece import Piece, Sorted

#: Seconds after which InfluxDB is asked again: its retention may have been changed.
RECHECK_S = 60.0

#: Bytes of a space and a time from 2001 to 2286 at the end of a line.
_TIME_BYTES = 20


class Retention:
    """The newest time that InfluxDB has rejected as too old for one bucket.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest: int | None = None
        self._asked_at = 0.0
        self._text = ""

    def __bool__(self) -> bool:
        return self._newest is not None

    def confirm(self, text: str, piece: Piece) -> Sorted:
        """Remember that InfluxDB has rejected all lines of a piece as too old, and what it said."""
        self._newest = max(map(time_ns, piece.lines))
        self._asked_at, self._text = self._clock(), text
        return self.sort(piece)

    def forget(self) -> None:
        """Forget it: InfluxDB has stored a line of such a time."""
        self._newest = None

    def sort(self, piece: Piece) -> Sorted:
        """Separate the lines that are too old from the others."""
        if self._newest is None:
            return Sorted(piece)
        old = self._old(piece.lines, self._newest)
        if not old:
            return Sorted(piece)
        rejected, ready = piece.divided(old)
        if self._clock() - self._asked_at < RECHECK_S:
            return Sorted(ready, rejected=[(origin, self._text) for origin in rejected.origins])
        return Sorted(ready, ask=[replace(rejected, on_stored=self.forget)])

    @staticmethod
    def _old(lines: Sequence[bytes], newest: int) -> list[int]:
        # To compare bytes is faster than to read numbers. It only finds lines to look at.
        bound, space = b" %019d" % newest, ord(" ")
        ends = [line[-_TIME_BYTES:] for line in lines]
        likely = [position for position, end in enumerate(ends) if end <= bound or end[0] != space]
        return [position for position in likely if time_ns(lines[position]) <= newest]


def oldest(lines: Sequence[bytes], count: int) -> list[int]:
    """Return the positions of the oldest lines."""
    return sorted(range(len(lines)), key=lambda position: time_ns(lines[position]))[:count]
