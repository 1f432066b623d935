"""The plots of the report are SVG with readable text, and the whole report stays small."""

import math
import re
from functools import cache
from typing import Any

import pytest

from bench.report import plots
from bench.report.drawing import svg
from bench.report.page import page
from bench.report.plots import of

#: Bytes of a report that a mail or a chat takes.
MOST_BYTES = 1_000_000

#: Samples of a series: more than twice those of `make bench`.
SAMPLES = 400


def series(scale: float) -> list[tuple[float, float]]:
    """A line that no simplification shortens much."""
    return [(at / 5, scale * (1 + math.sin(at * at))) for at in range(SAMPLES)]


RESULTS: dict[str, dict[str, Any]] = {
    "throughput": {
        "records_per_s": 1234.0,
        "ceiling_records_per_s": 98765.0,
        "ceiling_ratio": 0.0125,
        "worker_cpu_us_per_record": 2.0,
        "influxd_cpu_us_per_record": 20.0,
        "series": {name: {"cores": series(0.5)} for name in plots.GROUPS},
    },
    "ceiling": {
        "trials": [
            {"connections": connections, "body_lines": lines, "records_per_s": 4321.0 * connections}
            for connections in (2, 3)
            for lines in (5_000, 10_000)
        ]
    },
    "profile": {
        "cpu_us_per_record": 6.0,
        "hops": {name: {"cpu_us": 3.25, "wall_us": 7.5} for name in ("consume", "write")},
    },
    "latency": {
        "histogram": [[2.0 * (edge + 1), edge % 17] for edge in range(120)],
        "p50_ms": 23.0,
        "p99_ms": 87.0,
        "records": 10_000,
        "rate": 1_000,
        "resolution_ms": 1.5,
        "over_time": [(at / 2, 20.0, 80.0 + at) for at in range(SAMPLES)],
    },
    "scale": {
        "workers": [{"workers": count, "worker_cpu_us_per_record": 2.5} for count in (1, 3, 48)],
        "delays": [{"case": "10 ms", "records_per_s": 4567.0}],
        "hosts": [{"case": "two hosts", "records_per_s": 7654.0}],
    },
    "outage": {
        "how": "freeze",
        "outage_s": 40.0,
        "lag": series(30_000),
        "rss_mb": series(40),
        "recovery_s": 0.2,
        "backlog": 1_200_000,
        "catch_up_records_per_s": 90_000.0,
        "restarts": 0,
        "rebalances": 0,
    },
    "compare": {
        "rows": [
            {
                "name": name,
                "records_per_s": rate,
                "cpu_us_per_record": 5.5,
                "influxd_cpu_us_per_record": 21.5,
                "curve": series(rate),
            }
            for name, rate in (("Tower", 9876.0), ("a & b <c>", 3456.0))
        ]
    },
    "collisions": {"rows": [{"name": "Tower", "stored": 100, "produced": 150}]},
}

#: A text in the plots of each kind that stands in its result.
TEXTS = {
    "throughput": ["pool, end to end", "98,765", "Tower's workers", "cores in use"],
    "ceiling": ["3 connections", "10,000"],
    "profile": ["consume", "3.25"],
    "latency": ["p99 87 ms", "median"],
    "scale": ["2.50", "48", "4,567", "two hosts"],
    "outage": ["no InfluxDB", "largest worker, MB"],
    "compare": ["Tower", "9,876", "21.5", "a &amp; b &lt;c&gt;"],
    "collisions": ["Tower", "100", "50", "overwritten by another"],
}


def plots_of(kind: str) -> list[plots.Plot]:
    """The plots of one kind."""
    return list(of({"kind": kind, **RESULTS[kind]}))


def draw(kind: str) -> str:
    """The plots of one kind as SVG, one after the other."""
    return "".join(svg(plot) for _, _, plot in plots_of(kind))


#: The same, drawn once for all tests.
drawn = cache(draw)


def report() -> str:
    """The page with two results of each kind, without the tiles, which need more figures."""
    results = [{"kind": kind, **result} for kind, result in RESULTS.items()] * 2
    with pytest.MonkeyPatch.context() as patch:
        # A result that stands there twice is drawn once.
        once = cache(plots_of)
        patch.setattr(plots, "of", lambda result: once(result["kind"]))
        patch.setattr("bench.report.page.svg", cache(svg))
        patch.setattr("bench.report.page.figures", lambda _: [])
        return page(results, {})


@pytest.mark.parametrize("kind", RESULTS)
def test_each_kind_of_result_is_drawn_with_its_figures_as_text(kind: str) -> None:
    texts = set(re.findall(r"<text[^>]*>(?:<tspan[^>]*>)?([^<]+)<", drawn(kind)))

    assert [text for text in TEXTS[kind] if text not in texts] == []


@pytest.mark.parametrize("kind", RESULTS)
def test_a_plot_needs_nothing_from_elsewhere_and_is_the_same_twice(kind: str) -> None:
    text = drawn(kind)

    assert not re.search(r"<script|<image|@import|url\((?!#)|href=\"(?!#)", text)
    assert draw(kind) == text


def test_the_report_of_all_measurements_is_smaller_than_a_megabyte() -> None:
    assert len(report().encode()) < MOST_BYTES
