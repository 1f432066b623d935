"""Throughput: the pool drains a topic that is filled beforehand, then every record is looked up."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.harness.account import Account, count_points
from bench.harness.bucket import Bucket
from bench.harness.machine import machine, versions
from bench.harness.meter import MACHINE, Meter, Series
from bench.harness.pool import BenchPool
from bench.harness.rig import Rig
from bench.harness.route_file import BenchRoute
from bench.load.produce import LoadProducer, Target
from bench.load.record import FIELDS, RecordShape
from bench.measure import ceiling

#: Records a second below which a drain is given up.
SLOWEST = 2_000
#: Seconds for the workers to start.
START_S = 120.0
#: Records of each partition before the measurement: connections and shards then exist.
WARM = 500
#: The workers' counters that are reported.
COUNTERS = (
    *("writes", "lines", "retries", "rejections", "rebalances"),
    *("records_by_kernel", "records_by_python"),
)


@dataclass
class DrainResult:
    """What was measured while a pool drained a topic.

    Attributes:
        begin: Epoch seconds at which the records became readable.
        first: Epoch seconds of the first write after that.
        last: Epoch seconds of the last write.
        batch_p50: Median number of lines in a write.
        series: CPU and memory, by group of processes.
        written: Bytes of influxd's write-ahead log over time.
        counters: The workers' counters, summed.
        starts: Number of worker starts.
    """

    begin: float = 0.0
    first: float = 0.0
    last: float = 0.0
    batch_p50: float = 0.0
    series: dict[str, Series] = field(default_factory=dict)
    written: list[tuple[float, int]] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    starts: int = 0

    @property
    def seconds(self) -> float:
        """Seconds from the first write to the last."""
        return self.last - self.first

    def cpu(self, group: str) -> float:
        """Return a group's seconds of CPU, from when the records became readable to the last write."""
        return self.series[group].cpu_between(self.begin, self.last)

    def others(self) -> float:
        """Return the cores that other programs used: if not near 0, the figures are provisional."""
        ours = sum(self.cpu(group) for group in self.series if group != MACHINE)
        return max(0.0, self.cpu(MACHINE) - ours) / max(0.001, self.last - self.begin)


def drain(
    rig: Rig, pools: Sequence[BenchPool], target: Target, bucket: Bucket, *, shape: RecordShape, count: int
) -> DrainResult:
    """Start the pools and have them drain records that become readable all at once.

    The workers first write a few records. All others are produced in one transaction; its commit is the
    start of the measurement.
    """
    drained = DrainResult()
    warm = min(WARM * target.partitions, count // 10)
    with rig.progress.step(f"starting {sum(pool.workers for pool in pools)} workers") as step:
        for pool in pools:
            pool.start()
        limit = START_S + sum(pool.workers for pool in pools)
        pools[0].until(
            lambda: sum(pool.owned() for pool in pools) == target.partitions,
            limit,
            "each partition's worker",
        )
        step.note("first records")
        LoadProducer(target, shape).fill(0, warm)
        pools[0].until(lambda: rig.lag(target) == 0, START_S, "the first records to be committed", 0.5)
    load = LoadProducer(target, shape)
    load.hold()
    rig.fill(load, shape, warm, count - warm)
    rig.settle()
    batches = Batches(pools)
    groups = {
        "workers": lambda: [process for pool in pools for process in pool.processes()],
        "influxd": rig.influxd,
        "kafka": rig.kafka,
    }

    def look(now: float) -> None:
        bucket.look(now)
        batches.look()

    with Meter(groups, look) as meter, rig.progress.step("draining") as step:
        drained.begin = time.time()
        load.release()
        drained.first = bucket.wait_first(drained.begin)

        def done() -> bool:
            # The transaction's end marker has an offset in each partition, which is never committed.
            lag = rig.lag(target) - target.partitions
            step.note(f"{lag:,} to go")
            return lag <= 0

        pools[0].until(done, START_S + count / SLOWEST, f"{count} records to be committed", 0.5)
        # The workers write their state files once a second.
        time.sleep(1.2)
    for name in COUNTERS:
        drained.counters[name] = sum(pool.counter(name) for pool in pools)
    drained.starts = sum(pool.starts() for pool in pools)
    drained.last = bucket.last or 0.0
    drained.batch_p50 = batches.median()
    drained.series, drained.written = meter.series, bucket.written
    return drained


class Batches:
    """Sizes of writes, from the workers' counters.

    The counters change once a second: each write of that second counts with their mean size.
    """

    def __init__(self, pools: Sequence[BenchPool]) -> None:
        self._pools = pools
        self._before: dict[tuple[int, int], tuple[int, int]] = {}
        self._sizes: list[float] = []
        self.look()
        self._sizes.clear()

    def look(self) -> None:
        """Read the workers' states."""
        for place, pool in enumerate(self._pools):
            for state in pool.states():
                counters = state.get("counters", {})
                now = counters.get("lines", 0), counters.get("writes", 0)
                key = place, state["worker"]
                lines, writes = self._before.get(key, (0, 0))
                if now[1] > writes:
                    self._sizes += [(now[0] - lines) / (now[1] - writes)] * (now[1] - writes)
                    self._before[key] = now

    def median(self) -> float:
        """Return the median number of lines in a write; 0 if there was no write."""
        return median(self._sizes) if self._sizes else 0.0


def run(
    rig: Rig,
    shape: RecordShape,
    count: int,
    *,
    workers: int = 3,
    settings: Mapping[str, str] | None = None,
    best: ceiling.Ceiling | None = None,
    route: BenchRoute | None = None,
) -> dict[str, Any]:
    """Measure throughput once.

    Args:
        rig: The lab to measure in, and what is created there.
        shape: The records.
        count: Number of records.
        workers: Number of workers, and of the topic's partitions.
        settings: Further settings of the workers.
        best: The ceiling; None measures it here.
        route: How records become points; None for the lab's route.

    Returns:
        The result as it is written to JSON.
    """
    trials: list[ceiling.Ceiling] = []
    if best is None:
        rig.settle()
        best, trials = ceiling.measure(rig, shape, count, workers)
    with rig.topic(workers) as target, rig.bucket(route=route) as bucket:
        chosen = dict(settings or {}) | (rig.route_settings(target, route) if route else {})
        with rig.pool(target, bucket, workers, chosen) as pool:
            drained = drain(rig, [pool], target, bucket, shape=shape, count=count)
        account = look_up(rig, bucket, shape, count, workers)
    return result(drained, account.produced, workers, best) | {
        "kind": "throughput",
        "shape": describe(shape),
        "lost": account.lost,
        "duplicated": account.duplicated,
        "unknown": account.unknown,
        "stored_by_partition": account.partitions,
        "ceiling": ceiling.as_json(best, trials),
        "settings": dict(settings or {}),
        "route": route.name if route else "lab",
        "machine": machine(),
        "versions": versions(rig.lab),
    }


def look_up(rig: Rig, bucket: Bucket, shape: RecordShape, count: int, partitions: int) -> Account:
    """Look for every record in InfluxDB and count."""
    with rig.progress.step("looking for every sequence number in InfluxDB") as step:
        account = count_points(bucket.sequences(), count, partitions, shape.is_bad if shape.bad else None)
        step.note(f"{account.lost} lost, {account.duplicated} duplicated")
    return account


def result(drained: DrainResult, records: int, workers: int, best: ceiling.Ceiling) -> dict[str, Any]:
    """Return the figures of a drain.

    CPU counts from when the records became readable. The rate counts from the first write to the last,
    without one batch for each worker: these may have been read before the first write.
    """
    counted = max(1, records - round(drained.batch_p50 * workers))
    cpu = {group: drained.cpu(group) / records * 1e6 for group in drained.series if group != MACHINE}
    rate = counted / drained.seconds if drained.seconds > 0 else 0.0
    by_kernel = drained.counters.get("records_by_kernel", 0)
    converted = by_kernel + drained.counters.get("records_by_python", 0)
    return {
        "records": records,
        "seconds": round(drained.seconds, 3),
        "records_per_s": round(rate, 1),
        "values_per_s": round(rate * FIELDS, 1),
        "workers": workers,
        "worker_cpu_us_per_record": round(cpu["workers"], 3),
        "influxd_cpu_us_per_record": round(cpu["influxd"], 3),
        "kafka_cpu_us_per_record": round(cpu["kafka"], 3),
        "overhead_ratio": round(cpu["workers"] / cpu["influxd"], 4) if cpu["influxd"] else None,
        "ceiling_records_per_s": round(best.records_per_s, 1),
        "ceiling_ratio": round(rate / best.records_per_s, 4),
        "peak_rss_mb_per_worker": round(drained.series["workers"].peak, 1),
        "batch_p50_lines": round(drained.batch_p50),
        "kernel_share": round(by_kernel / max(1, converted), 4),
        "counters": drained.counters,
        "worker_starts": drained.starts,
        "other_cores": round(drained.others(), 2),
        "series": {
            group: {
                "cores": [(round(at - drained.first, 2), round(load, 3)) for at, load in series.load()],
                "rss_mb": [
                    (round(at - drained.first, 2), round(rss, 1))
                    for at, rss in list(zip(series.times, series.rss, strict=True))[::5]
                ],
            }
            for group, series in drained.series.items()
        },
    }


def describe(shape: RecordShape) -> dict[str, Any]:
    """Return what the records looked like, for the report."""
    return {
        "form": str(shape.form),
        "devices": shape.devices,
        "bytes": len(shape.values(100_000, 1)[0]),
        "bad": shape.bad,
        "seed": shape.seed,
        "step_ms": shape.clock.step_ms,
        "unit": shape.unit.value,
        "lines_per_message": shape.per_message,
    }
