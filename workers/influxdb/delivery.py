"""A batch to InfluxDB, whatever it answers: stored, or dead-lettered, or still in hand."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from workers.batch import Batch
from workers.config.settings import Settings
from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable
from workers.influxdb import rejected_lines
from workers.influxdb.writer import ADVICE
from workers.log import Repeats, printable
from workers.retry import Backoff
from workers.types import DeadLetter, MessageOrOrigin, Reason, origin_of, partition_of


class Sink(Protocol):
    """Where lines go. `write` returns after a 204 only (see `workers.influxdb.writer.Writer`)."""

    def write(self, lines: Sequence[bytes], timeout_s: float) -> None:
        """Store all of `lines` or raise a `WriteError`."""


#: Waits so many seconds for the reason given, keeping the group membership; raises `DrainExpired`.
Wait = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Piece:
    """Lines that are written together, and where each came from.

    Two lists, since a pair for each line would cost more than the rest of the way to the request.
    """

    lines: list[bytes]
    origins: list[MessageOrOrigin]

    def __len__(self) -> int:
        return len(self.lines)

    def part(self, start: int, stop: int) -> "Piece":
        """The lines from `start` to before `stop`."""
        return Piece(self.lines[start:stop], self.origins[start:stop])

    def only(self, places: Iterable[int]) -> "Piece":
        """The lines at some places."""
        kept = list(places)
        return Piece([self.lines[each] for each in kept], [self.origins[each] for each in kept])


class Delivery:
    """Writes batches until every line has its own 204 or is a dead letter.

    Args:
        settings: Time-outs and pauses.
        sink: Where the lines go.
        wait: How to wait between two tries.
        reread: Reads the credentials again after they were refused.
        repeats: Where refusals and outages are logged.
        report: Called after each write that was answered 204.

    Attributes:
        writes: Requests that were answered 204.
        lines: Lines in them, those written more than once counted each time.
        retries: Requests that failed for a reason that passes.
        rejections: Requests InfluxDB refused for their lines.
    """

    def __init__(
        self,
        settings: Settings,
        sink: Sink,
        wait: Wait,
        reread: Callable[[], bool],
        repeats: Repeats,
        *,
        report: Callable[[], None] = lambda: None,
    ) -> None:
        self.writes = self.lines = self.retries = self.rejections = 0
        self._settings = settings
        self._sink = sink
        self._wait = wait
        self._reread = reread
        self._repeats = repeats
        self._report = report
        self._backoff = Backoff(settings.retry_max_s)
        #: Lines sent at once; shrinks where InfluxDB or the way to it cannot take a whole batch in time.
        self._room = settings.batch_lines

    def deliver(self, batch: Batch, timeout_s: float) -> None:
        """Return once every line of `batch` is stored or among its dead letters.

        The batch may lose partitions while this waits; their lines are then no longer sent.

        Args:
            batch: The batch in hand; refused lines are moved to its dead letters.
            timeout_s: Seconds for one write.

        Raises:
            DrainExpired: From `wait`, when the time to finish in is over.
        """
        try:
            self._write(batch, timeout_s)
        finally:
            # Whoever delivers what is left of the batch must not have them refused, and counted, again.
            batch.take_out_dead_letters()

    def _write(self, batch: Batch, timeout_s: float) -> None:
        pieces = self._cut(Piece(batch.lines, batch.origins))
        held, room = set(batch.next_offsets), self._room
        while pieces:
            if batch.next_offsets.keys() != held:
                # A rebalance while waiting has taken partitions out of the batch.
                held = set(batch.next_offsets)
                pieces = [kept for each in pieces if (kept := _owned(each, batch))]
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
                pieces += self._smaller(piece, error, batch)
            except Rejected as error:
                self.rejections += 1
                pieces += self._isolate(piece, error, batch)
                # A batch full of bad lines takes thousands of requests: polled and bounded like any wait.
                self._wait(0, f"InfluxDB: {error.status}: looking for the lines to blame")
            else:
                self.writes += 1
                self.lines += len(piece)
                self._backoff.reset()
                # A batch that goes in many pieces on a slow way takes long, and its worker is alive.
                self._report()
        if self._room == room:
            # Grows after a whole batch went through, not within one: a server's limit stays where it is,
            # and each batch would find it anew.
            self._room = min(room * 2, self._settings.batch_lines)

    def _cut(self, whole: Piece) -> list[Piece]:
        """The batch in pieces of what lately went through at once, the first one last."""
        room = self._room if self._room < self._settings.batch_lines else len(whole)
        return [whole.part(start, start + room) for start in range(0, len(whole), room or 1)][::-1]

    def _pause(self, error: Unavailable | Misconfigured) -> None:
        """Wait as the error's class asks for, and tell a person what to do, but not at every try."""
        text = f"InfluxDB: {error.status or 'no answer'}: {printable(error.message)}"
        if isinstance(error, Misconfigured):
            advice = f"{text}; {ADVICE[error.status]}; the data is kept, next try in"
            probe_s = self._settings.probe_s
            self._repeats.error(f"misconfigured {error.status}", "%s %g s", advice, probe_s)
            self._wait(0 if self._reread() else self._settings.probe_s, text)
            return
        pause = self._backoff.next()
        if error.retry_after is not None:
            pause = max(pause, min(error.retry_after, self._settings.retry_after_max_s))
        self._repeats.warning(f"unavailable {error.status}", "%s; the data is kept", text)
        self._wait(pause, text)

    def _smaller(self, piece: Piece, error: TooLarge, batch: Batch) -> list[Piece]:
        """Halves of a piece that was too large; a single line that still is, has nowhere to go."""
        text = f"InfluxDB: {error.status or 'no answer'}: {printable(error.message)}"
        self._repeats.warning(f"too large {error.status}", "%s; sending less at once", text)
        if len(piece) > 1:
            self._room = max(1, len(piece) // 2)
            if not error.status:
                # Each half may take the whole time-out again: the group must hear of us in between, and a
                # budget that is over be noticed.
                self._wait(0, text)
            return _halves(piece)
        if error.status == 413:
            _dead_letter(piece.origins[0], "413: one line is over the server's limit", batch)
            return []
        # One line cannot be too large for a server that is there: it is slow or gone.
        self._wait(self._backoff.next(), text)
        return [piece]

    def _isolate(self, piece: Piece, error: Rejected, batch: Batch) -> list[Piece]:
        """The pieces still to send, without the lines that are known to be to blame."""
        if len(piece) == 1:
            _dead_letter(piece.origins[0], f"{error.status}: {error.message}", batch)
            return []
        guilty = rejected_lines.find_rejected(error.message, piece.lines) if error.status == 400 else {}
        if not guilty:
            return _halves(piece)
        for place, reason in guilty.items():
            _dead_letter(piece.origins[place], f"400: {reason}", batch)
        rest = piece.only(place for place in range(len(piece)) if place not in guilty)
        return [rest] if rest else []


def _halves(piece: Piece) -> list[Piece]:
    middle = len(piece) // 2
    return [piece.part(middle, len(piece)), piece.part(0, middle)]


def _owned(piece: Piece, batch: Batch) -> Piece:
    sources = enumerate(map(origin_of, piece.origins))
    return piece.only(
        place for place, source in sources if partition_of(source.message) in batch.next_offsets
    )


def _dead_letter(refused: MessageOrOrigin, detail: str, batch: Batch) -> None:
    batch.dead_letters.append(DeadLetter(origin_of(refused), Reason.REFUSED, detail))
