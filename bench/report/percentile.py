"""Percentiles and histograms of measured values."""

import math
from bisect import bisect_right
from collections.abc import Sequence

#: What is reported, besides the largest.
SHARES = (50, 90, 99, 99.9)
#: Most bins of a histogram.
BINS = 60


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` percent of the values do not exceed (nearest rank).

    Args:
        ordered: Values in ascending order, at least one.
        share: Percent, from 0 to 100.

    Raises:
        ValueError: There are no values.
    """
    if not ordered:
        raise ValueError("no values, so no percentile")
    rank = math.ceil(share / 100 * len(ordered))
    return ordered[max(0, min(len(ordered), rank) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Percentiles, largest and mean, rounded to a hundredth."""
    ordered = sorted(values)
    percentiles = {f"p{share:g}": round(percentile(ordered, share), 2) for share in SHARES}
    return percentiles | {"max": round(ordered[-1], 2), "mean": round(sum(ordered) / len(ordered), 2)}


def histogram(values: Sequence[float]) -> list[tuple[float, int]]:
    """Counts by bins of equal width, as (upper edge, count).

    The width is 1, 2 or 5 times a power of ten, so that at most `BINS` bins reach the 99.9th percentile.
    What is above the last edge is in the last bin.
    """
    if not values:
        return []
    ordered = sorted(values)
    reach = max(percentile(ordered, 99.9), 1e-9)
    power = 10.0 ** math.floor(math.log10(reach / BINS))
    width = next(step * power for step in (1, 2, 5, 10) if step * power * BINS >= reach)
    edges = [round(width * (place + 1), 9) for place in range(max(1, math.ceil(reach / width)))]
    counts, below = [], 0
    for edge in edges:
        upto = bisect_right(ordered, edge)
        counts.append(upto - below)
        below = upto
    counts[-1] += len(ordered) - below
    return list(zip(edges, counts, strict=True))
