"""Latency from produced to queryable, at a fixed rate.

A record's latency starts when it should be produced, even if the producer is late: no coordinated omission.
InfluxDB is queried for each partition's newest `seq` all the time. A partition's records are written in
order: if one is queryable, those before it are too. If one query does not return a record and the next one
does, the record became queryable after the first was sent and before the second was answered. These are its
bounds; its latency is the middle, and half the distance is the resolution.
"""

import http.client
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from bench.harness.account import count_points
from bench.harness.bucket import MEASUREMENT
from bench.harness.machine import machine, versions
from bench.harness.rig import Rig
from bench.load.produce import LoadProducer
from bench.load.record import Clock, RecordShape
from bench.report.percentile import histogram, summary
from lab.errors import LabError, SlowError
from lab.system.files import read_secret

#: Seconds between two queries.
ASK_S = 0.010
#: Seconds of load before the first record that is measured.
WARM_S = 3.0
#: Seconds within which the last record must be queryable.
LAST_RECORD_S = 60.0
#: Milliseconds that the producer waits to fill a request. Fluentd waits longer.
LINGER_MS = 0.5


class QuerySample(NamedTuple):
    """One query: monotonic seconds when it was sent and answered, and the newest `seq` by partition."""

    asked: float
    answered: float
    newest: dict[int, int]


@dataclass
class NewestRecordPoller:
    """Queries the newest records in a thread until `stop` is called.

    Args:
        url: InfluxDB's URL.
        token: A token that may read the bucket.
        bucket: The bucket's name.
        since_ms: Epoch milliseconds of the first record.
    """

    url: str
    token: str
    bucket: str
    since_ms: float

    def __post_init__(self) -> None:
        self.samples: list[QuerySample] = []
        self.failed = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="newest-record-poller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread.

        Raises:
            LabError: A query failed.
        """
        self._stop.set()
        self._thread.join()
        if self.failed:
            raise LabError(f"querying InfluxDB for the newest record: {self.failed}")

    def newest(self, partition: int) -> int:
        """Return the newest `seq` of a partition so far, -1 if there is none."""
        return self.samples[-1].newest.get(partition, -1) if self.samples else -1

    def _run(self) -> None:
        split = urlsplit(self.url)
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=10)
        # A record's time is cut to its second.
        since = int(self.since_ms) // 1000
        query = (
            f'SELECT last("seq") FROM "{MEASUREMENT}" '  # noqa: S608 - names of our own
            f'WHERE time >= {since}s GROUP BY "deviceId"'
        )
        path = f"/query?{urlencode({'db': self.bucket, 'q': query, 'epoch': 'ms'})}"
        headers = {"Authorization": f"Token {self.token}"}
        try:
            while not self._stop.is_set():
                asked = time.monotonic()
                connection.request("GET", path, headers=headers)
                content = json.loads(connection.getresponse().read())
                answered = time.monotonic()
                self.samples.append(QuerySample(asked, answered, _newest(content)))
                self._stop.wait(max(0.0, asked + ASK_S - answered))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failed = str(error)
        finally:
            connection.close()


def _newest(content: Mapping[str, Any]) -> dict[int, int]:
    newest = {}
    for series in content["results"][0].get("series", []):
        # `pi-1` sends to partition 0, and so on.
        newest[int(series["tags"]["deviceId"].rpartition("-")[2]) - 1] = int(series["values"][0][1])
    return newest


def run(
    rig: Rig,
    rate: float,
    seconds: float,
    *,
    workers: int = 3,
    settings: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Measure latency at one rate.

    Args:
        rig: The lab to measure in, and what is created there.
        rate: Records a second, over all partitions.
        seconds: Seconds of records that are measured, after a warm-up.
        workers: Workers and partitions.
        settings: Further settings of the workers.
    """
    count, warm = int(rate * (seconds + WARM_S)), int(rate * WARM_S)
    with (
        rig.topic(workers) as target,
        rig.bucket() as bucket,
        rig.pool(target, bucket, workers, settings) as pool,
    ):
        with rig.progress.step(f"starting {workers} workers"):
            pool.start()
            pool.until(lambda: pool.owned() == workers, 120, "the workers to have their partitions")
        text = f"{rate:,.0f} records a second for {seconds:.0f} s"
        with rig.progress.step(text) as step:
            began, epoch_ms = time.monotonic() + 0.1, (time.time() + 0.1) * 1000
            # One device for each partition: the newest record of each can then be asked for.
            shape = RecordShape(Clock(epoch_ms, 1000 / rate), devices=workers)
            poller = NewestRecordPoller(
                rig.lab.influxdb.url, read_secret(rig.lab.secrets.admin_token) or "", bucket.name, epoch_ms
            )
            try:
                load = LoadProducer(target, shape, LINGER_MS)
                load.pace(0, rate, count, began=began)
                load.finish()
                step.note("waiting for the last")
                _wait(poller, count, workers)
            finally:
                poller.stop()
        account = count_points(bucket.sequences(), count, workers)
    bounds = latencies(poller.samples, intended(began, rate, warm, count), workers)
    return _result(bounds, poller, rate, seconds, workers) | {
        "lost": account.lost,
        "duplicated": account.duplicated,
        "settings": dict(settings or {}),
        "machine": machine(),
        "versions": versions(rig.lab),
    }


def intended(began: float, rate: float, first: int, end: int) -> dict[int, float]:
    """Return when each record should be produced: monotonic seconds by `seq`."""
    return {seq: began + seq / rate for seq in range(first, end)}


def latencies(
    samples: Sequence[QuerySample], moments: Mapping[int, float], partitions: int
) -> list[tuple[float, float]]:
    """Return the bounds of each record's latency in milliseconds: (lower, upper).

    Args:
        samples: Queries in the order they were sent.
        moments: Monotonic seconds at which each record should be produced, by `seq`.
        partitions: Record n is in partition n modulo this.

    Raises:
        LabError: A record never became queryable.
    """
    bounds = []
    places = dict.fromkeys(range(partitions), 0)
    for seq in sorted(moments):
        number = seq % partitions
        place = places[number]
        while place < len(samples) and samples[place].newest.get(number, -1) < seq:
            place += 1
        if place == len(samples):
            raise LabError(f"record {seq} was never queryable")
        places[number] = place
        # Nothing is queryable before it is due.
        before = samples[place - 1].asked if place else moments[seq]
        low = max(0.0, before - moments[seq]) * 1000
        high = max(0.0, samples[place].answered - moments[seq]) * 1000
        bounds.append((low, high))
    return bounds


def _wait(poller: NewestRecordPoller, count: int, workers: int) -> None:
    deadline = time.monotonic() + LAST_RECORD_S
    last = {seq % workers: seq for seq in range(max(0, count - workers), count)}
    while any(poller.newest(number) < seq for number, seq in last.items()) and not poller.failed:
        if time.monotonic() > deadline:
            raise SlowError(
                f"the last records were not queryable {LAST_RECORD_S:.0f} s after they were due"
            )
        time.sleep(0.05)


def _result(
    bounds: Sequence[tuple[float, float]],
    poller: NewestRecordPoller,
    rate: float,
    seconds: float,
    workers: int,
) -> dict[str, Any]:
    middle = [(low + high) / 2 for low, high in bounds]
    percentiles = summary(middle)
    asked = summary([(sample.answered - sample.asked) * 1000 for sample in poller.samples])
    return {
        "kind": "latency",
        "rate": rate,
        "seconds": seconds,
        "workers": workers,
        "records": len(middle),
        **{f"{name}_ms": value for name, value in percentiles.items()},
        "at_least_ms": summary([low for low, _ in bounds]),
        "at_most_ms": summary([high for _, high in bounds]),
        "resolution_ms": round(sum(high - low for low, high in bounds) / len(bounds) / 2, 2),
        "question_ms": asked,
        "histogram": histogram(middle),
        "over_time": _over_time(middle, rate),
    }


def _over_time(values: Sequence[float], rate: float) -> list[tuple[float, float, float]]:
    """Seconds, median and 99th percentile of each half second."""
    step = max(1, int(rate / 2))
    rows = []
    for start in range(0, len(values), step):
        part = summary(values[start : start + step])
        rows.append((round(start / rate, 2), part["p50"], part["p99"]))
    return rows
