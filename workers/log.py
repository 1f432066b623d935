"""Log lines a person can act on: once per batch at most, never a payload, never a secret."""

import logging
import time
from collections.abc import Callable

#: Seconds between two log lines about the same trouble.
REPEAT_S = 30.0

#: Characters of a foreign text that are logged.
FOREIGN_CHARACTERS = 300

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def printable(text: str) -> str:
    """A text from outside, cut, on one line, without control characters."""
    cut = text[:FOREIGN_CHARACTERS]
    return "".join(char if char.isprintable() else "." for char in cut)


class Repeats:
    """Logs the same trouble once in `REPEAT_S`, with how often it came meanwhile.

    An outage of hours or a flood of poison so costs a line in half a minute, not the disk.

    Args:
        logger: Where the lines go.
        clock: Monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._clock = clock
        self._seen: dict[str, tuple[float, int]] = {}

    def _log(self, level: int, key: str, message: str, args: tuple[object, ...]) -> None:
        now = self._clock()
        last, unsaid = self._seen.get(key, (float("-inf"), 0))
        if now - last < REPEAT_S:
            self._seen[key] = (last, unsaid + 1)
            return
        self._seen[key] = (now, 0)
        if unsaid:
            message += " (and %d times in between)"
            args = (*args, unsaid)
        self._logger.log(level, message, *args)

    def warning(self, key: str, message: str, *args: object) -> None:
        """A trouble that passes."""
        self._log(logging.WARNING, key, message, args)

    def error(self, key: str, message: str, *args: object) -> None:
        """A trouble that a person has to end."""
        self._log(logging.ERROR, key, message, args)


class OnceInAWhile(logging.Filter):
    """Passes each kind of a library's log line once in `REPEAT_S`.

    librdkafka logs every failed connection, several a second while a broker is away. Its lines begin with
    the kind: FAIL, REQTMOUT, SESSTMOUT.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True for the first line of its kind in a while."""
        kind = record.getMessage().split(" ", 1)[0]
        now = self._clock()
        if now - self._seen.get(kind, float("-inf")) < REPEAT_S:
            return False
        self._seen[kind] = now
        return True


def configure(level: str) -> None:
    """Log to standard error, which supervisord keeps and rotates."""
    logging.basicConfig(level=level, format=FORMAT)
    logging.getLogger("tower.kafka").addFilter(OnceInAWhile())
