"""Figures of the requests that InfluxDB has answered, for the state file."""

from collections.abc import Sequence
from typing import Any

from workers.histogram import Histogram

#: Bounds of the buckets for the seconds of one request. A local InfluxDB answers in 5 to 50 ms.
LATENCY_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

#: Bounds of the buckets for the lines of one request. The default of TOWER_BATCH_LINES is 5,000.
LINES_BOUNDS = (1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 100_000)


class WriteFigures:
    """Latency and size of the requests that were answered 204, and the time of the last point.

    Attributes:
        unmarked: Number of those answers that had none of InfluxDB's headers.
    """

    def __init__(self) -> None:
        self.unmarked = 0
        self._seconds = Histogram(LATENCY_BOUNDS)
        self._lines = Histogram(LINES_BOUNDS)
        self._last_line = b""

    def stored(self, lines: Sequence[bytes], seconds: float) -> None:
        """Count a request that was answered 204.

        Args:
            lines: Its lines of line protocol, with nanosecond times.
            seconds: Time from the request to the answer.
        """
        self._seconds.observe(seconds)
        self._lines.observe(len(lines))
        self._last_line = lines[-1]

    def content(self) -> dict[str, Any]:
        """Return the figures for the state file.

        `last_point` is the time of the point that was stored last, in seconds since the epoch; None before
        the first.
        """
        nanoseconds = self._last_line.rpartition(b" ")[2]
        return {
            "write_seconds": self._seconds.content(),
            "write_lines": self._lines.content(),
            "unmarked": self.unmarked,
            "last_point": int(nanoseconds) / 1e9 if nanoseconds else None,
        }
