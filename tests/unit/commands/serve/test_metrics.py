"""What `/metrics` says, read as Prometheus reads it."""

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import observed
from tests.support.observed import NOW, observation, reading, state
from workers.commands.serve.metric_table import METRICS
from workers.commands.serve.metrics import registry
from workers.commands.serve.observation import Observation

DOCUMENT = Path(__file__).resolve().parents[4] / "docs" / "monitoring.md"
#: A process id that no process has: above the largest that Linux gives.
NO_PROCESS = 2**22 + 1

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(seen: Observation) -> Samples:
    """Every sample by its name and labels."""
    text = generate_latest(registry(lambda: seen, "resource")).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: Any) -> float | None:
    """One sample; None if there is none."""
    return samples.get((name, frozenset((key, str(label)) for key, label in labels.items())))


def workers_with_series(samples: Samples) -> set[str]:
    """The workers that have any series but `tower_worker_up`."""
    return {
        dict(labels)["worker"]
        for name, labels in samples
        if "worker" in dict(labels) and name != "tower_worker_up"
    }


def test_a_workers_counters_have_topic_partition_and_worker(tmp_path: Path) -> None:
    samples = scrape(observation(tmp_path, state(0), state(1), state(2)))

    labels = {"topic": "resource", "partition": 1, "worker": 1}
    assert value(samples, "tower_records_consumed_total", **labels) == 10
    assert value(samples, "tower_records_written_total", **labels) == 8
    assert value(samples, "tower_records_dead_lettered_total", **labels) == 2
    assert value(samples, "tower_dead_letters_total", worker=1, reason="json") == 2
    assert value(samples, "tower_write_retries_total", worker=1, reason="server_error") == 3
    assert value(samples, "tower_bytes_sent_total", worker=1) == 300


def test_a_histogram_is_cumulative_and_ends_with_all_requests(tmp_path: Path) -> None:
    samples = scrape(observation(tmp_path, state(0)))

    buckets = [
        value(samples, "tower_write_seconds_bucket", worker=0, le=le) for le in ("0.1", "1.0", "+Inf")
    ]
    assert buckets == [5, 7, 8]
    assert value(samples, "tower_write_seconds_count", worker=0) == 8
    assert value(samples, "tower_write_seconds_sum", worker=0) == 4.5


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(state(1, pid=NO_PROCESS), id="killed"),
        pytest.param(state(1, state="stopped"), id="stopped"),
        pytest.param(state(1, heartbeat=NOW - 11), id="hanging"),
    ],
)
def test_a_worker_that_does_not_run_leaves_no_series(tmp_path: Path, gone: dict[str, Any]) -> None:
    samples = scrape(observation(tmp_path, state(0), gone, state(2)))

    assert workers_with_series(samples) == {"0", "2"}
    assert value(samples, "tower_worker_up", worker=1) == 0
    assert value(samples, "tower_worker_up", worker=0) == 1


def test_a_partition_without_an_owner_is_told_apart_from_one_elsewhere(tmp_path: Path) -> None:
    kafka = reading(owners={2: "tower-7 on 10.0.0.2"})

    samples = scrape(observation(tmp_path, state(0), kafka=kafka))

    owned = [value(samples, "tower_partition_owned", topic="resource", partition=n) for n in range(3)]
    assert owned == [1, 0, 1]


def test_lag_in_seconds_is_the_age_of_the_oldest_record_in_hand(tmp_path: Path) -> None:
    worker = state(0, oldest_ms={"0": int((NOW - 12) * 1000)})

    samples = scrape(observation(tmp_path, worker, kafka=reading({0: 5})))

    assert value(samples, "tower_partition_lag_records", topic="resource", partition=0) == 5
    assert value(samples, "tower_partition_lag_seconds", topic="resource", partition=0) == 12
    assert value(samples, "tower_partition_lag_seconds", topic="resource", partition=1) == 0


def test_lag_in_seconds_of_a_partition_that_nobody_reads_is_that_of_its_next_record(tmp_path: Path) -> None:
    samples = scrape(observation(tmp_path, kafka=reading({1: 5}, oldest={1: NOW - 60})))

    assert value(samples, "tower_partition_lag_seconds", topic="resource", partition=1) == 60


def test_lag_in_seconds_is_left_out_if_it_is_unknown(tmp_path: Path) -> None:
    samples = scrape(observation(tmp_path, state(0), kafka=reading({0: 5})))

    assert value(samples, "tower_partition_lag_seconds", topic="resource", partition=0) is None


def test_without_kafka_there_is_no_lag_that_could_be_old(tmp_path: Path) -> None:
    samples = scrape(observation(tmp_path, state(0), kafka=observed.away()))

    assert value(samples, "tower_kafka_up") == 0
    assert not {name for name, _ in samples if "lag" in name or "offset" in name}
    assert value(samples, "tower_records_consumed_total", topic="resource", partition=0, worker=0) == 10


def test_every_metric_of_the_table_is_scraped_and_no_other(tmp_path: Path) -> None:
    worker = state(0, oldest_ms={"0": 1})
    text = generate_latest(registry(lambda: observation(tmp_path, worker), "resource")).decode()

    families = {
        family.name: family.type
        for family in text_string_to_metric_families(text)
        if not family.name.startswith("process_")
    }
    kinds = {"info": "gauge"}
    assert families == {
        metric.name + ("_info" if metric.kind == "info" else ""): kinds.get(metric.kind, metric.kind)
        for metric in METRICS
    }
    sampled = {name for name, _ in scrape(observation(tmp_path, worker))}
    assert [
        metric.full_name for metric in METRICS if not any(n.startswith(metric.full_name) for n in sampled)
    ] == []


def test_the_document_has_the_table_of_the_code() -> None:
    text = DOCUMENT.read_text().partition("\n## Metrics\n")[2].partition("\n\nExamples:")[0]
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("| tower_")
    ]

    assert rows == [
        (metric.full_name, metric.kind, ", ".join(metric.labels), metric.text) for metric in METRICS
    ]
