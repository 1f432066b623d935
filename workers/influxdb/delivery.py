"""Delivers a batch to InfluxDB: each line is stored, becomes a dead letter, or stays in hand."""

import time
from collections import Counter
from collections.abc import Callable

from workers.batch import Batch
from workers.config.settings import Settings
from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable, WriteError
from workers.influxdb.piece import Piece
from workers.influxdb.retry_class import retry_class
from workers.influxdb.search import Search, Work, names
from workers.influxdb.witness import Sink, Witness
from workers.log import ThrottledLogger, printable
from workers.retry import Backoff

#: Waits a number of seconds for a reason, and keeps the group membership meanwhile. Raises `DrainExpired`.
WaitFunction = Callable[[float, str], None]

#: Seconds of one delivery after which the group is polled between its writes. A batch of many buckets, or
#: in many parts over a slow network, can take longer than a member may be silent (max.poll.interval.ms).
POLL_S = 10.0

USUAL = "If this repeats, check that InfluxDB runs and that TOWER_INFLUXDB_URL is right"


class Delivery:
    """Writes batches until InfluxDB has answered 204 for every line, or the line is a dead letter.

    Args:
        settings: Time-outs and pauses.
        sink: Where the lines go.
        wait: Waits between two tries.
        reread: Reads the credentials again after InfluxDB rejected them. Returns whether they have changed.
        throttled_log: Where rejections and outages are logged.
        report: Called after each write that was answered 204.
        clock: Monotonic seconds.

    Attributes:
        writes: Requests that were answered 204.
        lines: Lines in these requests. A line that was written twice counts twice.
        retries: Requests that failed and were repeated, by class (see `retry_class`).
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.writes = self.lines = self.rejections = 0
        self.retries: Counter[str] = Counter()
        self._settings = settings
        self._sink = sink
        self._wait = wait
        self._reread = reread
        self._throttled_log = throttled_log
        self._report = report
        self._clock = clock
        self._backoff = Backoff(settings.retry_max_s)
        self._witness = Witness(sink, names)
        convert = settings.convert_values == "yes"
        self._search = Search(self._witness, self._pause, convert=convert, clock=clock)
        #: Lines in one request. It shrinks if InfluxDB or the network cannot handle a whole batch in time.
        self._max_lines = settings.batch_lines

    @property
    def values_converted(self) -> int:
        """Number of values that were converted to the type that their field has in InfluxDB."""
        return sum(types.conversions for types in self._search.types.values())

    def field_types(self) -> list[dict[str, str | int]]:
        """Return the type conflicts that are known, for the state file."""
        return [
            {"bucket": bucket, **conflict}
            for bucket, types in self._search.types.items()
            for conflict in types.report()
        ]

    def deliver(self, batch: Batch, timeout_s: float) -> None:
        """Return once every line of `batch` is stored or among its dead letters.

        The batch may lose partitions during a wait. Their lines are then no longer sent.

        Args:
            batch: The batch in hand. Rejected lines move to its dead letters.
            timeout_s: Time-out of one write in seconds.

        Raises:
            DrainExpired: From `wait`, when the time to finish is over.
        """
        self._search.begin()
        try:
            self._write(batch, timeout_s)
        finally:
            if self._search.found:
                self._throttled_log.warning(
                    "rejected",
                    "InfluxDB rejected %d records of this batch (%s): they become dead letters. "
                    "`tower dlq list` shows them",
                    self._search.found,
                    printable(self._search.reason),
                )
            # If the delivery was interrupted, the next one must not send and count these lines again.
            batch.remove_dead_letters()

    def _write(self, batch: Batch, timeout_s: float) -> None:
        work = Work(batch, timeout_s, [], self._max_lines)
        # The lines that InfluxDB may reject come first, on top of the others.
        ready = [self._search.sort(piece, work) for piece in self._by_bucket(batch)]
        work.pieces[:0] = self._split(ready)
        partitions, polled_at = set(batch.next_offsets), self._clock()
        self._witness.is_fresh = False
        while work.pieces:
            if batch.next_offsets.keys() != partitions:
                # A rebalance during a wait has taken partitions out of the batch.
                partitions = set(batch.next_offsets)
                work.pieces = [owned for piece in work.pieces if (owned := piece.owned(batch))]
                continue
            piece = work.pieces.pop()
            try:
                self._sink.write(piece.lines, timeout_s, piece.bucket)
            except (Unavailable, Misconfigured) as error:
                work.pieces.append(piece)
                # After an outage, a rejection from before it is no evidence any more.
                work.second_try = None
                self.retries[retry_class(error)] += 1
                self._pause(error)
            except TooLarge as error:
                self.retries[retry_class(error)] += 1
                self._split_too_large(piece, error, work)
            except Rejected as error:
                self.rejections += 1
                self._search.remove_rejected(piece, error, work)
                # A batch full of bad lines needs thousands of requests, so the group is polled and the time
                # to finish is checked in between.
                self._wait(0, f"InfluxDB: {error.status}: searching for the rejected lines")
            else:
                self.writes += 1
                self.lines += len(piece)
                if work.is_split:
                    work.largest = max(work.largest, len(piece))
                self._witness.acknowledge(piece.lines[-1], piece.bucket)
                piece.on_stored()
                self._backoff.reset()
                # Many pieces over a slow network take long: the heartbeat and the watchdog go on.
                self._report()
                if work.pieces and self._clock() - polled_at >= POLL_S:
                    polled_at = self._clock()
                    self._wait(0, "InfluxDB is slow: a batch takes many requests and over 10 s")
        if work.largest:
            # What was stored counts, not what was refused: a proxy may refuse any size during an outage.
            self._max_lines = work.largest
        elif not work.is_split:
            # It grows after a whole batch, not within one: a server's limit does not change, and each batch
            # would run into it several times.
            self._max_lines = min(self._max_lines * 2, self._settings.batch_lines)

    def _by_bucket(self, batch: Batch) -> list[Piece]:
        whole = Piece(batch.lines, batch.origins)
        return whole.by_bucket(self._settings.bucket_of) if self._settings.has_several_buckets else [whole]

    def _split(self, pieces: list[Piece]) -> list[Piece]:
        """Split pieces into parts of the size that succeeded lately, the first part last."""
        full = self._max_lines >= self._settings.batch_lines
        return [
            piece.part(start, start + step)
            for piece in reversed(pieces)
            for step in [len(piece) or 1 if full else self._max_lines]
            for start in reversed(range(0, len(piece), step))
        ]

    def _pause(self, error: WriteError, advice: str = "") -> None:
        """Wait as the error requires, and log what to do."""
        self._witness.is_fresh = False
        text, advice = _describe(error), advice or error.advice
        # `status` shows this reason.
        why = f"{text}. {advice}" if advice else text
        if isinstance(error, Misconfigured):
            probe_s = self._settings.probe_s
            self._throttled_log.error(
                f"misconfigured {error.status}",
                "%s. The batch is kept and written again every %g s. %s",
                text,
                probe_s,
                advice,
            )
            self._wait(0 if self._reread() else probe_s, why)
            return
        pause_s = self._backoff.next()
        if isinstance(error, Unavailable) and error.retry_after is not None:
            pause_s = max(pause_s, min(error.retry_after, self._settings.retry_after_max_s))
        self._throttled_log.warning(
            f"unavailable {error.status}",
            "%s. The batch is kept and written again until it is stored. %s",
            text,
            advice or USUAL,
        )
        self._wait(pause_s, why)

    def _split_too_large(self, piece: Piece, error: TooLarge, work: Work) -> None:
        """Divide the work on a piece that was too large. A single line is rejected."""
        text = _describe(error)
        if len(piece) > 1:
            self._throttled_log.warning(
                f"too large {error.status}", "%s. The batch is split and sent in smaller requests", text
            )
            work.is_split = True
            work.pieces += piece.halves()
            if not error.status:
                # Each half may take the whole time-out again, so the group is polled and the time to finish
                # is checked in between.
                self._wait(0, text)
        elif error.status and error.by_influxdb:
            reason = f"413: this line is larger than InfluxDB accepts: {error.message}"
            self._search.judge(piece, error, (reason, reason), work)
        else:
            # A time-out with one line: it is not too large, so the server is slow or gone. The answer of a
            # proxy: only InfluxDB rejects lines. The other lines do not wait for this one.
            work.pieces.insert(0, piece)
            work.second_try = None
            self._pause(error)


def _describe(error: WriteError) -> str:
    """Return a failed write in one printable sentence without its full stop."""
    message = printable(error.message)
    if isinstance(error, TooLarge) and not error.status:
        return f"InfluxDB {message}"
    return f"InfluxDB: {error.status or 'no answer'}: {message}"
