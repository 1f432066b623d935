"""Records that InfluxDB rejects among good ones: what they cost the good ones, in one run."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from bench.harness.machine import machine, versions
from bench.harness.rig import Rig
from bench.load.record import RecordShape
from bench.measure import ceiling, throughput

#: Seconds that the bucket keeps points.
KEPT_S = 7 * 24 * 3600

#: The first records are good: the first value of a field decides its type.
GOOD = 2_000

_SEQ = re.compile(rb'"seq":(\d+)')
_TIME = re.compile(rb'"time":"[^"]*"')
_OLD = b'"time":"2001-01-01T00:00:00+0000"'


@dataclass(frozen=True)
class RejectedShape(RecordShape):
    """Records in JSON of which a share is rejected.

    Args:
        old: The bad ones are outside the retention; else their `seq` is a text, and in all others a number.
    """

    old: bool = False

    def is_bad(self, seq: int) -> bool:
        """Whether InfluxDB rejects this record."""
        return seq >= GOOD and super().is_bad(seq)

    def values(self, first: int, count: int) -> list[bytes]:
        """The values of the messages from number `first` on."""
        make = self._make
        return [
            self._spoilt(make(seq)) if self.bad and self.is_bad(seq) else make(seq)
            for seq in range(first, first + count)
        ]

    def _spoilt(self, record: bytes) -> bytes:
        return _TIME.sub(_OLD, record) if self.old else _SEQ.sub(rb'"seq":"number \1"', record)


#: Share of rejected records, whether they are too old, and the goal for records/s relative to none. A clean
#: drain comes first and last, because the first also pays for the start of Kafka's JVM.
CASES: dict[str, tuple[float, bool, float | None]] = {
    "clean": (0.0, False, None),
    "every third in conflict": (1 / 3, False, 0.5),
    "one in a hundred in conflict": (0.01, False, 0.9),
    "one in a thousand too old": (0.001, True, 0.9),
    "clean again": (0.0, False, None),
}


def run(
    rig: Rig, shape: RecordShape, count: int, *, workers: int = 3, best: ceiling.Ceiling | None = None
) -> dict[str, Any]:
    """Measure the drain of a topic for each of `CASES`.

    Args:
        rig: The lab to measure in, and what is created there.
        shape: The good records, in JSON.
        count: Number of records in each drain.
        workers: Number of workers, and of the topic's partitions.
        best: The ceiling; None measures it here.

    Returns:
        The result as it is written to JSON.
    """
    if best is None:
        best, _ = ceiling.measure(rig, shape, count, workers)
    rows = [_drained(rig, shape, name, best, count=count, workers=workers) for name in CASES]
    return {
        "kind": "conflict",
        "clean_records_per_s": compare(rows),
        "records": count,
        "workers": workers,
        "rows": rows,
        "lost": sum(row["lost"] for row in rows),
        "duplicated": sum(row["duplicated"] for row in rows),
        "unknown": sum(row["unknown"] for row in rows),
        "other_cores": max(row["other_cores"] for row in rows),
        "machine": machine(),
        "versions": versions(rig.lab),
    }


def compare(rows: Sequence[dict[str, Any]]) -> float:
    """Add each row's records/s relative to the drains without rejected records; return their mean."""
    clean: float = mean(row["records_per_s"] for row in rows if row["goal"] is None)
    for row in rows:
        row["conflict_ratio"] = round(row["records_per_s"] / clean, 3) if clean else None
    return round(clean, 1)


def _drained(
    rig: Rig, shape: RecordShape, name: str, best: ceiling.Ceiling, *, count: int, workers: int
) -> dict[str, Any]:
    share, old, goal = CASES[name]
    spoilt = RejectedShape(clock=shape.clock, seed=shape.seed, bad=share, old=old)
    rig.settle()
    with rig.topic(workers) as target, rig.bucket(KEPT_S if old else 0) as bucket:
        with rig.pool(target, bucket, workers, {"TOWER_TIME_WINDOW_S": str(10**9)}) as pool:
            drained = throughput.drain(rig, [pool], target, bucket, shape=spoilt, count=count)
        account = throughput.look_up(rig, bucket, spoilt, count, workers)
    figures = throughput.result(drained, count, workers, best)
    costs = ("worker_cpu_us_per_record", "influxd_cpu_us_per_record", "kafka_cpu_us_per_record")
    kept = ("records", "seconds", "records_per_s", *costs)
    counters = drained.counters
    return {
        "name": name,
        "goal": goal,
        **{key: figures[key] for key in kept},
        "rejected": count - account.produced,
        "writes": counters["writes"],
        "rejections": counters["rejections"],
        "other_cores": figures["other_cores"],
        "lost": account.lost,
        "duplicated": account.duplicated,
        "unknown": account.unknown,
    }
