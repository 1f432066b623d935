"""Finds the lines that InfluxDB rejects, so that each costs itself alone."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from workers.batch import Batch
from workers.errors import Rejected, WriteError
from workers.influxdb import rejection
from workers.influxdb.piece import Piece, Sorted, do_nothing
from workers.influxdb.rejected_lines import find_rejected
from workers.influxdb.rejection import TypeConflict
from workers.influxdb.retention import Retention, oldest
from workers.influxdb.type_conflicts import TypeConflicts, in_conflict
from workers.influxdb.witness import Witness
from workers.types import DeadLetter, MessageOrOrigin, Reason, origin_of

#: Waits as an error requires, and logs what to do: the second argument, or else the error's own advice.
PauseFunction = Callable[[WriteError, str], None]

TROUBLE = (
    "InfluxDB rejects a line that it has stored before, too, so the cause is InfluxDB and not the records: "
    "see its log"
)
UNPROVEN = (
    "The answer does not name the record as the cause, and InfluxDB has not stored a line of this worker "
    "yet, so the cause may be InfluxDB: see its log"
)


@dataclass(slots=True)
class Work:
    """What is left to do for a batch: a stack of pieces, the next one last.

    Attributes:
        batch: The batch in hand. Rejected lines move to its dead letters.
        timeout_s: Time-out of one write in seconds.
        pieces: What is still to send.
        max_lines: Maximum lines of a piece.
        is_split: True if a piece was too large.
        largest: Lines of the largest piece that was stored after that.
        second_try: A single line that was rejected. Right after that, InfluxDB has stored a known line.
    """

    batch: Batch
    timeout_s: float
    pieces: list[Piece]
    max_lines: int
    is_split: bool = False
    largest: int = 0
    second_try: Piece | None = None


class Search:
    """Finds rejected lines and moves them to the dead letters.

    Args:
        witness: The last acknowledged line.
        pause: Waits if InfluxDB is in trouble.
        convert: Whether values are converted to the type of their field.
        clock: Monotonic seconds.

    Attributes:
        types: The types of fields that type conflicts have shown, by bucket.
        found: Number of dead letters since `begin`.
        reason: The reason for the first of them, as it may be logged.
    """

    def __init__(
        self,
        witness: Witness,
        pause: PauseFunction,
        *,
        convert: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.types = defaultdict[str, TypeConflicts](lambda: TypeConflicts(convert, clock))
        self.found, self.reason = 0, ""
        self._retention = defaultdict[str, Retention](lambda: Retention(clock))
        self._witness = witness
        self._pause = pause

    def begin(self) -> None:
        """Begin a new batch."""
        self.found, self.reason = 0, ""

    def remove_rejected(self, piece: Piece, error: Rejected, work: Work) -> None:
        """Leave in the work what is still to send, without the lines that are known to be rejected."""
        if rejection.is_no_fault_of_lines(error.message):
            work.pieces.append(piece)
            self._pause(error, "")
            return
        cause = rejection.cause_of(error.message)
        if cause is not None and self._set_aside(piece, cause, work):
            return
        listed = find_rejected(error.message, piece.lines) if error.status == 400 else {}
        if listed:
            for position, reason in listed.items():
                # The reason may quote a value of the record, which must not be logged.
                self._dead_letter(piece.origins[position], (f"400: {reason}", "400"), work.batch)
            rest = piece.divided(listed)[1]
            work.pieces += [rest] if rest else []
        elif len(piece) > 1 and self._witness.is_fresh:
            work.pieces += piece.halves()
        else:
            detail = f"{error.status}: {error.message}"
            # A 400 quotes the record here too. The text of a 422 names its field alone.
            logged = "400" if error.status == 400 else detail
            self.judge(piece, error, (detail, logged), work)

    def _set_aside(self, piece: Piece, cause: rejection.Cause, work: Work) -> bool:
        """Send the lines that a partial write names on their own. If all are dropped, that is proof.

        Args:
            piece: The lines that were sent. Some of them may be stored.
            cause: What InfluxDB says about the first line that it dropped.
            work: Gets what is still to send.

        Returns:
            False if the cause fits no line.
        """
        if isinstance(cause, TypeConflict):
            named = in_conflict(piece.lines, cause)
        else:
            named = oldest(piece.lines, cause.dropped)
        if not named:
            return False
        if len(named) < len(piece):
            aside, rest = piece.divided(named)
            work.pieces += [rest, aside]
        elif cause.dropped == len(piece):
            plain, bucket = replace(piece, on_stored=do_nothing), piece.bucket
            if isinstance(cause, TypeConflict):
                found, reason = self.types[bucket].confirm(cause, plain), Reason.TYPE_CONFLICT
            else:
                found, reason = self._retention[bucket].confirm(cause, plain), Reason.REFUSED
            self._add(self._apply(found, reason, work), work)
        elif len(piece) > 1:
            # Types and retention depend on the time, so lines of near times share their fate.
            work.pieces += piece.only(oldest(piece.lines, len(piece))).halves()
        else:
            return False
        return True

    def sort(self, piece: Piece, work: Work) -> Piece:
        """Apply what InfluxDB has said before: return the lines to store, and handle the others."""
        if retention := self._retention.get(piece.bucket):
            piece = self._apply(retention.sort(piece), Reason.REFUSED, work)
        if types := self.types.get(piece.bucket):
            piece = self._apply(types.sort(piece), Reason.TYPE_CONFLICT, work)
        return piece

    def _apply(self, found: Sorted, reason: Reason, work: Work) -> Piece:
        """Handle the lines that are rejected or asked for, and return the others."""
        for origin, text in found.rejected:
            detail = f"422: {text}"
            self._dead_letter(origin, (detail, detail), work.batch, reason)
        work.pieces += found.ask
        return found.ready

    def _add(self, piece: Piece, work: Work) -> None:
        """Add lines to what is still to send: to the next piece, if both are plain and it has room."""
        if not piece:
            return
        following = work.pieces[-1] if work.pieces else None
        room = work.max_lines - len(piece)
        is_plain = following is not None and following.on_stored is do_nothing
        if following and is_plain and following.bucket == piece.bucket and len(following) <= room:
            work.pieces[-1] = following.joined(piece)
        else:
            work.pieces.append(piece)

    def judge(self, piece: Piece, error: WriteError, texts: tuple[str, str], work: Work) -> None:
        """Handle an answer that rejects a piece and does not name a line in it.

        A line is a dead letter only if InfluxDB rejects it, then stores a line that it has stored before,
        and rejects it again. Otherwise InfluxDB is in trouble: wait.
        """
        if piece is work.second_try:
            self._dead_letter(piece.origins[0], texts, work.batch)
            return
        trouble = self._witness.ask(work.timeout_s) if self._witness.line else error
        if trouble is None:
            work.second_try = piece if len(piece) == 1 else None
            work.pieces += piece.halves() if len(piece) > 1 else [piece]
        elif self._witness.line:
            work.pieces.append(piece)
            self._pause(trouble, TROUBLE if isinstance(trouble, Rejected) else "")
        else:
            # Another line of this batch may become the evidence, so all of them are tried before this one.
            work.pieces[:0] = piece.halves() if len(piece) > 1 else [piece]
            self._pause(error, UNPROVEN)

    def _dead_letter(
        self,
        origin: MessageOrOrigin,
        texts: tuple[str, str],
        batch: Batch,
        reason: Reason = Reason.REFUSED,
    ) -> None:
        """Move a rejected line to the dead letters: its detail, and the reason to log for the first one."""
        detail, logged = texts
        self.found += 1
        self.reason = self.reason or logged
        batch.dead_letters.append(DeadLetter(origin_of(origin), reason, detail))


def names(error: Rejected, line: bytes) -> bool:
    """Return whether InfluxDB names a line as the cause of a rejection."""
    return bool(find_rejected(error.message, [line])) or rejection.cause_of(error.message) is not None
