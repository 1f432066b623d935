"""The metrics, built from one observation at each scrape."""

import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import confluent_kafka
import psutil
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from workers import __version__
from workers.commands.clients.worker_states import WorkerReport
from workers.commands.pool.partition_rows import COUNTERS
from workers.commands.pool.troubles import Severity
from workers.commands.serve.metric_table import METRICS
from workers.commands.serve.metric_table import Metric as ListedMetric
from workers.commands.serve.observation import Observation
from workers.records.record_time import PROBLEMS
from workers.state import WorkerState
from workers.types import PartitionKey, topic_and_number

FAMILIES: Mapping[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
    "info": InfoMetricFamily,
}

#: A partition's counters, by their names in a state file.
PARTITION_COUNTERS = {entry: f"tower_records_{entry}" for entry in COUNTERS}

#: A worker's counters, by their names in a state file.
WORKER_COUNTERS = {
    "values_omitted": "tower_values_omitted",
    "names_doubled": "tower_names_doubled",
    "values_converted": "tower_values_converted",
    "lines": "tower_lines_written",
    "sent_bytes": "tower_bytes_sent",
    "rejections": "tower_write_rejections",
    "rebalances": "tower_rebalances",
    "renewals": "tower_client_renewals",
    "fenced": "tower_client_fenced",
    "commit_failures": "tower_commit_failures",
}

#: Counters by reason or way, by their places in a state file.
KEYED_COUNTERS = {
    "dead_letter_reasons": "tower_dead_letters",
    "retries_by_class": "tower_write_retries",
}


class PoolCollector(Collector):
    """Makes every family anew, so that a worker that is gone leaves no series.

    One after the other, because all families of 48 workers at once would take 2 MB.

    Args:
        observe: Returns the pool as it is now.
        topic: The topic if there is only one.
        points_failed: Returns how many writes of the pool's own points failed.
    """

    def __init__(
        self, observe: Callable[[], Observation], topic: str, points_failed: Callable[[], int]
    ) -> None:
        self._observe = observe
        self._topic = topic
        self._points_failed = points_failed

    def describe(self) -> Iterable[Metric]:
        """Return all families without samples, so that registration does not observe anything."""
        return [_empty(metric) for metric in METRICS]

    def collect(self) -> Iterable[Metric]:
        """Return all families with what is known now."""
        values = PoolValues(self._observe(), self._topic, self._points_failed()).by_metric
        for metric in METRICS:
            family = _empty(metric)
            for labels, *value in values.pop(metric.name):
                family.add_metric(labels, *value)
            yield family


def _empty(metric: ListedMetric) -> Any:
    return FAMILIES[metric.kind](metric.name, metric.text, labels=metric.labels)


class PoolValues:
    """The values of one observation.

    Args:
        observation: The pool as it is now.
        topic: The topic if there is only one.
        points_failed: Writes of the pool's own points that failed.

    Attributes:
        by_metric: Arguments of `add_metric`, by the metric's name: labels, value, the sum of a histogram.
    """

    def __init__(self, observation: Observation, topic: str, points_failed: int) -> None:
        self._topic = topic
        self.by_metric: dict[str, list[tuple[Any, ...]]] = {metric.name: [] for metric in METRICS}
        running = {worker.number for worker in observation.running}
        for number in observation.worker_numbers:
            self._add("tower_worker_up", [number], number in running)
        for worker in observation.running:
            self._add_worker(worker, observation)
            self._add_accounts(worker)
        self._add_partitions(observation)
        self._add("tower_workers_expected", [], observation.facts.expected_workers)
        for severity in Severity:
            count = sum(trouble.severity is severity for trouble in observation.troubles)
            self._add("tower_troubles", [severity], count)
        self._add("tower_kafka_up", [], observation.kafka.offsets is not None)
        self._add("tower_pool_points_failed", [], points_failed)
        versions = {
            "version": __version__,
            "python": platform.python_version(),
            "librdkafka": confluent_kafka.libversion()[0],
        }
        self.by_metric["tower_build"].append(([], versions))

    def _add(self, name: str, labels: list[Any], value: float | None) -> None:
        if value is not None:
            self.by_metric[name].append(([str(label) for label in labels], value))

    def _add_accounts(self, worker: WorkerReport) -> None:
        for key, account in worker.accounts.items():
            for entry, name in PARTITION_COUNTERS.items():
                self._add(name, [*self._labels(key), worker.number], account.get(entry))

    def _labels(self, key: PartitionKey) -> list[Any]:
        """Return topic and number of a partition."""
        return list(topic_and_number(key, self._topic))

    def _add_worker(self, worker: WorkerReport, observation: Observation) -> None:
        content, label = worker.content, [worker.number]
        counters = content.get("counters", {})
        for entry, name in WORKER_COUNTERS.items():
            self._add(name, label, counters.get(entry, 0))
        for place, name in KEYED_COUNTERS.items():
            for key, count in content.get(place, {}).items():
                self._add(name, [worker.number, key], count)
        for problem in PROBLEMS:
            self._add("tower_record_time_problems", [worker.number, problem], counters.get(problem, 0))
        self._add("tower_records_encoded", [worker.number, "kernel"], worker.by_kernel)
        self._add("tower_records_encoded", [worker.number, "python"], worker.by_python)
        for name in ("write_seconds", "write_lines"):
            self._add_histogram(f"tower_{name}", worker.number, content.get(name))
        for state in WorkerState:
            self._add("tower_worker_state", [worker.number, state], worker.state == state)
        self._add("tower_worker_paused", label, worker.state == WorkerState.WAITING)
        self._add("tower_worker_start_time_seconds", label, content.get("started"))
        self._add("tower_worker_heartbeat_time_seconds", label, observation.at - worker.age_s)
        self._add("tower_newest_point_time_seconds", label, content.get("last_point"))
        with suppress(psutil.Error):
            process = psutil.Process(worker.pid)
            used = process.cpu_times()
            self._add("tower_worker_cpu_seconds", label, used.user + used.system)
            self._add("tower_worker_resident_memory_bytes", label, process.memory_info().rss)

    def _add_histogram(self, name: str, worker: int, content: Mapping[str, Any] | None) -> None:
        if not content:
            return
        buckets, cumulated = [], 0
        for bound, count in zip([*content["bounds"], "+Inf"], content["counts"], strict=True):
            cumulated += count
            buckets.append((str(bound), cumulated))
        self.by_metric[name].append(([str(worker)], buckets, content["sum"]))

    def _add_partitions(self, observation: Observation) -> None:
        stopped = {number for worker in observation.running for number in worker.stopped}
        for row in observation.rows:
            label = self._labels(row.partition)
            self._add("tower_partition_end_offset", label, row.end)
            self._add("tower_partition_committed_offset", label, row.committed)
            self._add("tower_partition_lag_records", label, row.lag)
            self._add("tower_partition_lag_seconds", label, observation.lag_seconds(row))
            if row.owner is not None or observation.kafka.offsets is not None:
                self._add("tower_partition_owned", label, row.owner is not None)
            self._add("tower_partition_stopped", label, row.partition in stopped)


def registry(
    observe: Callable[[], Observation], topic: str, points_failed: Callable[[], int] = lambda: 0
) -> CollectorRegistry:
    """Build the registry of the pool's metrics and this process's own (`process_…`)."""
    built = CollectorRegistry()
    built.register(PoolCollector(observe, topic, points_failed))
    ProcessCollector(registry=built)
    return built
