"""The ceiling: the rate of influxd alone, with bodies that are encoded and compressed beforehand."""

import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from isal import isal_zlib

from bench.harness.bucket import Bucket
from bench.harness.meter import Meter
from bench.harness.rig import Rig
from bench.load.record import RecordShape
from lab.errors import LabError
from lab.provision import ORG
from workers.batch import Batch
from workers.config.settings import load
from workers.influxdb.writer import COMPRESSION, GZIP
from workers.records.converter import Converter
from workers.records.encoder import Encoder

#: Lines of a body, and numbers of connections, that are tried; the best pair counts.
SIZES = (5_000, 10_000, 20_000)
CONNECTIONS = (2, 3)
#: Maximum number of records of a trial.
TRIAL = 200_000
#: Seconds one request may take.
REQUEST_S = 60.0
CREATE_TIME = 1


@dataclass(frozen=True)
class Ceiling:
    """The outcome of one run against influxd alone."""

    records: int
    seconds: float
    records_per_s: float
    influxd_cpu_us_per_record: float
    body_lines: int
    connections: int


@dataclass(frozen=True, slots=True)
class BenchMessage:
    """A message as the workers' converter reads one."""

    number: int
    place: int
    content: bytes
    moment: int

    def topic(self) -> str:
        """Return a topic; no line contains it."""
        return "bench"

    def partition(self) -> int:
        """Return the partition."""
        return self.number

    def offset(self) -> int:
        """Return the offset."""
        return self.place

    def timestamp(self) -> tuple[int, int]:
        """Return the kind of Kafka's time and its epoch milliseconds."""
        return CREATE_TIME, self.moment

    def value(self) -> bytes:
        """Return the record."""
        return self.content

    def key(self) -> None:
        """Return no key."""

    def headers(self) -> None:
        """Return no headers."""

    def error(self) -> None:
        """Return no error: this message is a record."""


def bodies(shape: RecordShape, count: int, partitions: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number of lines, gzip body) with the lines that workers write for these records.

    Args:
        shape: The records.
        count: Number of records.
        partitions: Number of partitions; a body has the lines of one partition, as a worker's batch has.
        size: Maximum number of lines in a body.
    """
    settings = load({"TOWER_INFLUXDB_TOKEN": "-"})
    converter = Converter(settings.route, Encoder(settings.route))
    for first in range(0, count, size * partitions):
        values = shape.values(first, min(size * partitions, count - first))
        for number in range(partitions):
            messages = [
                BenchMessage(number, first // partitions + place, value, int(shape.clock.start_ms))
                for place, value in enumerate(values[number::partitions])
            ]
            batch = Batch()
            converter.convert(messages, batch)
            if batch.lines:
                body = isal_zlib.compress(b"\n".join(batch.lines), COMPRESSION, GZIP)
                yield len(batch.lines), body


def measure(rig: Rig, shape: RecordShape, count: int, partitions: int = 3) -> tuple[Ceiling, list[Ceiling]]:
    """Measure the highest rate of influxd alone.

    Each pair of body size and connections is tried with few records. The best pair then writes all of them:
    in a longer run influxd also compacts what it stored.

    Returns:
        The run with all records, and the trials before it.
    """
    trials: list[Ceiling] = []
    for size in SIZES:
        trial_bodies = list(bodies(shape, min(count, TRIAL), partitions, size))
        trials += [_run(rig, trial_bodies, size, connections) for connections in CONNECTIONS]
    best = max(trials, key=lambda trial: trial.records_per_s)
    if count <= TRIAL:
        return best, trials
    all_bodies = list(bodies(shape, count, partitions, best.body_lines))
    return _run(rig, all_bodies, best.body_lines, best.connections), trials


def _run(rig: Rig, bodies_to_send: list[tuple[int, bytes]], size: int, connections: int) -> Ceiling:
    records = sum(lines for lines, _ in bodies_to_send)
    text = f"influxd alone: {records:,} records, {size:,} a body, {connections} connections"
    with rig.bucket() as bucket, Meter({"influxd": rig.influxd}) as meter, rig.progress.step(text) as step:
        queue, failed = iter(bodies_to_send), list[str]()
        lock = threading.Lock()

        def send() -> None:
            sender = Sender(rig.lab.influxdb.url, bucket)
            while not failed:
                with lock:
                    body = next(queue, None)
                if body is None:
                    break
                try:
                    sender.send(body[1])
                except (OSError, http.client.HTTPException, LabError) as error:
                    failed.append(str(error))
            sender.close()

        threads = [threading.Thread(target=send, daemon=True) for _ in range(connections)]
        began = time.time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ended = time.time()
        seconds = ended - began
        step.note(f"{records / seconds:,.0f} a second")
        if failed:
            raise LabError(f"influxd did not store the bodies of the ceiling: {failed[0]}")
        stored = bucket.count()
        if stored != records:
            raise LabError(f"the ceiling's bodies held {records} records, InfluxDB stored {stored}")
    cpu = meter.series["influxd"].cpu_between(began, ended)
    return Ceiling(records, seconds, records / seconds, cpu / records * 1e6, size, connections)


class Sender:
    """A connection that writes bodies and stays open."""

    def __init__(self, url: str, bucket: Bucket) -> None:
        split = urlsplit(url)
        self._connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=REQUEST_S)
        query = urlencode({"org": ORG, "bucket": bucket.name, "precision": "ns"})
        self._path = f"/api/v2/write?{query}"
        self._headers = {"Authorization": f"Token {bucket.token}", "Content-Encoding": "gzip"}

    def send(self, body: bytes) -> None:
        """Write one body.

        Raises:
            LabError: InfluxDB's status is not 204.
        """
        self._connection.request("POST", self._path, body, self._headers)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 204:
            raise LabError(f"InfluxDB answered {answer.status}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def as_json(best: Ceiling, trials: list[Ceiling]) -> dict[str, Any]:
    """Return best run and trials as they are written to JSON."""
    return asdict(best) | {"trials": [asdict(trial) for trial in trials]}
