"""The lab of a measurement, and the topics, buckets and pools that it creates."""

import contextlib
import itertools
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psutil

from bench.harness.bucket import MEASUREMENT, Bucket
from bench.harness.pool import BenchPool
from bench.harness.route_file import BenchRoute
from bench.load.produce import LoadProducer, Target
from bench.load.record import RecordShape
from lab.lab import Lab
from lab.system.progress import Progress
from lab.topology import LabOptions

#: Seconds for a pool's workers to start and share out the partitions.
JOIN_S = 90.0


class Rig:
    """A lab and what a measurement creates in it.

    Args:
        progress: Shows what is waited for.
        data: Folder of a lab that stays up, created if it is missing; None for a temporary lab.
        host: Address that a temporary lab listens on, so that other hosts can reach it.
    """

    def __init__(self, progress: Progress, data: Path | None = None, host: str | None = None) -> None:
        self.progress = progress
        self._data = data
        self._host = host
        self._stack = ExitStack()
        # Neither a time nor a process id is unique, and a bucket that takes the name of a deleted one would
        # find that one's token, which may not write to it.
        self._run = f"bench-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        folder = self._data
        if folder is None:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tower-bench-")))
            folder /= "lab"
            self.lab = self._stack.enter_context(
                Lab(folder, LabOptions.free_ports(host=self._host), self.progress)
            )
        else:
            self.lab = Lab(folder, LabOptions(), self.progress).up()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    @contextmanager
    def topic(self, partitions: int) -> Iterator[Target]:
        """Create a topic and its dead-letter topic; delete both at the end."""
        name = f"{self._run}-{next(self._numbers)}"
        self.lab.topics.create(name, partitions)
        self.lab.topics.create(f"{name}.dlq", 1)
        try:
            yield Target(self.lab.bootstrap_servers, name, partitions)
        finally:
            for topic in (name, f"{name}.dlq"):
                self.lab.topics.delete(topic)

    @contextmanager
    def bucket(self, retention_s: int = 0, route: BenchRoute | None = None) -> Iterator[Bucket]:
        """Create a bucket; delete it at the end.

        Args:
            retention_s: Seconds that it keeps points; 0: for ever.
            route: The route whose points are looked up; None for the lab's.
        """
        measurement = route.measurement if route else MEASUREMENT
        bucket = Bucket(self.lab, f"{self._run}-{next(self._numbers)}", retention_s, measurement)
        try:
            yield bucket
        finally:
            bucket.drop()

    @contextmanager
    def pool(
        self, target: Target, bucket: Bucket, workers: int, settings: Mapping[str, str] | None = None
    ) -> Iterator[BenchPool]:
        """Create a pool without starting it; stop it at the end.

        Args:
            target: Topic to read; also the name of the group.
            bucket: Bucket to write.
            workers: Number of workers.
            settings: Further settings of the workers.
        """
        with self.pools(target, bucket, [(workers, ())], settings) as pools:
            yield pools[0]

    @contextmanager
    def pools(
        self,
        target: Target,
        bucket: Bucket,
        sizes: Sequence[tuple[int, Sequence[str]]],
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[list[BenchPool]]:
        """Create several pools of one group; stop them at the end.

        Args:
            target: Topic to read; also the name of the group.
            bucket: Bucket to write.
            sizes: For each pool, the number of workers and the words that run it on its host.
            settings: Further settings of the workers.
        """
        pools = [
            BenchPool(
                self.lab.data / f"{self._run}-{next(self._numbers)}",
                {
                    name: value
                    for name, value in (self.settings(target, bucket) | dict(settings or {})).items()
                    if value
                },
                workers,
                prefix,
            )
            for workers, prefix in sizes
        ]
        try:
            yield pools
        finally:
            for pool in pools:
                pool.terminate()
            for pool in pools:
                pool.stop()
                shutil.rmtree(pool.folder, ignore_errors=True)

    def route_settings(self, target: Target, route: BenchRoute) -> dict[str, str]:
        """Return the settings that replace the lab's route; an empty one is not passed on."""
        return {"TOWER_TOPIC": "", "TOWER_ROUTES": str(route.write(self.lab.data, target.topic))}

    def settings(self, target: Target, bucket: Bucket) -> dict[str, str]:
        """Return a worker's settings for one topic and one bucket."""
        settings = self.lab.worker_environment()
        del settings["TOWER_INFLUXDB_TOKEN_FILE"]
        return settings | {
            "TOWER_TOPIC": target.topic,
            "TOWER_DEAD_LETTER_TOPIC": f"{target.topic}.dlq",
            "TOWER_KAFKA_GROUP_ID": target.topic,
            "TOWER_INFLUXDB_BUCKET": bucket.name,
            "TOWER_INFLUXDB_DATABASE": bucket.name,
            "TOWER_INFLUXDB_TOKEN": bucket.token,
        }

    def fill(self, load: LoadProducer, shape: RecordShape, first: int, count: int) -> None:
        """Produce records as fast as possible."""
        with self.progress.step(f"producing {count:,} {shape.form} records") as step:
            seconds = load.fill(first, count, step.note)
            step.note(f"{count / seconds:,.0f} a second")

    def lag(self, target: Target, group: str | None = None) -> int:
        """Return the number of records that a group has not committed; None: the pools' group."""
        ends = self.lab.topics.log_ends(target.topic)
        done = self.lab.topics.committed(group or target.topic, target.topic)
        return sum(end - (done.get(number) or 0) for number, end in ends.items())

    def influxd(self) -> list[psutil.Process]:
        """Return influxd's process, if it runs."""
        return _running([self.lab.influxdb.process()])

    def kafka(self) -> list[psutil.Process]:
        """Return the processes of Kafka's nodes."""
        return _running([node.process() for node in self.lab.nodes])

    def settle(self, quiet_s: float = 1.0, max_s: float = 20.0) -> None:
        """Wait until influxd and Kafka are idle, past compactions and deletions of earlier runs.

        Args:
            quiet_s: Seconds over which their CPU is measured.
            max_s: Maximum seconds to wait.
        """
        processes = self.influxd() + self.kafka()
        began = time.monotonic()
        with self.progress.step("waiting for the servers to be idle"):
            while time.monotonic() - began < max_s:
                before = _cpu(processes)
                time.sleep(quiet_s)
                if _cpu(processes) - before < 0.1 * quiet_s:
                    return


def _running(processes: list[psutil.Process | None]) -> list[psutil.Process]:
    return [process for process in processes if process is not None]


def _cpu(processes: list[psutil.Process]) -> float:
    used = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system
    return used
