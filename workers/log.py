"""Logging: repeated lines are thinned out, and texts from outside are escaped.

A line is written at most once per batch. It never contains a record or a secret.
"""

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

#: Seconds between two log lines about the same problem.
REPEAT_S = 30.0

#: Maximum characters of a text from outside that are logged.
FOREIGN_CHARACTERS = 300

#: Fields of a line in JSON besides the usual ones, if the line is about one.
FIELDS = ("reason", "topic", "partition")

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def printable(text: str) -> str:
    """Return a text from outside on one line, cut, and without control characters."""
    cut = text[:FOREIGN_CHARACTERS]
    if cut.isprintable():
        # Nearly always, and each dead letter has such a text.
        return cut
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
        self._logger.log(level, message, *args, extra={"reason": key})

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


class JsonFormatter(logging.Formatter):
    """Writes each line as one JSON object, for programs that collect logs.

    Args:
        worker: Number of the worker; None in other programs.
    """

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line: time, level, logger and message, and the fields that it has."""
        fields = {name: record.__dict__[name] for name in FIELDS if name in record.__dict__}
        exception = {"exception": self.formatException(record.exc_info)} if record.exc_info else {}
        time_s = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps(
            {
                "time": time_s.replace("+00:00", "Z"),
                "level": record.levelname,
                "logger": record.name,
                **self._worker,
                **fields,
                "message": record.getMessage(),
                **exception,
            }
        )


def configure(level: str, format_: str = "text", worker: int | None = None) -> None:
    """Log to standard error, which supervisord writes to a rotated file.

    Args:
        level: Name of the lowest level that is logged.
        format_: `text`, or `json` for one object a line.
        worker: Number of the worker, for `json`.
    """
    logging.basicConfig(level=level, format=FORMAT)
    if format_ == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter(worker))
    logging.getLogger("tower.kafka").addFilter(ThrottleFilter())
