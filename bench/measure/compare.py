"""Tower and its peers, one after the other, on the same topic and the same InfluxDB."""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.harness.account import count_points
from bench.harness.bucket import Bucket
from bench.harness.machine import machine, versions
from bench.harness.meter import MACHINE, Meter, Series
from bench.harness.pool import BenchPool
from bench.harness.rig import Rig
from bench.load.produce import LoadProducer, Target
from bench.load.record import RecordShape
from bench.measure.throughput import describe
from bench.peers.peer import PEERS, Job, Peer, Runner
from lab.errors import LabError
from lab.system.progress import Step

TOWER = "Tower"
#: Seconds without a write that end a run: longer than Telegraf's default flush interval.
IDLE_S = 15.0
#: The same if the group has committed everything.
DONE_S = 3.0
#: Seconds until the first write.
START_S = 60.0
#: Shares of a run between which its rate is measured, so that neither start nor last flush counts.
FROM, TO = 0.1, 0.9


def run(
    rig: Rig,
    shape: RecordShape,
    count: int,
    *,
    cap_s: float,
    peers: Sequence[str] = tuple(PEERS),
    workers: int = 3,
) -> dict[str, Any]:
    """Compare Tower with its peers.

    Args:
        rig: The lab to measure in, and what is created there.
        shape: The records, JSON.
        count: Number of records.
        cap_s: Seconds after which a slow peer is stopped; its rate is that of the records it stored.
        peers: Keys of `PEERS`.
        workers: Tower's workers, and partitions of the topic.
    """
    rows: list[dict[str, Any]] = []
    left_out: dict[str, str] = {}
    with rig.topic(workers) as target:
        rig.fill(LoadProducer(target, shape), shape, 0, count)
        comparison = Comparison(rig, target, shape, count, cap_s)
        rows.append(comparison.tower())
        for name in peers:
            peer = PEERS[name]
            try:
                peer.prepare(rig.progress)
            except LabError as error:
                left_out[peer.name] = str(error)
                continue
            rows.append(comparison.peer(peer))
    return {
        "kind": "compare",
        "shape": describe(shape),
        "records": count,
        "cap_s": cap_s,
        "rows": rows,
        "left_out": left_out,
        # Tower's own account; a peer's is in its row.
        "lost": rows[0]["missing"] or 0,
        "duplicated": rows[0]["duplicated"],
        "machine": machine(),
        "versions": versions(rig.lab),
    }


@dataclass(frozen=True)
class Comparison:
    """One comparison: the records that Tower and each peer move.

    Args:
        rig: The lab to measure in, and what is created there.
        target: A topic with all the records.
        shape: The records.
        count: Number of records.
        cap_s: Seconds after which a slow program is stopped.
    """

    rig: Rig
    target: Target
    shape: RecordShape
    count: int
    cap_s: float

    def tower(self) -> dict[str, Any]:
        """Measure Tower."""
        rig, target = self.rig, self.target
        with rig.bucket() as bucket, rig.pool(target, bucket, target.partitions) as pool:
            return self._measure(TOWER, pool, target.topic, bucket)

    def peer(self, peer: Peer) -> dict[str, Any]:
        """Measure a peer."""
        with self.rig.bucket() as bucket:
            folder = self.rig.lab.data / bucket.name
            runner = Runner(peer, Job(self.rig, self.target, bucket, bucket.name, folder, self.shape.unit))
            try:
                return self._measure(peer.name, runner, bucket.name, bucket)
            finally:
                runner.stop()
                shutil.rmtree(folder, ignore_errors=True)

    def _measure(self, name: str, runner: Runner | BenchPool, group: str, bucket: Bucket) -> dict[str, Any]:
        rig, shape = self.rig, self.shape
        rig.settle()
        groups = {"workers": runner.processes, "influxd": rig.influxd, "kafka": rig.kafka}
        with Meter(groups, bucket.look) as meter, rig.progress.step(name) as step:
            runner.start()
            why = _wait(lambda: rig.lag(self.target, group), bucket, runner, self.cap_s, step)
            log = runner.log_tail(5)
        runner.stop()
        bucket.look()
        with rig.progress.step(f"{name}: looking for every sequence number") as step:
            is_bad = shape.is_bad if shape.bad else None
            account = count_points(bucket.sequences(), self.count, self.target.partitions, is_bad)
            step.note(f"{account.stored:,} stored")
        return _row(bucket, meter.series, account.stored) | {
            "name": name,
            "produced": account.produced,
            "stored": account.stored,
            # Records that it had no time for are not lost.
            "missing": None if why == "cap" else account.lost,
            "duplicated": account.duplicated,
            "ended": why,
            "log": log if account.stored == 0 else "",
        }


def _wait(
    lag: Callable[[], int], bucket: Bucket, runner: Runner | BenchPool, cap_s: float, step: Step
) -> str:
    """Wait for the end of a run; return what ended it: exited, done, idle or cap."""
    began = time.time()
    while True:
        time.sleep(0.5)
        now = time.time()
        quiet = now - (bucket.last or began)
        left = lag()
        step.note(f"{left:,} to go")
        if runner.process() is None:
            return "exited"
        if left == 0 and bucket.last and quiet > DONE_S:
            return "done"
        if quiet > (IDLE_S if bucket.last else START_S):
            return "idle"
        if bucket.first and now - bucket.first > cap_s:
            return "cap"


def _row(bucket: Bucket, series: dict[str, Series], stored: int) -> dict[str, Any]:
    if bucket.first is None or bucket.last is None or not stored:
        return {"records_per_s": 0.0, "cpu_us_per_record": None, "influxd_cpu_us_per_record": None}
    begin, end = bucket.first, bucket.last
    cpu = {name: series[name].cpu_between(begin, end) / stored * 1e6 for name in series if name != MACHINE}
    whole = bucket.written[-1][1]
    curve = [(round(at - begin, 2), round(size / whole * stored)) for at, size in bucket.written]
    return {
        "records_per_s": round(steady(curve, stored), 1),
        "seconds": round(end - begin, 2),
        "cpu_us_per_record": round(cpu["workers"], 2),
        "influxd_cpu_us_per_record": round(cpu["influxd"], 2),
        "kafka_cpu_us_per_record": round(cpu["kafka"], 2),
        "overhead_ratio": round(cpu["workers"] / cpu["influxd"], 3) if cpu["influxd"] else None,
        "peak_rss_mb": round(series["workers"].peak, 1),
        "curve": _thinned(curve),
    }


def _thinned(curve: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """Thin a curve to at most about 200 points, from the first write to the last."""
    end = next((place for place, (_, records) in enumerate(curve) if records >= curve[-1][1]), 0)
    used = [point for point in curve[: end + 1] if point[0] >= 0]
    return [*used[:: max(1, len(used) // 200)], curve[end]]


def steady(curve: Sequence[tuple[float, float]], stored: float) -> float:
    """Return the records a second between a tenth and nine tenths of a run.

    Args:
        curve: Seconds and records stored by then.
        stored: Records stored in the end.
    """
    begin, end = (_reached(curve, share * stored) for share in (FROM, TO))
    return stored * (TO - FROM) / (end - begin) if end > begin else 0.0


def _reached(curve: Sequence[tuple[float, float]], wanted: float) -> float:
    before = (curve[0][0], 0.0)
    for at, records in curve:
        if records >= wanted:
            share = (wanted - before[1]) / (records - before[1]) if records > before[1] else 1.0
            return before[0] + share * (at - before[0])
        before = at, records
    return curve[-1][0]
