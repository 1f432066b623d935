"""The alerts of docs/monitoring, as Prometheus' own promtool reads and tests them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import program

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
RULES = (ROOT / "docs" / "monitoring" / "tower.rules.yml").read_text()
TESTS = Path(__file__).with_name("tower.rules.test.yml").read_text()

ALERTS = re.findall(r"- alert: (\w+)", RULES)

#: An expression, on one line or several.
EXPRESSION = re.compile(r"        expr: (?:>-\n(?:          .*\n)+|.*\n)")


@pytest.fixture(scope="session")
def promtool() -> str:
    """Path of promtool."""
    return program("promtool", "prometheus")


def unit_tests(promtool: str, folder: Path, rules: str) -> tuple[int, str]:
    """Exit code and output of promtool for the unit tests, against these rules."""
    (folder / "tower.rules.yml").write_text(rules)
    (folder / "tower.rules.test.yml").write_text(TESTS)
    done = subprocess.run(
        [promtool, "test", "rules", "tower.rules.test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_rules_are_clean(promtool: str) -> None:
    done = subprocess.run(
        [promtool, "check", "rules", "--lint-fatal", "/dev/stdin"],
        input=RULES,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_prometheus_understands_the_queries_of_the_dashboard(promtool: str) -> None:
    dashboard = json.loads((ROOT / "docs" / "monitoring" / "grafana-prometheus.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]

    def check(expressions: list[str]) -> subprocess.CompletedProcess[str]:
        rules = [
            # In seconds, Grafana's own variable would be the same.
            {"record": f"query:{number}", "expr": expression.replace("$__rate_interval", "60s")}
            for number, expression in enumerate(expressions)
        ]
        return subprocess.run(
            [promtool, "check", "rules", "/dev/stdin"],
            input=json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert len(queries) > 20
    assert check(queries).returncode == 0, check(queries).stderr
    assert check([*queries, "rate(tower_records_written_total)"]).returncode != 0


def test_each_alert_fires_in_its_trouble_and_no_other_does(promtool: str, tmp_path: Path) -> None:
    code, output = unit_tests(promtool, tmp_path, RULES)

    assert code == 0, output


def test_an_alert_that_never_fires_is_noticed(promtool: str, tmp_path: Path) -> None:
    mute = EXPRESSION.sub("        expr: vector(0) > 1\n", RULES)

    code, output = unit_tests(promtool, tmp_path, mute)

    assert code != 0
    assert [alert for alert in ALERTS if f'alertname="{alert}"' not in output] == []


def test_an_alert_that_does_not_wait_is_noticed(promtool: str, tmp_path: Path) -> None:
    patient = re.findall(r"- alert: (\w+)\n(?:        (?!for).*\n)+        for: ", RULES)
    hasty = re.sub(r"        for: \w+\n", "", RULES)

    code, output = unit_tests(promtool, tmp_path, hasty)

    assert code != 0
    assert len(patient) == RULES.count("for: ")
    unexpected = "".join(re.findall(r"exp: nil\s+got: (.*)", output))
    assert [alert for alert in patient if f'alertname="{alert}"' not in unexpected] == []
