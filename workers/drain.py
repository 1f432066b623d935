"""Limits the time to finish the batch in hand: on SIGTERM, and before partitions are revoked."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workers.errors import DrainExpired

#: Seconds to leave the group after the time to finish is over. The sum of both is below stopwaitsecs in
#: supervisor.conf.
LEAVE_S = 5.0


class Drain:
    """Raises `DrainExpired` when the time to finish is over, but only where the worker waits.

    Every wait for InfluxDB, Kafka or the dead letters calls `check` a few times per second. Work between
    two waits is short and is never interrupted, so counters and batch stay consistent.

    Args:
        budget_s: Seconds to finish (TOWER_DRAIN_S).
        clock: Monotonic seconds.
        at_stop: Called once, at the first signal.

    Attributes:
        stopping: True after the first SIGTERM or SIGINT.
    """

    def __init__(
        self,
        budget_s: float,
        clock: Callable[[], float] = time.monotonic,
        at_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.stopping = False
        self._budget_s = budget_s
        self._clock = clock
        self._at_stop = at_stop
        self._hurried = self._closed = False
        self._stop_by: float | None = None
        self._revoke_by: float | None = None

    def stop(self) -> None:
        """Start the time to finish; the second call ends it at once.

        A signal handler calls this between any two bytecodes of the main thread. So it takes no lock,
        starts no thread, raises nothing and only changes flags.
        """
        if self.stopping:
            self._hurried = True
            return
        self._stop_by = self._clock() + self._budget_s
        self.stopping = True
        self._at_stop()

    def close(self) -> None:
        """End the time to finish: `check` raises no more."""
        self._closed = True

    @contextmanager
    def revocation(self) -> Iterator[None]:
        """Limit the time of the block: the group waits until the partitions are given up."""
        self._revoke_by = self._clock() + self._budget_s
        try:
            yield
        finally:
            self._revoke_by = None

    @property
    def revoking(self) -> bool:
        """True inside `revocation`. Kafka's client must not be polled then."""
        return self._revoke_by is not None

    @property
    def is_final(self) -> bool:
        """True if the next commit is the last one: during a stop or a revocation."""
        return self.stopping or self.revoking

    def remaining(self, max_s: float) -> float:
        """Return the seconds until a revocation's deadline, at most `max_s`."""
        if self._revoke_by is None:
            return max_s
        return max(0.0, min(max_s, self._revoke_by - self._clock()))

    def check(self, why: str) -> None:
        """Raise `DrainExpired` if the time to finish is over.

        Args:
            why: What the worker is waiting for; a part of the error's text.
        """
        if self._closed:
            return
        if self._hurried:
            raise DrainExpired(f"a second signal arrived: {why}")
        if self._stop_by is not None and self._clock() >= self._stop_by:
            raise DrainExpired(f"the {self._budget_s:g} s of TOWER_DRAIN_S are over: {why}")
        if self._revoke_by is not None and self._clock() >= self._revoke_by:
            raise DrainExpired(why)


class LastResort:
    """Exits the process some time after `begin`, if it has not ended by then.

    A commit or close inside Kafka's client can hang while brokers are down, and no signal interrupts C
    code. Uncommitted records are read again.

    The thread starts at once, and not in `begin`: a signal handler that starts a thread can deadlock with
    the code that it interrupts. A write to a pipe cannot.

    Args:
        after_s: Seconds from `begin` to the exit.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._reader, self._writer = os.pipe()
        threading.Thread(target=self._run, name="last resort", daemon=True).start()

    def begin(self) -> None:
        """Start the time. This may run in a signal handler."""
        os.write(self._writer, b"!")

    def _run(self) -> None:
        os.read(self._reader, 1)
        time.sleep(self._after_s)
        _exit()


def _exit() -> None:
    logging.getLogger("tower.drain").warning(
        "Kafka's client did not close in time: exiting without it. Uncommitted records are read again"
    )
    logging.shutdown()
    os._exit(0)
