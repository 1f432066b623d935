"""An outage of InfluxDB under load: lag, memory, rebalances, and how fast the backlog is written."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bench.harness.machine import machine, versions
from bench.harness.meter import Meter
from bench.harness.pool import BenchPool
from bench.harness.rig import Rig
from bench.load.produce import LoadProducer, Target
from bench.load.record import RecordShape
from bench.measure import ceiling, throughput
from bench.measure.throughput import SLOWEST, START_S, describe, look_up
from lab.system.progress import Step
from lab.system.server_process import wait_until

#: Seconds of load before the outage: the workers are then past their start.
BEFORE_S = 5.0
#: Maximum number of records of the drain without an outage.
DRAINED = 1_000_000
#: Seconds between two samples of lag and states.
LOOK_S = 0.5


class OutageKind(StrEnum):
    """How influxd is made unavailable."""

    #: SIGSTOP, then SIGCONT: connections stay open and nothing answers.
    FREEZE = "freeze"
    #: SIGKILL, then a new start.
    KILL = "kill"


@dataclass
class LagRecorder:
    """Samples lag and workers' states, with seconds since the outage began.

    Args:
        rig: The lab to measure in, and what is created there.
        pool: The workers that are sampled.
        target: The topic they read.
        step: Shows the lag.
        began: Epoch seconds at which the outage begins.
    """

    rig: Rig
    pool: BenchPool
    target: Target
    step: Step
    began: float = 0.0
    lag: list[tuple[float, int]] = field(default_factory=list)
    waiting: list[tuple[float, int]] = field(default_factory=list)

    def look(self) -> int:
        """Sample lag and states once; return the lag in records."""
        lag = self.rig.lag(self.target)
        at = round(time.time() - self.began, 2)
        self.lag.append((at, lag))
        self.waiting.append((at, sum(state.get("state") == "waiting" for state in self.pool.states())))
        self.step.note(f"lag {lag:,}")
        return lag

    def keep(self, seconds: float) -> None:
        """Sample for this many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(min(LOOK_S, max(0.0, end - time.monotonic())))


def run(
    rig: Rig,
    shape: RecordShape,
    *,
    rate: float,
    seconds: float,
    how: OutageKind = OutageKind.FREEZE,
    workers: int = 3,
    settings: Mapping[str, str] | None = None,
    best: ceiling.Ceiling | None = None,
    drained: float | None = None,
) -> dict[str, Any]:
    """Measure one outage.

    Args:
        rig: The lab to measure in, and what is created there.
        shape: The records.
        rate: Records a second, up to the end of the outage.
        seconds: Length of the outage.
        how: Freeze influxd or kill it.
        workers: Workers and partitions.
        settings: Further settings of the workers.
        best: The ceiling; None measures it here.
        drained: Records a second of the same pool without an outage, the fastest that catching up can be;
            None measures it here.
    """
    count = int(rate * (BEFORE_S + seconds))
    few = min(count, DRAINED)
    if best is None:
        rig.settle()
        best, _ = ceiling.measure(rig, shape, few, workers)
    if drained is None:
        drain_result = throughput.run(rig, shape, few, workers=workers, settings=settings, best=best)
        drained = float(drain_result["records_per_s"])
    with (
        rig.topic(workers) as target,
        rig.bucket() as bucket,
        rig.pool(target, bucket, workers, settings) as pool,
    ):
        with rig.progress.step(f"starting {workers} workers"):
            pool.start()
            pool.until(lambda: pool.owned() == workers, START_S, "the workers to have their partitions")
        load = LoadProducer(target, shape)
        sending = threading.Thread(target=load.pace, args=(0, rate, count), daemon=True)
        groups = {"workers": pool.processes, "influxd": rig.influxd, "kafka": rig.kafka}
        text = f"{how.value} influxd for {seconds:.0f} s at {rate:,.0f} records a second"
        with Meter(groups, bucket.look) as meter, rig.progress.step(text) as step:
            sending.start()
            recorder = LagRecorder(rig, pool, target, step, time.time() + BEFORE_S)
            recorder.keep(BEFORE_S)
            before = {name: pool.counter(name) for name in ("rebalances", "retries")}
            healed = _away(rig, how, lambda: recorder.keep(seconds))
            sending.join()
            load.finish()
            first = bucket.wait_first(healed)
            seen, backlog = time.time(), recorder.look()
            limit = START_S + count / SLOWEST
            pool.until(lambda: recorder.look() == 0, limit, "the backlog to be committed", LOOK_S)
            time.sleep(1.2)
        after = {name: pool.counter(name) for name in before}
        starts = pool.starts()
        account = look_up(rig, bucket, shape, count, workers)
    last = bucket.last or first
    rate_after = backlog / (last - seen) if last > seen else 0.0
    return {
        "kind": "outage",
        "shape": describe(shape),
        "how": how.value,
        "rate": rate,
        "outage_s": seconds,
        "workers": workers,
        "records": account.produced,
        "lost": account.lost,
        "duplicated": account.duplicated,
        "unknown": account.unknown,
        "rebalances": after["rebalances"] - before["rebalances"],
        "retries": after["retries"] - before["retries"],
        "restarts": starts - workers,
        "peak_lag": max(lag for _, lag in recorder.lag),
        "backlog": backlog,
        "recovery_s": round(first - healed, 3),
        "catch_up_s": round(last - seen, 3),
        "catch_up_records_per_s": round(rate_after, 1),
        "ceiling_records_per_s": round(best.records_per_s, 1),
        "catch_up_ratio": round(rate_after / best.records_per_s, 4),
        "drained_records_per_s": round(drained, 1),
        "catch_up_to_drained": round(rate_after / drained, 4),
        "peak_rss_mb_per_worker": round(meter.series["workers"].peak, 1),
        "lag": recorder.lag,
        "waiting": recorder.waiting,
        "rss_mb": [
            (round(at - recorder.began, 2), round(rss, 1))
            for at, rss in list(
                zip(meter.series["workers"].times, meter.series["workers"].rss, strict=True)
            )[::5]
        ],
        "settings": dict(settings or {}),
        "machine": machine(),
        "versions": versions(rig.lab),
    }


def _away(rig: Rig, how: OutageKind, meanwhile: Callable[[], None]) -> float:
    """Make InfluxDB unavailable while `meanwhile` runs; return the epoch seconds of its return."""
    influxdb = rig.lab.influxdb
    if how is OutageKind.FREEZE:
        influxdb.pause()
    else:
        influxdb.kill()
    try:
        meanwhile()
    finally:
        healed = time.time()
        if how is OutageKind.FREEZE:
            influxdb.resume()
        else:
            influxdb.start()
            wait_until(lambda: influxdb.serving(0.2), START_S, 0.02)
            healed = time.time()
    return healed
