"""Limits the time to finish the batch in hand: on SIGTERM, and before partitions are revoked."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from workers.errors import DrainExpired

#: Seconds to leave the group after the time to finish is over. The sum of both is below stopwaitsecs in
#: supervisor.conf.
LEAVE_S = 5.0


class Drain:
    """Raises `DrainExpired` when the time to finish is over.

    Args:
        budget_s: Seconds to finish (TOWER_DRAIN_S).
        clock: Monotonic seconds.

    Attributes:
        stopping: True after the first SIGTERM or SIGINT.
    """

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.stopping = False
        self._budget_s = budget_s
        self._clock = clock
        self._expired = self._closed = False
        self._deadline: float | None = None

    def stop(self, *_: int | FrameType | None) -> None:
        """Start the time to finish. This handles SIGTERM and SIGINT; the second signal ends it at once."""
        if self._closed:
            return
        if self.stopping:
            self._expire()
        self.stopping = True
        signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._budget_s)
        # A commit or close inside Kafka's client can hang while brokers are down, and C code is not
        # interrupted by a signal. Then a thread exits the process, and uncommitted records are read again.
        last_resort = threading.Timer(self._budget_s + LEAVE_S, _exit)
        last_resort.daemon = True
        last_resort.start()

    def close(self) -> None:
        """End the time to finish. From now on only the thread of `stop` interrupts the worker."""
        self._closed = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def revocation(self) -> Iterator[None]:
        """Limit the time of the block: the group waits until the partitions are given up."""
        self._deadline = self._clock() + self._budget_s
        try:
            yield
        finally:
            self._deadline = None

    @property
    def revoking(self) -> bool:
        """True inside `revocation`. Kafka's client must not be polled then."""
        return self._deadline is not None

    @property
    def is_final(self) -> bool:
        """True if the next commit is the last one: during a stop or a revocation."""
        return self.stopping or self.revoking

    def remaining(self, max_s: float) -> float:
        """Return the seconds until a revocation's deadline, at most `max_s`."""
        if self._deadline is None:
            return max_s
        return max(0.0, min(max_s, self._deadline - self._clock()))

    def check(self, why: str) -> None:
        """Raise `DrainExpired` if the time to finish is over.

        Args:
            why: The error's text: what the worker was waiting for.
        """
        if self._expired or (self._deadline is not None and self._clock() >= self._deadline):
            raise DrainExpired(why)

    def _expire(self, number: int | None = None, _: FrameType | None = None) -> None:
        self._expired = True
        if not self._closed:
            alarm = f"the {self._budget_s:g} s of TOWER_DRAIN_S are over"
            raise DrainExpired("a second signal arrived" if number is None else alarm)


def _exit() -> None:
    logging.getLogger("tower.drain").warning(
        "Kafka's client did not close in time: exiting without it. Uncommitted records are read again"
    )
    logging.shutdown()
    os._exit(0)
