"""Counts of the last minutes, from counters that only grow."""

import time
from collections import deque
from collections.abc import Callable, Mapping

#: Seconds that `status` calls "the last minutes".
WINDOW_S = 300.0

#: Samples of the counters per window. The window's true length varies by one part of so many.
SAMPLES = 20


class CountWindow:
    """Counts of the last minutes, from samples of counters that only grow.

    Args:
        span_s: Length of the window in seconds.
        clock: Monotonic seconds.
    """

    def __init__(self, span_s: float = WINDOW_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._span_s = span_s
        self._clock = clock
        self._samples: deque[tuple[float, dict[str, int]]] = deque([(clock(), {})], SAMPLES + 2)

    def recent(self, totals: Mapping[str, int]) -> tuple[float, dict[str, int]]:
        """Return the length of the window in seconds, and what was counted in it.

        Args:
            totals: The counters now, each with a name that never changes its meaning.
        """
        now, samples = self._clock(), self._samples
        if now - samples[-1][0] >= self._span_s / SAMPLES:
            samples.append((now, dict(totals)))
        # The oldest sample that is kept is at the beginning of the window, or just before it.
        while len(samples) > 1 and now - samples[1][0] >= self._span_s:
            samples.popleft()
        began, before = samples[0]
        counts = {name: total - before.get(name, 0) for name, total in totals.items()}
        return now - began, {name: count for name, count in counts.items() if count}
