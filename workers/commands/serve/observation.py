"""The pool at one moment: the workers' state files and the latest reading of Kafka."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workers.commands.clients.worker_states import WorkerReport, read_states
from workers.commands.pool.facts import PoolFacts, run_dir_problem
from workers.commands.pool.partition_rows import PartitionRow, partition_rows
from workers.commands.pool.troubles import Severity, Trouble, find_troubles
from workers.commands.serve.kafka_view import KafkaReading
from workers.types import PartitionKey

#: Seconds for which one observation answers all requests.
KEPT_S = 0.5

#: Seconds for which one observation says who owns the partitions. The history makes one every two.
OWNERS_KEPT_S = 4.0


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Args:
        at: Seconds since the epoch.
        workers: The state files of all workers.
        kafka: The latest reading of Kafka.
        facts: What else is known about the pool.
    """

    at: float
    workers: list[WorkerReport]
    kafka: KafkaReading
    facts: PoolFacts

    @property
    def running(self) -> list[WorkerReport]:
        """Return the workers that run."""
        return [worker for worker in self.workers if worker.is_running]

    @property
    def worker_numbers(self) -> list[int]:
        """Return the numbers of the workers that should run or do, in order."""
        return sorted({*range(self.facts.expected_workers), *(worker.number for worker in self.running)})

    @property
    def owned_here(self) -> set[PartitionKey]:
        """Return the partitions that running workers of this machine own."""
        return {number for worker in self.running for number in worker.owned}

    @cached_property
    def rows(self) -> list[PartitionRow]:
        """Return one row for each partition, as `status` shows them."""
        return partition_rows(self.workers, self.facts.offsets)

    @cached_property
    def troubles(self) -> list[Trouble]:
        """Return what `status` says is wrong."""
        return find_troubles(self.workers, self.facts)

    @cached_property
    def errors(self) -> list[Trouble]:
        """Return the troubles that are errors."""
        return [trouble for trouble in self.troubles if trouble.severity is Severity.ERROR]

    def lag_seconds(self, row: PartitionRow) -> float | None:
        """Return the age of a partition's oldest record that is not stored; None if it is unknown."""
        if row.lag is None:
            return None
        if not row.lag:
            return 0.0
        in_hand = [
            milliseconds / 1000
            for worker in self.running
            if (milliseconds := worker.content.get("oldest_ms", {}).get(str(row.partition), 0)) > 0
        ]
        at_offset = self.kafka.oldest.get(row.partition)
        times = [*in_hand, *([] if at_offset is None else [at_offset])]
        return max(0.0, self.at - min(times)) if times else None


class Observer:
    """Makes observations, and gives the same one for a while.

    Args:
        run_dir: The folder of the state files.
        kafka: Returns the latest reading of Kafka.
        expected: Number of workers that should run.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        run_dir: Path,
        kafka: Callable[[], KafkaReading],
        expected: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run_dir = run_dir
        self._kafka = kafka
        self._expected = expected
        self._clock = clock
        self._lock = threading.Lock()
        self._latest: Observation | None = None

    def observe(self, kept_s: float = KEPT_S) -> Observation:
        """Return the pool as it is now.

        Args:
            kept_s: The observation may be older than now by less than this.
        """
        with self._lock:
            now = self._clock()
            if self._latest is None or not 0 <= now - self._latest.at < kept_s:
                workers, kafka = read_states(self._run_dir, now), self._kafka()
                facts = PoolFacts(
                    kafka.group, self._expected, str(self._run_dir), run_dir_problem(self._run_dir)
                )
                self._latest = Observation(now, workers, kafka, facts)
            return self._latest
