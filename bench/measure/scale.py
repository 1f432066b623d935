"""The cost of a record with more workers, on two hosts, and with a longer way to InfluxDB."""

from collections.abc import Sequence
from typing import Any

from bench.harness.machine import machine, versions
from bench.harness.rig import Rig
from bench.load.delay_proxy import delayed
from bench.load.record import RecordShape
from bench.measure import throughput
from bench.measure.throughput import DrainResult
from lab.system.network import missing, network
from lab.system.progress import Progress

#: Numbers of workers, and of partitions: the lab's three, fewer, and more.
COUNTS = (1, 3, 6, 12, 48)
#: Minimum number of records for each worker: with fewer, the costs of a worker's start (the memory it
#: allocates with its first batches) would be most of a record's cost.
SHARE = 100_000
#: Milliseconds added to a round trip to InfluxDB.
DELAYS = (0, 20, 100)
#: Lines of a batch in a second run with the longest delay, which needs larger batches.
FAR_LINES = 10_000
#: Workers of the runs on one and on two hosts.
SHARED = 6


def over_workers(
    rig: Rig, shape: RecordShape, count: int, counts: Sequence[int] = COUNTS
) -> list[dict[str, Any]]:
    """Measure with more and more workers and partitions; each worker has at least `SHARE` records."""
    return [
        _drain(rig, shape, max(count, SHARE * workers), workers)
        | {"case": f"{workers} worker{'s' * (workers > 1)}"}
        for workers in counts
    ]


def over_delays(
    rig: Rig, shape: RecordShape, count: int, delays: Sequence[float] = DELAYS, workers: int = 3
) -> list[dict[str, Any]]:
    """Measure with longer and longer round trips; the longest one with larger batches too."""
    rows = []
    for delay, lines in [*((delay, None) for delay in delays), (max(delays), FAR_LINES)]:
        more = {"TOWER_BATCH_LINES": str(lines)} if lines else {}
        with delayed(rig.lab.influxdb.url, delay) as url:
            row = _drain(rig, shape, count, workers, settings={"TOWER_INFLUXDB_URL": url} | more)
        case = f"+{delay:g} ms" + (f", TOWER_BATCH_LINES={lines}" if lines else "")
        rows.append(row | {"case": case, "delay_ms": delay, "batch_lines": lines})
    return rows


def over_hosts(progress: Progress, shape: RecordShape, count: int) -> tuple[list[dict[str, Any]], str]:
    """Measure one group on one host and on two; return the rows, or the reason why there are none."""
    why = missing()
    if why:
        return [], why
    rows = []
    with network(2) as bridge, Rig(progress, host=bridge.here.address) as rig:
        prefixes = [host.words for host in bridge.hosts]
        for used in (prefixes[:1], prefixes):
            row = _drain(rig, shape, count, SHARED, prefixes=used)
            rows.append(row | {"case": f"{SHARED} workers on {len(used)} host{'s' * (len(used) > 1)}"})
    return rows, ""


def run(
    rig: Rig,
    shape: RecordShape,
    count: int,
    *,
    counts: Sequence[int] = COUNTS,
    delays: Sequence[float] = DELAYS,
    two_hosts: bool = True,
) -> dict[str, Any]:
    """Measure over workers, round trips and hosts.

    Args:
        rig: The lab to measure in, and what is created there.
        shape: The records.
        count: Number of records in each run, more with many workers (see `over_workers`).
        counts: Numbers of workers.
        delays: Milliseconds added to a round trip.
        two_hosts: Measure on two hosts too.
    """
    by_hosts, why = over_hosts(rig.progress, shape, count) if two_hosts else ([], "not asked for")
    by_workers = over_workers(rig, shape, count, counts)
    by_delays = over_delays(rig, shape, count, delays)
    rows = [*by_workers, *by_delays, *by_hosts]
    return {
        "kind": "scale",
        "shape": throughput.describe(shape),
        "workers": by_workers,
        "delays": by_delays,
        "hosts": by_hosts,
        "left_out": {"hosts": why} if why else {},
        "machine": machine(),
        "versions": versions(rig.lab),
        **{name: sum(row[name] for row in rows) for name in ("lost", "duplicated", "unknown")},
    }


def _drain(
    rig: Rig,
    shape: RecordShape,
    count: int,
    workers: int,
    *,
    settings: dict[str, str] | None = None,
    prefixes: Sequence[Sequence[str]] = ((),),
) -> dict[str, Any]:
    with rig.topic(workers) as target, rig.bucket() as bucket:
        share = workers // len(prefixes)
        with rig.pools(target, bucket, [(share, prefix) for prefix in prefixes], settings) as pools:
            drained = throughput.drain(rig, pools, target, bucket, shape=shape, count=count)
        account = throughput.look_up(rig, bucket, shape, count, workers)
    return _row(drained, count, workers) | {
        "lost": account.lost,
        "duplicated": account.duplicated,
        "unknown": account.unknown,
    }


def _row(drained: DrainResult, count: int, workers: int) -> dict[str, Any]:
    rate = count / (drained.last - drained.begin) if drained.last > drained.begin else 0.0
    return {
        "workers": workers,
        "records": count,
        "records_per_s": round(rate, 1),
        "worker_cpu_us_per_record": round(drained.cpu("workers") / count * 1e6, 3),
        "influxd_cpu_us_per_record": round(drained.cpu("influxd") / count * 1e6, 3),
        "kafka_cpu_us_per_record": round(drained.cpu("kafka") / count * 1e6, 3),
        "peak_rss_mb_per_worker": round(drained.series["workers"].peak, 1),
        "batch_p50_lines": round(drained.batch_p50),
        "rebalances": drained.counters["rebalances"],
        "worker_starts": drained.starts,
        "other_cores": round(drained.others(), 2),
    }
