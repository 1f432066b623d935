"""Counts of values in buckets, as Prometheus reads them."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any


class Histogram:
    """Values counted by the smallest bound that is not below them.

    Args:
        bounds: Upper bounds of the buckets, ascending. Larger values have a bucket of their own.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def content(self) -> dict[str, Any]:
        """Return the bounds, the count of each bucket, and the sum of all values, for the state file."""
        return {"bounds": self._bounds, "counts": list(self._counts), "sum": round(self._sum, 6)}
