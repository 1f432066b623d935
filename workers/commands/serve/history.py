"""The last minutes of each partition, for the plots of the page."""

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workers.commands.serve.observation import Observation

if TYPE_CHECKING:
    from workers.types import PartitionKey

#: Seconds between two samples.
EVERY_S = 2.0

#: Samples that are kept: five minutes.
KEPT = 150


class PartitionHistory:
    """Records stored a second and lag of one partition, oldest first."""

    def __init__(self) -> None:
        self.rates: deque[float | None] = deque(maxlen=KEPT)
        self.lags: deque[int | None] = deque(maxlen=KEPT)
        self._stored = 0
        self._at: float | None = None

    def add(self, at: float, stored: int, lag: int | None) -> None:
        """Add a sample.

        Args:
            at: Seconds since the epoch.
            stored: Records stored since the workers started.
            lag: Records not yet committed, None if Kafka does not answer.
        """
        if self._at is None or at <= self._at:
            rate = None
        else:
            # A worker that was started again counts from 0.
            begun = self._stored if stored >= self._stored else 0
            rate = round((stored - begun) / (at - self._at), 1)
        self._stored, self._at = stored, at
        self.rates.append(rate)
        self.lags.append(lag)


class History:
    """Samples all partitions in a thread of its own.

    Args:
        observe: Returns the pool as it is now.
    """

    def __init__(self, observe: Callable[[], Observation]) -> None:
        self._observe = observe
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._partitions: dict[PartitionKey, PartitionHistory] = {}

    def start(self) -> None:
        """Sample again and again, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="history", daemon=True).start()

    def stop(self) -> None:
        """End the thread after its sample."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(EVERY_S):
            self.sample(self._observe())

    def sample(self, observation: Observation) -> None:
        """Add one sample of each partition; a partition that is gone is forgotten."""
        with self._lock:
            before, self._partitions = self._partitions, {}
            for row in observation.rows:
                partition = before.get(row.partition) or PartitionHistory()
                partition.add(observation.at, row.written, row.lag)
                self._partitions[row.partition] = partition

    def content(self) -> dict[str, Any]:
        """Return all samples, by partition."""
        with self._lock:
            return {
                "every_s": EVERY_S,
                "kept": KEPT,
                "partitions": {
                    number: {"rates": list(partition.rates), "lags": list(partition.lags)}
                    for number, partition in self._partitions.items()
                },
            }
