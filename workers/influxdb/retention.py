"""Which records are older than InfluxDB keeps them, as its answers have said."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from workers.influxdb.line_fields import HOUR_NS, time_ns
from workers.influxdb.piece import Piece, Sorted
from workers.influxdb.rejection import OutsideRetention

#: Seconds after which InfluxDB is asked again: its retention may have been changed.
RECHECK_S = 60.0

#: Bytes of a space and a time from 2001 to 2286 at the end of a line.
_TIME_BYTES = 20


class Retention:
    """The newest hour that InfluxDB has rejected as too old for one bucket, and its bound at that time.

    A line up to the end of that hour is rejected at once, if it is older than the bound. Another line that
    is older than the bound is sent on its own: InfluxDB accepts it if it keeps other points of that shard
    group.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest: int | None = None
        self._bound = 0
        self._asked_at = 0.0
        self._text = ""

    def __bool__(self) -> bool:
        return self._newest is not None

    def confirm(self, cause: OutsideRetention, piece: Piece) -> Sorted:
        """Remember that InfluxDB has rejected all lines of a piece as too old, and what it said."""
        now, newest = self._clock(), max(map(time_ns, piece.lines))
        # InfluxDB may be asked for newer lines alone, so what it said of older ones still holds.
        is_recent = self._newest is not None and now - self._asked_at < RECHECK_S
        # Other lines of this hour have no shard group either, unless they are newer than the bound.
        newest = max(newest, min(newest - newest % HOUR_NS + HOUR_NS, cause.bound_ns) - 1)
        self._newest = max(newest, self._newest or newest) if is_recent else newest
        self._bound = max(self._newest, cause.bound_ns - 1)
        self._asked_at, self._text = now, cause.text
        return self.sort(piece)

    def forget(self) -> None:
        """Forget it: InfluxDB has stored a line of such a time."""
        self._newest = None

    def sort(self, piece: Piece) -> Sorted:
        """Separate the lines that are too old from the others."""
        if self._newest is None:
            return Sorted(piece)
        times = self._old(piece.lines, self._bound)
        if not times:
            return Sorted(piece)
        is_recent = self._clock() - self._asked_at < RECHECK_S
        certain = [position for position, time_ in times.items() if is_recent and time_ <= self._newest]
        old, ready = piece.divided(times)
        if not certain:
            return Sorted(ready, [replace(old, on_stored=self.forget)])
        rejected = [(piece.origins[position], self._text) for position in certain]
        asked = piece.only(sorted(times.keys() - set(certain)))
        return Sorted(ready, [replace(asked, on_stored=self.forget)] if asked else [], rejected)

    @staticmethod
    def _old(lines: Sequence[bytes], bound_ns: int) -> dict[int, int]:
        """Return the times of the lines up to a bound, by position."""
        # To compare bytes is faster than to read numbers. It only finds lines to look at: those with an
        # older time, and those that do not end with a space and 19 digits.
        bound, after = b" %019d" % bound_ns, b"!"
        likely = [
            position for position, line in enumerate(lines) if not bound < line[-_TIME_BYTES:] < after
        ]
        times = {position: time_ns(lines[position]) for position in likely}
        return {position: time_ for position, time_ in times.items() if time_ <= bound_ns}


def oldest(lines: Sequence[bytes], count: int) -> list[int]:
    """Return the positions of the oldest lines."""
    return sorted(range(len(lines)), key=lambda position: time_ns(lines[position]))[:count]
