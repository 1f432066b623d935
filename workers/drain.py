"""The time a worker has to finish in: on SIGTERM, and before partitions are taken away."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from workers.errors import DrainExpired

#: Seconds that leaving the group may take once the budget is over. Budget and this together stay below
#: supervisor.conf's stopwaitsecs.
LEAVE_S = 5.0


class Drain:
    """Bounds every finish: when the budget is over, `DrainExpired` is raised wherever the worker is.

    Args:
        budget_s: Seconds for one finish.
        clock: Monotonic seconds.

    Attributes:
        stopping: True once the worker has been asked to stop.
    """

    def __init__(self, budget_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.stopping = False
        self._budget_s = budget_s
        self._clock = clock
        self._expired = self._closed = False
        self._deadline: float | None = None

    def stop(self, *_: int | FrameType | None) -> None:
        """Begin the last drain: a handler for SIGTERM and SIGINT. The second signal ends it at once."""
        if self._closed:
            return
        if self.stopping:
            self._expire()
        self.stopping = True
        signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._budget_s)
        # A commit or close inside Kafka's client can hang while brokers are away, and C code hears no
        # signal: a thread ends the process then. What was not committed is read again.
        last_resort = threading.Timer(self._budget_s + LEAVE_S, _leave)
        last_resort.daemon = True
        last_resort.start()

    def close(self) -> None:
        """The last drain is over: from here on nothing is interrupted but by the last resort."""
        self._closed = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def revocation(self) -> Iterator[None]:
        """Bound what is done inside: partitions are about to go, and the group waits for it."""
        self._deadline = self._clock() + self._budget_s
        try:
            yield
        finally:
            self._deadline = None

    @property
    def revoking(self) -> bool:
        """True inside `revocation`, where Kafka's client must not be polled."""
        return self._deadline is not None

    @property
    def is_final(self) -> bool:
        """True where this finish is the last chance to commit: a stop or a revocation."""
        return self.stopping or self.revoking

    def remaining(self, most: float) -> float:
        """Seconds until a revocation's deadline, `most` where there is none or it is later."""
        if self._deadline is None:
            return most
        return max(0.0, min(most, self._deadline - self._clock()))

    def check(self, why: str) -> None:
        """Raise `DrainExpired` where the budget is over."""
        if self._expired or (self._deadline is not None and self._clock() >= self._deadline):
            raise DrainExpired(why)

    def _expire(self, *_: int | FrameType | None) -> None:
        self._expired = True
        if not self._closed:
            raise DrainExpired("the time to finish in is over")


def _leave() -> None:
    logging.getLogger("tower.drain").warning("Kafka's client did not let go in time; leaving anyway")
    logging.shutdown()
    os._exit(0)
