"""What monitors Tower fits Tower: it asks for metrics that exist, and the document is complete."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.unit.repo.test_documents import DOCUMENTS, rows
from workers.commands.serve.metric_table import METRICS

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
RULES = (FOLDER / "tower.rules.yml").read_text()

#: An alert's name, and how long its condition has to hold; empty if that is not at all.
ALERT = re.compile(r"- alert: (\w+)\n(?:        expr: .*\n(?:          .*\n)*)(?:        for: (\w+)\n)?")

METRIC = re.compile(r"\btower_\w+")

DASHBOARDS = [file.name for file in FOLDER.glob("grafana-*.json")]


def panels(name: str) -> list[dict[str, Any]]:
    """The panels of one of Grafana's dashboards."""
    dashboard_panels: list[dict[str, Any]] = json.loads((FOLDER / name).read_text())["panels"]
    return dashboard_panels


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    """Whether two places on Grafana's grid have a cell in common."""
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def known() -> set[str]:
    """The names of all series that are scraped."""
    names = {metric.full_name for metric in METRICS}
    histograms = [metric.name for metric in METRICS if metric.kind == "histogram"]
    return names | {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}


def unknown(text: str) -> set[str]:
    """The metrics in a text that do not exist."""
    return {*METRIC.findall(text)} - known()


def test_the_rules_ask_for_metrics_that_exist() -> None:
    assert len(METRIC.findall(RULES)) > 10
    assert unknown(RULES) == set()


def test_a_metric_that_does_not_exist_is_caught() -> None:
    assert unknown("rate(tower_records_writen_total[1m])") == {"tower_records_writen_total"}


def test_the_document_has_each_alert_and_how_long_it_waits() -> None:
    alerts = ALERT.findall(RULES)

    assert len(alerts) == RULES.count("- alert:")
    assert [(row[0], row[2]) for row in rows(DOCUMENTS["docs/monitoring.md"], "## Alerts")] == alerts


def test_the_dashboard_for_prometheus_asks_for_metrics_that_exist() -> None:
    queries = "\n".join(
        target["expr"] for panel in panels("grafana-prometheus.json") for target in panel["targets"]
    )

    assert len(METRIC.findall(queries)) > 20
    assert unknown(queries) == set()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_panels_of_a_dashboard_have_numbers_places_and_a_data_source_of_their_own(name: str) -> None:
    places = [panel["gridPos"] for panel in panels(name)]

    assert len({panel["id"] for panel in panels(name)}) == len(places)
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []
    assert all(place["x"] + place["w"] <= 24 for place in places)
    # Imported into a Grafana whose data source has another name, a fixed one would not be found.
    assert {panel["datasource"]["uid"] for panel in panels(name)} == {"${datasource}"}


def test_panels_that_overlap_are_caught() -> None:
    assert overlap({"x": 0, "y": 0, "w": 12, "h": 8}, {"x": 11, "y": 7, "w": 12, "h": 8})
    assert not overlap({"x": 0, "y": 0, "w": 12, "h": 8}, {"x": 12, "y": 0, "w": 12, "h": 8})
