"""Logging: repeated lines are thinned out, and texts from outside are escaped.

A line is written at most once per batch. It never contains a record or a secret.
"""

import logging
import time
from collections.abc import Callable

#: Seconds between two log lines about the same problem.
REPEAT_S = 30.0

#: Maximum characters of a text from outside that are logged.
FOREIGN_CHARACTERS = 300

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def printable(text: str) -> str:
    """Return a text from outside on one line, cut, and without control characters."""
    cut = text[:FOREIGN_CHARACTERS]
    return "".join(char if char.isprintable() else "." for char in cut)


class ThrottledLogger:
    """Logs the same problem once in `REPEAT_S`, with the number of lines left out in between.

    So an outage of hours or a flood of bad records costs a line in half a minute, and the disk does not
    fill up.

    Args:
        logger: Where the lines go.
        clock: Monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._logged: dict[str, tuple[float, int]] = {}

    def _log(self, level: int, key: str, message: str, args: tuple[object, ...]) -> None:
        now = self._clock()
        logged_at, omitted = self._logged.get(key, (float("-inf"), 0))
        if now - logged_at < REPEAT_S:
            self._logged[key] = (logged_at, omitted + 1)
            return
        self._logged[key] = (now, 0)
        if omitted:
            message += " (and %d times in between)"
            args = (*args, omitted)
        self._logger.log(level, message, *args)

    def warning(self, key: str, message: str, *args: object) -> None:
        """Log a problem that may end without an operator.

        Args:
            key: Lines with the same key count as the same problem.
            message: A format, as `logging` takes it.
            args: Its arguments.
        """
        self._log(logging.WARNING, key, message, args)

    def error(self, key: str, message: str, *args: object) -> None:
        """Log a problem that an operator has to solve. The arguments are those of `warning`."""
        self._log(logging.ERROR, key, message, args)


class ThrottleFilter(logging.Filter):
    """Passes each kind of a library's log line once in `REPEAT_S`.

    librdkafka logs every failed connection, several a second while a broker is down. A line begins with its
    kind: FAIL, REQTMOUT, SESSTMOUT.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if no line of its kind passed within `REPEAT_S`."""
        kind = record.getMessage().split(" ", 1)[0]
        now = self._clock()
        if now - self._passed.get(kind, float("-inf")) < REPEAT_S:
            return False
        self._passed[kind] = now
        return True


def configure(level: str) -> None:
    """Log to standard error, which supervisord writes to a rotated file.

    Args:
        level: Name of the lowest level that is logged.
    """
    logging.basicConfig(level=level, format=FORMAT)
    logging.getLogger("tower.kafka").addFilter(ThrottleFilter())
