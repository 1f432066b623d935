"""Percentiles and histograms of measured values."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What is reported, besides the largest.
SHARES = (50, 90, 99, 99.9)
#: Upper edges of a histogram's bins are this factor apart.
GROWTH = 1.15


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` percent of the values do not exceed (nearest rank).

    Args:
        ordered: values in ascending order, at least one.
        share: percent, from 0 to 100.

    Raises:
        ValueError: there are no values.
    """
    if not ordered:
        raise ValueError("no values, so no percentile")
    rank = math.ceil(share / 100 * len(ordered))
    return ordered[max(0, min(len(ordered), rank) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Percentiles, largest and mean, rounded to a hundredth."""
    ordered = sorted(values)
    found = {f"p{share:g}": round(percentile(ordered, share), 2) for share in SHARES}
    return found | {"max": round(ordered[-1], 2), "mean": round(sum(ordered) / len(ordered), 2)}


def histogram(values: Sequence[float], smallest: float = 1.0) -> list[tuple[float, int]]:
    """Counts by bins that grow with the value: (upper edge, count), from the first that is not empty.

    Args:
        values: what is counted.
        smallest: upper edge of the first bin.
    """
    if not values:
        return []
    edges = [smallest]
    while edges[-1] < max(values):
        edges.append(edges[-1] * GROWTH)
    counts = [0] * len(edges)
    ordered = sorted(values)
    below = 0
    for place, edge in enumerate(edges):
        upto = bisect_right(ordered, edge)
        counts[place], below = upto - below, upto
    first = next(place for place, count in enumerate(counts) if count)
    return [(round(edge, 3), count) for edge, count in zip(edges, counts, strict=True)][first:]
