"""The last line that InfluxDB has stored: evidence that a record is wrong, and not InfluxDB."""

from collections.abc import Callable, Sequence
from typing import Protocol

from workers.errors import Rejected, WriteError


class Sink(Protocol):
    """Where lines go. `write` returns after a 204 only (see `workers.influxdb.writer.Writer`)."""

    def write(self, lines: Sequence[bytes], timeout_s: float, bucket: str = "") -> None:
        """Store all of `lines` or raise a `WriteError`; without a `bucket` in that of the settings."""


class Witness:
    """The last acknowledged line. A server that is well stores it again, and it overwrites its own point.

    InfluxDB 3, GreptimeDB and proxies answer 400 to outages. So a line is rejected only if InfluxDB, asked
    right then, still stores this one.

    Args:
        sink: Where the lines go.
        names: Returns whether a rejection names a line as its cause.

    Attributes:
        line: The last acknowledged line; None if there is none.
        is_fresh: True if InfluxDB has stored a line of the batch in hand since the last trouble.
        requests: Number of times that InfluxDB was asked.
    """

    def __init__(self, sink: Sink, names: Callable[[Rejected, bytes], bool]) -> None:
        self.line: bytes | None = None
        self.is_fresh = False
        self.requests = 0
        self._bucket = ""
        self._sink = sink
        self._names = names

    def acknowledge(self, line: bytes, bucket: str = "") -> None:
        """Remember a line that InfluxDB has just stored, and its bucket."""
        self.line, self.is_fresh, self._bucket = line, True, bucket

    def ask(self, timeout_s: float) -> WriteError | None:
        """Write the last acknowledged line again; None if InfluxDB stores it.

        A line that InfluxDB rejects by name, for example because it is too old by now, is no witness any
        more and is forgotten.

        Raises:
            LookupError: There is no such line.
        """
        if self.line is None:
            raise LookupError
        self.requests += 1
        try:
            self._sink.write([self.line], timeout_s, self._bucket)
        except WriteError as error:
            self.is_fresh = False
            if isinstance(error, Rejected) and self._names(error, self.line):
                self.line = None
            return error
        self.is_fresh = True
        return None
