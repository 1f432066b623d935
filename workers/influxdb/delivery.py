"""Delivers a batch to InfluxDB: each line is stored, becomes a dead letter, or stays in hand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.batch import Batch
from workers.config.settings import Settings
from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable, WriteError
from workers.influxdb import rejected_lines
from workers.influxdb.writer import ADVICE
from workers.log import ThrottledLogger, printable
from workers.retry import Backoff
from workers.types import DeadLetter, MessageOrOrigin, Reason, origin_of, partition_of


class Sink(Protocol):
    """Where lines go. `write` returns after a 204 only (see `workers.influxdb.writer.Writer`)."""

    def write(self, lines: Sequence[bytes], timeout_s: float) -> None:
        """Store all of `lines` or raise a `WriteError`."""


#: Waits a number of seconds for a reason, and keeps the group membership meanwhile. Raises `DrainExpired`.
WaitFunction = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines that are written together, and their origins.

    Two lists, because a pair for each line would cost more than all the other work on a request.
    """

    lines: list[bytes]
    origins: list[MessageOrOrigin]

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> "Piece":
        """Return the lines from `start` to before `stop`."""
        return Piece(self.lines[start:stop], self.origins[start:stop])

    def only(self, positions: Iterable[int]) -> "Piece":
        """Return the lines at these positions."""
        positions = list(positions)
        return Piece(
            [self.lines[position] for position in positions],
            [self.origins[position] for position in positions],
        )


class Delivery:
    """Writes batches until InfluxDB has answered 204 for every line, or the line is a dead letter.

    Args:
        settings: Time-outs and pauses.
        sink: Where the lines go.
        wait: Waits between two tries.
        reread: Reads the credentials again after InfluxDB rejected them. Returns whether they have changed.
        throttled_log: Where rejections and outages are logged.
        report: Called after each write that was answered 204.

    Attributes:
        writes: Requests that were answered 204.
        lines: Lines in these requests. A line that was written twice counts twice.
        retries: Requests that failed and were repeated.
        rejections: Requests that InfluxDB rejected because of their lines.
    """

    def __init__(
        self,
        settings: Settings,
        sink: Sink,
        wait: WaitFunction,
        reread: Callable[[], bool],
        throttled_log: ThrottledLogger,
        *,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        self.writes = self.lines = self.retries = self.rejections = 0
        self._settings = settings
        self._sink = sink
        self._wait = wait
        self._reread = reread
        self._throttled_log = throttled_log
        self._report = report
        self._backoff = Backoff(settings.retry_max_s)
        #: Rejected records of the batch in hand, and InfluxDB's reason for the first of them.
        self._rejected, self._reason = 0, ""
        #: Lines in one request. It shrinks if InfluxDB or the network cannot handle a whole batch in time.
        self._max_lines = settings.batch_lines

    def deliver(self, batch: Batch, timeout_s: float) -> None:
        """Return once every line of `batch` is stored or among its dead letters.

        The batch may lose partitions during a wait. Their lines are then no longer sent.

        Args:
            batch: The batch in hand. Rejected lines move to its dead letters.
            timeout_s: Time-out of one write in seconds.

        Raises:
            DrainExpired: From `wait`, when the time to finish is over.
        """
        self._rejected, self._reason = 0, ""
        try:
            self._write(batch, timeout_s)
        finally:
            if self._rejected:
                self._throttled_log.warning(
                    "rejected",
                    "InfluxDB rejected %d records of this batch (%s): they become dead letters. "
                    "`tower dlq list --reason refused` shows them",
                    self._rejected,
                    printable(self._reason),
                )
            # If the delivery was interrupted, the next one must not send and count these lines again.
            batch.remove_dead_letters()

    def _write(self, batch: Batch, timeout_s: float) -> None:
        pieces = self._split(Piece(batch.lines, batch.origins))
        partitions, max_lines = set(batch.next_offsets), self._max_lines
        while pieces:
            if batch.next_offsets.keys() != partitions:
                # A rebalance during a wait has taken partitions out of the batch.
                partitions = set(batch.next_offsets)
                pieces = [owned for piece in pieces if (owned := _owned(piece, batch))]
                continue
            piece = pieces.pop()
            try:
                self._sink.write(piece.lines, timeout_s)
            except (Unavailable, Misconfigured) as error:
                pieces.append(piece)
                self.retries += 1
                self._pause(error)
            except TooLarge as error:
                self.retries += 1
                pieces += self._split_too_large(piece, error, batch)
            except Rejected as error:
                self.rejections += 1
                pieces += self._remove_rejected(piece, error, batch)
                # A batch full of bad lines needs thousands of requests, so the group is polled and the time
                # to finish is checked in between.
                self._wait(0, f"InfluxDB: {error.status}: searching for the rejected lines")
            else:
                self.writes += 1
                self.lines += len(piece)
                self._backoff.reset()
                # Many pieces over a slow network take long: the heartbeat and the watchdog go on.
                self._report()
        if self._max_lines == max_lines:
            # It grows after a whole batch, not within one: a server's limit does not change, and each batch
            # would run into it several times.
            self._max_lines = min(max_lines * 2, self._settings.batch_lines)

    def _split(self, whole: Piece) -> list[Piece]:
        """Split the batch into pieces of the size that succeeded lately, the first piece last."""
        max_lines = self._max_lines if self._max_lines < self._settings.batch_lines else len(whole)
        starts = range(0, len(whole), max_lines or 1)
        return [whole.part(start, start + max_lines) for start in reversed(starts)]

    def _pause(self, error: Unavailable | Misconfigured) -> None:
        """Wait as the error requires, and log what to do."""
        text = _describe(error)
        if isinstance(error, Misconfigured):
            probe_s = self._settings.probe_s
            self._throttled_log.error(
                f"misconfigured {error.status}",
                "%s. The batch is kept and written again every %g s. %s",
                text,
                probe_s,
                ADVICE[error.status],
            )
            self._wait(0 if self._reread() else probe_s, text)
            return
        pause_s = self._backoff.next()
        if error.retry_after is not None:
            pause_s = max(pause_s, min(error.retry_after, self._settings.retry_after_max_s))
        self._throttled_log.warning(
            f"unavailable {error.status}",
            "%s. The batch is kept and written again until it is stored. If this repeats, check that "
            "InfluxDB runs and that TOWER_INFLUXDB_URL is right",
            text,
        )
        self._wait(pause_s, text)

    def _split_too_large(self, piece: Piece, error: TooLarge, batch: Batch) -> list[Piece]:
        """Return the halves of a piece that was too large. A single line that is too large is rejected."""
        text = _describe(error)
        if len(piece) > 1:
            self._throttled_log.warning(
                f"too large {error.status}", "%s. The batch is split and sent in smaller requests", text
            )
            self._max_lines = max(1, len(piece) // 2)
            if not error.status:
                # Each half may take the whole time-out again, so the group is polled and the time to finish
                # is checked in between.
                self._wait(0, text)
            return _halves(piece)
        if error.status == 413:
            reason = f"413: this line is larger than InfluxDB accepts: {error.message}"
            self._dead_letter(piece.origins[0], reason, reason, batch)
            return []
        # A time-out with one line: it is not too large, so the server is slow or gone.
        self._throttled_log.warning(
            "time-out of one line",
            "%s. The batch is kept and written again until it is stored. If this repeats, check that "
            "InfluxDB runs and is not overloaded",
            text,
        )
        self._wait(self._backoff.next(), text)
        return [piece]

    def _remove_rejected(self, piece: Piece, error: Rejected, batch: Batch) -> list[Piece]:
        """Return the pieces still to send, without the lines that are known to be rejected."""
        if len(piece) == 1:
            detail = f"{error.status}: {error.message}"
            # The text of a 400 quotes the record, which must not be logged. That of a 422 names its field.
            self._dead_letter(piece.origins[0], detail, "400" if error.status == 400 else detail, batch)
            return []
        rejected = rejected_lines.find_rejected(error.message, piece.lines) if error.status == 400 else {}
        if not rejected:
            return _halves(piece)
        for position, reason in rejected.items():
            detail = f"400: {reason}"
            self._dead_letter(piece.origins[position], detail, detail, batch)
        rest = piece.only(position for position in range(len(piece)) if position not in rejected)
        return [rest] if rest else []

    def _dead_letter(self, origin: MessageOrOrigin, detail: str, reason: str, batch: Batch) -> None:
        """Move a rejected line to the dead letters. The `reason` of the first one is logged."""
        self._rejected += 1
        self._reason = self._reason or reason
        batch.dead_letters.append(DeadLetter(origin_of(origin), Reason.REFUSED, detail))


def _describe(error: WriteError) -> str:
    """Return a failed write in one printable sentence without its full stop."""
    message = printable(error.message)
    if isinstance(error, TooLarge) and not error.status:
        return f"InfluxDB {message}"
    return f"InfluxDB: {error.status or 'no answer'}: {message}"


def _halves(piece: Piece) -> list[Piece]:
    middle = len(piece) // 2
    return [piece.part(middle, len(piece)), piece.part(0, middle)]


def _owned(piece: Piece, batch: Batch) -> Piece:
    return piece.only(
        position
        for position, origin in enumerate(map(origin_of, piece.origins))
        if partition_of(origin.message) in batch.next_offsets
    )
