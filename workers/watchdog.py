"""Exits a worker whose loop hangs, so that supervisord restarts it."""

import faulthandler
import threading
import time
from collections.abc import Callable
from typing import TextIO

#: Seconds that one round of the loop may take without a write. The longest wait in it is for the group
#: coordinator: one minute. librdkafka itself gives up the partitions of a hanging worker only after 300 s,
#: and does not exit the process.
ROUND_S = 120.0

#: Seconds that a worker may take to build its parts, which wait for nobody. Kafka's client was seen to hang
#: there without enough memory for its threads.
START_S = 30.0

#: Minimum seconds between two restarts of the timer: each starts a new thread.
FEED_S = 5.0

#: Share of the time after which the log says what is about to happen. faulthandler can only dump stacks.
WARN_SHARE = 0.99


class Watchdog:
    """Dumps all stacks and exits the process if it is not fed in time.

    Every wait in Tower is bounded, but a wait inside Kafka's client may not be: a worker was seen to hang
    for ever while brokers had wrong certificates. Such a worker keeps its partition, and no other part of
    Tower would notice. Uncommitted records are read again.

    Shortly before, a thread writes what happens and what to do. It cannot if a call holds the interpreter's
    lock: then only the stacks are written.

    The timer runs outside Python, so it also ends a call that holds the interpreter's lock. Exit code: 1.

    Args:
        max_s: Seconds without `feed` after which the process exits.
        file: Where the stacks are written; needs a file descriptor.
        clock: Monotonic seconds.
    """

    def __init__(self, max_s: float, file: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_s = max_s
        self._file = file
        self._clock = clock
        self._fed = float("-inf")
        self._warn_at = float("inf")
        self._warner = threading.Thread(target=self._warn, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the timer with `START_S`, which holds until the first `feed`."""
        faulthandler.dump_traceback_later(START_S, exit=True, file=self._file)

    def feed(self) -> None:
        """Restart the timer. The loop calls this in each round."""
        now = self._clock()
        if now - self._fed >= FEED_S:
            self._fed = now
            self._warn_at = time.monotonic() + self._max_s * WARN_SHARE
            faulthandler.dump_traceback_later(self._max_s, exit=True, file=self._file)
            if self._warner.ident is None:
                self._warner.start()

    def _warn(self) -> None:
        """Write the warning each time the end is near. This wakes up about once in `max_s`."""
        left_s = self._max_s * (1 - WARN_SHARE)
        while True:
            while (pause_s := self._warn_at - time.monotonic()) > 0:
                time.sleep(pause_s)
            self._file.write(
                f"tower: the worker's loop has hung for {self._max_s - left_s:g} s. If it does not "
                f"continue within {left_s:g} s, the worker exits and supervisord restarts it. Uncommitted "
                "records are read again. If this repeats, report the stacks below\n"
            )
            self._file.flush()
            time.sleep(2 * left_s)
