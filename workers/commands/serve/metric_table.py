"""All metrics: a closed list. docs/monitoring.md has the same table."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "info"]

PARTITION = ("topic", "partition")
PARTITION_WORKER = (*PARTITION, "worker")
WORKER = ("worker",)


@dataclass(frozen=True)
class Metric:
    """One metric: its name without Prometheus' ending, its kind, its labels, and one line of help."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    text: str

    @property
    def full_name(self) -> str:
        """Return the name as Prometheus has it."""
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")


METRICS = (
    Metric("tower_records_consumed", "counter", PARTITION_WORKER, "Records consumed from Kafka"),
    Metric("tower_records_written", "counter", PARTITION_WORKER, "Records stored in InfluxDB"),
    Metric("tower_records_dead_lettered", "counter", PARTITION_WORKER, "Records stored as dead letters"),
    Metric(
        "tower_records_uncommitted",
        "gauge",
        PARTITION_WORKER,
        "Records in hand, or dropped at a rebalance and read again",
    ),
    Metric("tower_dead_letters", "counter", (*WORKER, "reason"), "Dead letters by reason"),
    Metric("tower_values_omitted", "counter", WORKER, "Values left out because they are no number"),
    Metric("tower_names_doubled", "counter", WORKER, "Values left out because their name stands twice"),
    Metric(
        "tower_values_converted",
        "counter",
        WORKER,
        "Values converted without loss to the type that their field has in InfluxDB",
    ),
    Metric(
        "tower_record_time_problems",
        "counter",
        (*WORKER, "problem"),
        "Records whose time, or Kafka's, cannot be right or is far from the other",
    ),
    Metric("tower_records_encoded", "counter", (*WORKER, "by"), "Records converted, by kernel or python"),
    Metric("tower_lines_written", "counter", WORKER, "Lines that InfluxDB acknowledged"),
    Metric("tower_bytes_sent", "counter", WORKER, "Bytes of request bodies sent to InfluxDB, compressed"),
    Metric("tower_write_seconds", "histogram", WORKER, "Seconds of each request that was acknowledged"),
    Metric("tower_write_lines", "histogram", WORKER, "Lines of each request that was acknowledged"),
    Metric("tower_write_retries", "counter", (*WORKER, "reason"), "Requests that failed and were repeated"),
    Metric("tower_write_rejections", "counter", WORKER, "Requests rejected because of some of their lines"),
    Metric("tower_rebalances", "counter", WORKER, "Assignments of partitions"),
    Metric("tower_client_renewals", "counter", WORKER, "Kafka clients that were replaced"),
    Metric(
        "tower_client_fenced",
        "counter",
        WORKER,
        "Kafka clients that another one of the same name pushed out of the group",
    ),
    Metric("tower_commit_failures", "counter", WORKER, "Commits that failed; they are repeated"),
    Metric("tower_worker_up", "gauge", WORKER, "1 if the worker runs and has a recent heartbeat"),
    Metric("tower_worker_state", "gauge", (*WORKER, "state"), "1 for the state the worker is in"),
    Metric("tower_worker_paused", "gauge", WORKER, "1 while the worker waits and does not consume"),
    Metric("tower_worker_start_time_seconds", "gauge", WORKER, "When the worker started"),
    Metric("tower_worker_heartbeat_time_seconds", "gauge", WORKER, "The worker's last heartbeat"),
    Metric("tower_worker_cpu_seconds", "counter", WORKER, "CPU time of the worker's process"),
    Metric("tower_worker_resident_memory_bytes", "gauge", WORKER, "Memory of the worker's process"),
    Metric("tower_newest_point_time_seconds", "gauge", WORKER, "Time of the point that was stored last"),
    Metric("tower_partition_end_offset", "gauge", PARTITION, "Offset that the next record will get"),
    Metric("tower_partition_committed_offset", "gauge", PARTITION, "The group's committed offset"),
    Metric("tower_partition_lag_records", "gauge", PARTITION, "Records not yet committed"),
    Metric("tower_partition_lag_seconds", "gauge", PARTITION, "Age of the oldest record not yet stored"),
    Metric(
        "tower_partition_owned", "gauge", PARTITION, "1 if the partition has an owner, here or elsewhere"
    ),
    Metric("tower_partition_stopped", "gauge", PARTITION, "1 if its owner does not read it"),
    Metric("tower_workers_expected", "gauge", (), "TOWER_WORKERS"),
    Metric("tower_troubles", "gauge", ("severity",), "Troubles that `tower status` reports"),
    Metric("tower_kafka_up", "gauge", (), "1 if Kafka answered when it was last asked, at most 15 s ago"),
    Metric(
        "tower_pool_points_failed",
        "counter",
        (),
        "Failed writes of points about the pool",
    ),
    Metric("tower_build", "info", (), "Version of Tower, Python and librdkafka"),
)
