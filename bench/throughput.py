"""A prefilled topic drained by the pool, every record looked for in InfluxDB afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import ceiling
from bench.account import settle
from bench.machine import machine, versions
from bench.meter import Meter
from bench.record import FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.bucket import Bucket
    from bench.meter import Series
    from bench.pool import Pool
    from bench.produce import Target
    from bench.record import Shape
    from bench.rig import Rig

#: Slowest drain that is waited for, records a second.
SLOWEST = 2_000
#: Seconds for the workers to start, besides.
START_S = 120.0


@dataclass
class Drain:
    """What was seen while a pool drained a topic."""

    first: float = 0.0
    last: float = 0.0
    batch_p50: float = 0.0
    series: dict[str, Series] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    starts: int = 0

    @property
    def seconds(self) -> float:
        """From the first write to the last."""
        return self.last - self.first

    def cpu(self, group: str) -> float:
        """Seconds of CPU of a group of processes between the first and the last write."""
        return self.series[group].cpu_between(self.first, self.last)


def drain(rig: Rig, pool: Pool, target: Target, bucket: Bucket, count: int) -> Drain:
    """Start the pool, wait until it has committed every record, and stop it."""
    found = Drain()
    writes: dict[int, tuple[int, int]] = {}
    sizes: list[float] = []

    def look(now: float) -> None:
        bucket.look(now)
        for state in pool.states():
            counters = state.get("counters", {})
            lines, requests = counters.get("lines", 0), counters.get("writes", 0)
            before = writes.get(state["worker"], (0, 0))
            if requests > before[1]:
                # The workers tell once a second: the mean of that second's writes stands for each.
                sizes.extend([(lines - before[0]) / (requests - before[1])] * (requests - before[1]))
                writes[state["worker"]] = lines, requests

    groups = {"workers": pool.processes, "influxd": rig.influxd, "kafka": rig.kafka}
    with Meter(groups, look) as meter, rig.progress.step(f"draining with {pool.workers} workers") as step:
        pool.start()

        def done() -> bool:
            lag = rig.lag(target)
            step.note(f"{lag:,} to go")
            return lag == 0

        pool.until(done, START_S + count / SLOWEST, f"{count} records to be committed", 0.5)
        # The workers' last account of themselves.
        time.sleep(1.2)
        found.counters = {
            name: pool.counter(name) for name in ("writes", "lines", "retries", "refusals", "rebalances")
        }
        found.starts = pool.starts()
    pool.stop()
    found.first, found.last = bucket.first or 0.0, bucket.last or 0.0
    found.batch_p50 = median(sizes) if sizes else 0.0
    found.series = meter.series
    return found


def run(
    rig: Rig,
    shape: Shape,
    count: int,
    *,
    workers: int = 3,
    settings: Mapping[str, str] | None = None,
    best: ceiling.Ceiling | None = None,
) -> dict[str, Any]:
    """One measurement.

    Args:
        rig: where.
        shape: the records.
        count: how many.
        workers: size of the pool; the topic has as many partitions.
        settings: what else the workers are told.
        best: the ceiling, if it was measured in this run already; else it is measured here.

    Returns:
        The keys of the bench's result.
    """
    trials: list[ceiling.Ceiling] = []
    if best is None:
        rig.settle()
        best, trials = ceiling.measure(rig, shape, count, workers)
    with rig.topic(workers) as target, rig.bucket() as bucket:
        rig.fill(target, shape, count)
        rig.settle()
        with rig.pool(target, bucket, workers, settings) as pool:
            found = drain(rig, pool, target, bucket, count)
        with rig.progress.step("looking for every sequence number in InfluxDB") as step:
            account = settle(bucket.sequences(), count, workers, shape.is_bad if shape.bad else None)
            step.note(f"{account.lost} lost, {account.duplicated} duplicated")
    return result(found, account.produced, workers, best) | {
        "kind": "throughput",
        "shape": describe(shape),
        "lost": account.lost,
        "duplicated": account.duplicated,
        "unknown": account.unknown,
        "stored_by_partition": account.partitions,
        "ceiling": ceiling.as_json(best, trials),
        "settings": dict(settings or {}),
        "machine": machine(),
        "versions": versions(rig.lab),
    }


def result(found: Drain, records: int, workers: int, best: ceiling.Ceiling) -> dict[str, Any]:
    """Figures of a drain.

    What was in the workers' hands when the first write was done is not counted: the time it took lies
    before that write.
    """
    counted = max(1, records - round(found.batch_p50 * workers))
    cpu = {group: found.cpu(group) / counted * 1e6 for group in found.series}
    rate = counted / found.seconds if found.seconds > 0 else 0.0
    return {
        "records": records,
        "seconds": round(found.seconds, 3),
        "records_per_s": round(rate, 1),
        "values_per_s": round(rate * FIELDS, 1),
        "workers": workers,
        "worker_cpu_us_per_record": round(cpu["workers"], 3),
        "influxd_cpu_us_per_record": round(cpu["influxd"], 3),
        "kafka_cpu_us_per_record": round(cpu["kafka"], 3),
        "overhead_ratio": round(cpu["workers"] / cpu["influxd"], 4) if cpu["influxd"] else None,
        "ceiling_records_per_s": round(best.records_per_s, 1),
        "ceiling_ratio": round(rate / best.records_per_s, 4),
        "peak_rss_mb_per_worker": round(found.series["workers"].peak, 1),
        "batch_p50_lines": round(found.batch_p50),
        "counters": found.counters,
        "worker_starts": found.starts,
        "series": {
            group: {
                "cores": [(round(at - found.first, 2), round(load, 3)) for at, load in series.load()],
                "rss_mb": [
                    (round(at - found.first, 2), round(rss, 1))
                    for at, rss in list(zip(series.times, series.rss, strict=True))[::5]
                ],
            }
            for group, series in found.series.items()
        },
    }


def describe(shape: Shape) -> dict[str, Any]:
    """What the records were."""
    return {
        "form": shape.form.value,
        "devices": shape.devices,
        "bytes": len(shape.values(100_000, 1)[0]),
        "bad": shape.bad,
        "seed": shape.seed,
        "step_ms": shape.clock.step_ms,
        "unit": shape.unit.value,
    }
