"""Ends a worker whose loop has stopped going round, so that it is started again."""

import faulthandler
import time
from collections.abc import Callable
from typing import TextIO

#: Seconds the loop may take for one round besides a write: most is waited for the group's coordinator, for
#: a minute. librdkafka alone gives the partitions of a stuck worker away after 300 s, and does not end it.
ROUND_S = 120.0

#: Seconds between two feedings that count: each starts a thread anew.
FEED_S = 5.0


class Watchdog:
    """Has to be fed; where it is not it writes down what every thread does, and ends the process.

    Every wait of Tower's own has an end. One inside Kafka's client may have none: it was seen to keep a
    worker for good while brokers had wrong certificates. Such a worker holds its partition, and nobody else
    would notice. Nothing is lost: what is uncommitted is read again.

    It needs no Python to bark: a call that keeps the interpreter's lock is ended too. Exit code: 1.

    Args:
        most_s: Seconds it goes without being fed.
        file: Where the stacks are written; needs a file descriptor.
        clock: Monotonic seconds.
    """

    def __init__(self, most_s: float, file: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_s = most_s
        self._file = file
        self._clock = clock
        self._fed = float("-inf")

    def feed(self) -> None:
        """The loop has gone round."""
        now = self._clock()
        if now - self._fed >= FEED_S:
            self._fed = now
            faulthandler.dump_traceback_later(self._most_s, exit=True, file=self._file)
