"""The last minutes of each partition, for the plots of the page."""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any

from workers.commands.serve.observation import Observation

if TYPE_CHECKING:
    from workers.types import PartitionKey

#: Seconds between two samples.
EVERY_S = 2.0

#: Seconds by which a sample may come early or late. An open page asks every `EVERY_S`, and what it shows
#: becomes the sample: so the pool is observed once and not twice.
SLACK_S = 0.1

#: Samples that are kept: five minutes.
KEPT = 150

#: Newest samples that each answer to the page has; a page that missed more asks for all.
NEWEST = 5


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
            stored: Records stored since the workers started, by all that had the partition.
            lag: Records not yet committed, None if Kafka does not answer.
        """
        if self._at is None or at <= self._at or stored < self._stored:
            # A worker that was started again counts from 0, and its own share of the sum is unknown.
            rate = None
        else:
            rate = round((stored - self._stored) / (at - self._at), 1)
        self._stored, self._at = stored, at
        self.rates.append(rate)
        self.lags.append(lag)


class History:
    """Samples all partitions, in a thread of its own if nobody offers an observation in time.

    Args:
        observe: Returns the pool as it is now.
    """

    def __init__(self, observe: Callable[[], Observation]) -> None:
        self._observe = observe
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._partitions: dict[PartitionKey, PartitionHistory] = {}
        self._begun = time.time()
        self._samples = 0
        self._sampled_at = float("-inf")

    def start(self) -> None:
        """Sample again and again, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="history", daemon=True).start()

    def stop(self) -> None:
        """End the thread after its sample."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._wait_s()):
            self.offer(self._observe())

    def _wait_s(self) -> float:
        """Return the seconds until the thread has to take a sample itself."""
        latest_s = EVERY_S + SLACK_S
        # The clock may be set.
        return min(latest_s, max(SLACK_S, self._sampled_at + latest_s - time.time()))

    def offer(self, observation: Observation) -> None:
        """Take a sample if one is due."""
        if not 0 <= observation.at - self._sampled_at < EVERY_S - SLACK_S:
            self.sample(observation)

    def sample(self, observation: Observation) -> None:
        """Add one sample of each partition; a partition that is gone is forgotten."""
        with self._lock:
            self._samples += 1
            self._sampled_at = observation.at
            before, self._partitions = self._partitions, {}
            for row in observation.rows:
                partition = before.get(row.partition) or PartitionHistory()
                partition.add(observation.at, row.written, row.lag)
                self._partitions[row.partition] = partition

    def content(self, newest: int = KEPT) -> dict[str, Any]:
        """Return samples by partition, and how many there were so far.

        Args:
            newest: Most samples of a partition.
        """
        with self._lock:
            return {
                "kept": KEPT,
                "begun": self._begun,
                "samples": self._samples,
                "partitions": {
                    number: {
                        "rates": _newest(partition.rates, newest),
                        "lags": _newest(partition.lags, newest),
                    }
                    for number, partition in self._partitions.items()
                },
            }


def _newest(values: deque[Any], count: int) -> list[Any]:
    return list(islice(values, max(0, len(values) - count), None))
