"""What monitors Tower fits Tower: it asks for metrics that exist, and the document is complete."""

import re
from pathlib import Path

from tests.unit.repo.test_documents import DOCUMENTS, rows
from workers.commands.serve.metric_table import METRICS

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
RULES = (FOLDER / "tower.rules.yml").read_text()

#: An alert's name, and how long its condition has to hold; empty if that is not at all.
ALERT = re.compile(r"- alert: (\w+)\n(?:        expr: .*\n(?:          .*\n)*)(?:        for: (\w+)\n)?")

METRIC = re.compile(r"\btower_\w+")


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
