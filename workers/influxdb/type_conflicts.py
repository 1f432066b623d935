"""The type conflicts that InfluxDB has confirmed, and what they do to the lines that follow."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from re import Match, Pattern

from workers.influxdb import line_fields
from workers.influxdb.conversion import converted
from workers.influxdb.line_fields import HOUR_NS, LineSearch, time_ns
from workers.influxdb.piece import Piece, Sorted
from workers.influxdb.rejection import TypeConflict

#: Maximum conflicts that are remembered. All lines are searched for each of them.
MOST = 32

#: Seconds after which InfluxDB is asked again: the bucket may have been created again.
RECHECK_S = 60.0

#: Seconds without such a line after which a conflict is forgotten.
FORGET_S = 600.0

#: Measurement, field and type that was sent.
_Key = tuple[bytes, bytes, str]


@dataclass(slots=True)
class _Known:
    """A type conflict that InfluxDB has confirmed.

    Attributes:
        conflict: What InfluxDB said.
        needle: Bytes that every line with this field and type has.
        pattern: Matches such lines (see `line_fields.finder`).
        first_hour, last_hour: Hours since the epoch of which InfluxDB said it.
        asked_at: Monotonic seconds when it last did.
        used_at: Monotonic seconds when a line like that was last seen.
        conversions: Number of values that were converted.
        rejections: Number of lines that were rejected.
    """

    conflict: TypeConflict
    needle: bytes
    pattern: Pattern[bytes]
    first_hour: int
    last_hour: int
    asked_at: float
    used_at: float
    conversions: int = 0
    rejections: int = 0

    def matches(self, lines: Sequence[bytes], search: LineSearch) -> Iterator[tuple[int, Match[bytes]]]:
        """Return the position of each line that InfluxDB would reject for this conflict, and its match.

        Args:
            lines: The lines, of which some may be converted already.
            search: Finds the lines to look at.
        """
        match = self.pattern.match
        for position in search.likely(self.needle):
            if found := match(lines[position]):
                yield position, found


class TypeConflicts:
    """Remembers the type conflicts of one bucket, and applies them to the lines that follow.

    A value that can be converted without loss is converted. Other lines are rejected at once if InfluxDB
    has confirmed the conflict for their hour within `RECHECK_S`. Else they are sent on their own.

    Args:
        convert: Whether values are converted at all.
        clock: Monotonic seconds.

    Attributes:
        conversions: Number of values that were converted.
    """

    def __init__(self, convert: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.conversions = 0
        self._convert = convert
        self._clock = clock
        self._known: OrderedDict[_Key, _Known] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._known)

    def confirm(self, conflict: TypeConflict, piece: Piece) -> Sorted:
        """Remember a conflict for which InfluxDB has rejected all lines of a piece, and apply it to them.

        No other conflict is applied: a line that is sent again for another one would come back for this.
        """
        hours = [time_ns(line) // HOUR_NS for line in piece.lines]
        first, last, now = min(hours), max(hours), self._clock()
        key = _key(conflict)
        # If a field has changed its type, what was known of it is the opposite.
        self._known.pop((conflict.measurement, conflict.field, conflict.stored), None)
        known = self._known.pop(key, None)
        if known is None or known.conflict.stored != conflict.stored:
            known = _Known(conflict, _needle(conflict), _pattern(conflict), first, last, now, now)
        elif first <= known.last_hour + 1 and known.first_hour <= last + 1:
            known.first_hour, known.last_hour = min(first, known.first_hour), max(last, known.last_hour)
        else:
            known.first_hour, known.last_hour = first, last
        known.asked_at = now
        self._known[key] = known
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return self._apply({key: known}, piece)

    def sort(self, piece: Piece) -> Sorted:
        """Convert what can be converted, and separate what InfluxDB rejects or may reject from the rest."""
        now = self._clock()
        for key in [key for key, known in self._known.items() if now - known.used_at > FORGET_S]:
            del self._known[key]
        return self._apply(self._known, piece)

    def _apply(self, conflicts: Mapping[_Key, _Known], piece: Piece) -> Sorted:
        now = self._clock()
        lines, gone = piece.lines, set[int]()
        search = LineSearch(lines)
        result = Sorted(piece)
        for key, known in conflicts.items():
            conflict, is_recent, asked = known.conflict, now - known.asked_at < RECHECK_S, []
            for position, match in known.matches(lines, search):
                if position in gone:
                    continue
                known.used_at = now
                line = lines[position]
                if not (is_recent and known.first_hour <= time_ns(line) // HOUR_NS <= known.last_hour):
                    asked.append(position)
                    gone.add(position)
                    continue
                fitting = converted(match["value"], conflict.stored) if self._convert else None
                if fitting is None:
                    known.rejections += 1
                    gone.add(position)
                    result.rejected.append((piece.origins[position], conflict.text))
                    continue
                if lines is piece.lines:
                    lines = list(lines)
                lines[position] = line[: match.start("value")] + fitting + line[match.end("value") :]
                known.conversions += 1
                self.conversions += 1
            if asked:
                part = replace(piece, lines=lines, on_stored=partial(self._forget, key))
                result.ask.append(part.only(asked))
        whole = replace(piece, lines=lines)
        result.ready = whole.divided(gone)[1] if gone else whole
        return result

    def _forget(self, key: _Key) -> None:
        """Forget a conflict: InfluxDB has stored such a line."""
        self._known.pop(key, None)

    def report(self) -> list[dict[str, str | int]]:
        """Return what is known, for the state file."""
        return [
            {
                "measurement": known.conflict.measurement.decode("utf-8", "replace"),
                "field": known.conflict.field.decode("utf-8", "replace"),
                "stored": known.conflict.stored,
                "sent": known.conflict.sent,
                "conversions": known.conversions,
                "rejections": known.rejections,
            }
            for known in self._known.values()
        ]


def in_conflict(lines: Sequence[bytes], conflict: TypeConflict) -> list[int]:
    """Return the positions of the lines that InfluxDB would reject for a conflict."""
    match = _pattern(conflict).match
    return [position for position in LineSearch(lines).likely(_needle(conflict)) if match(lines[position])]


def _needle(conflict: TypeConflict) -> bytes:
    """Return bytes that every line with this field and type has."""
    name = line_fields.escaped(conflict.field)
    return name + (b'="' if conflict.sent == "string" else b"=")


def _pattern(conflict: TypeConflict) -> Pattern[bytes]:
    return line_fields.finder(conflict.measurement, conflict.field, conflict.sent)


def _key(conflict: TypeConflict) -> _Key:
    return conflict.measurement, conflict.field, conflict.sent
