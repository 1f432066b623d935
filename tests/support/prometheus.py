"""A real Prometheus that scrapes one `tower serve`, and what its samples must never show."""

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from lab.system.ports import choose
from tests.support.served import Served, until

#: Seconds for its start and for one answer.
START_S, ANSWER_S = 30.0, 10.0

#: Times and values of one series, by its labels.
Samples = dict[frozenset[tuple[str, str]], list[tuple[float, float]]]

#: What a rule waits in the test for each time that it waits in production.
WAITS = {"1m": "8s", "2m": "10s"}

#: The ranges of its expressions.
RANGES = {"15m": "45s", "10m": "20s", "5m": "5s", "2m": "4s"}


def hurried(rules: str) -> str:
    """The same rules with shorter times: a worker's restart still is no alert, an outage soon is."""
    rules = re.sub(r"for: (\w+)", lambda match: f"for: {WAITS[match[1]]}", rules)
    return re.sub(r"(\[|offset )(\d+m)", lambda match: match[1] + RANGES[match[2]], rules)


class Prometheus:
    """One Prometheus, in a folder of its own, on loopback.

    Args:
        program: Its path.
        folder: Where it lives.
        served: What it scrapes, each second.
        rules: Alerts.
    """

    def __init__(self, program: str, folder: Path, served: Served, rules: str) -> None:
        (self._port,) = choose("127.0.0.1", 1)
        self._folder = folder
        target = served.url.removeprefix("http://")
        folder.mkdir()
        (folder / "rules.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            "rule_files: [rules.yml]\n"
            f'scrape_configs: [{{job_name: tower, static_configs: [{{targets: ["{target}"]}}]}}]\n'
        )
        self._command = [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            until(lambda: self.answers('up{job="tower"} == 1'), START_S, "Prometheus to scrape")
        except TimeoutError:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(START_S)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an expression now; nothing if Prometheus does not answer yet.

        Raises:
            ValueError: Prometheus does not understand it.
        """
        url = f"http://127.0.0.1:{self._port}/api/v1/query?{urlencode({'query': expression})}"
        try:
            with urlopen(url, timeout=ANSWER_S) as answer:
                result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return result
        except HTTPError as error:
            with error:
                if error.code == 503:
                    return []
                raise ValueError(error.read().decode()) from None
        except OSError:
            return []

    def answers(self, expression: str) -> bool:
        """Whether an expression has a result that is not empty."""
        return bool(self.query(expression))

    def samples(self, selector: str) -> Samples:
        """Every sample that was scraped in the last ten minutes."""
        return {
            frozenset(series["metric"].items()): [(at, float(value)) for at, value in series["values"]]
            for series in self.query(f"{selector}[10m]")
        }

    def alerts(self) -> set[str]:
        """The alerts that fire now."""
        return {series["metric"]["alertname"] for series in self.query('ALERTS{alertstate="firing"}')}

    def alerts_since(self, begin: float) -> set[str]:
        """The alerts that began to fire after a time, in seconds since the epoch."""
        names = set()
        for labels, values in self.samples('ALERTS{alertstate="firing"}').items():
            before = 0.0
            for at, _ in values:
                # An alert that fires has a sample each second.
                if at - before > 5 and at >= begin:
                    names.add(dict(labels)["alertname"])
                before = at
        return names


def stale(samples: Samples) -> Iterator[str]:
    """Series of a worker in the scrapes that say that it does not run."""
    down: dict[str, set[float]] = defaultdict(set)
    for labels, values in samples.items():
        if ("__name__", "tower_worker_up") in labels:
            down[dict(labels)["worker"]] = {at for at, value in values if value == 0}
    for labels, values in samples.items():
        series = dict(labels)
        if series["__name__"] != "tower_worker_up" and "worker" in series:
            for at, _ in values:
                if at in down[series["worker"]]:
                    yield f"{series} at {at}"


def resets(samples: Samples) -> tuple[int, list[str]]:
    """How many counters went down at a restart of their process, and those that did without one."""
    starts: dict[str, dict[float, float]] = {}
    for labels, values in samples.items():
        series = dict(labels)
        if series["__name__"] == "tower_worker_start_time_seconds":
            starts[series["worker"]] = dict(values)
        if series["__name__"] == "process_start_time_seconds":
            starts[""] = dict(values)
    at_restarts, without = 0, []
    for labels, values in samples.items():
        series = dict(labels)
        if not series["__name__"].endswith(("_total", "_bucket", "_sum", "_count")):
            continue
        started = starts[series.get("worker", "")]
        for (before, earlier), (at, value) in pairwise(values):
            if value >= earlier:
                continue
            if started[at] > started[before]:
                at_restarts += 1
            else:
                without.append(f"{series}: {earlier:g}, then {value:g} at {at}")
    return at_restarts, without
