"""One valid line of line protocol, as it was sent, to the line that is written."""

from workers.config.route import Route
from workers.errors import RecordError
from workers.records import escape
from workers.records.encoder import Encoder
from workers.records.line_protocol import (
    IGNORED_FIELD,
    KEY_SEPARATOR_BYTES,
    MOST_KEY_BYTES,
    Line,
)
from workers.records.point_time import PointTime
from workers.records.timestamps import NANOSECOND, Timestamp
from workers.types import Reason, Unreadable


class LineEncoder:
    """Keeps measurement, tags, fields with their types, and nanoseconds; checks the limits.

    Args:
        route: Limits, constant tags and the window of times.
        encoder: Its counters also count what lines leave out.
    """

    def __init__(self, route: Route, encoder: Encoder) -> None:
        self._limits = route.limits
        self._encoder = encoder
        self._point_time = PointTime(route.identity)
        self._constant = {
            escape.name(name).encode(): escape.tag(value).encode() for name, value in route.line_tags
        }

    def encode(self, line: Line, kafka_ms: int | None, partition: int, offset: int, index: int) -> bytes:
        """Return the line without a newline at its end.

        Args:
            line: Its parts.
            kafka_ms: Kafka's timestamp of the message, as `kafka_time` returns it.
            partition: Partition of the message.
            offset: Offset of the message.
            index: Place of the line in its message.

        Raises:
            RecordError: The line cannot become a point.
        """
        cardinality = self._encoder.cardinality
        time = self._time(line.time, kafka_ms, partition, offset, index)
        series = self._series(line)
        fields = self._fields(line, len(series))
        cardinality.series.admit(series)
        if cardinality.pending:
            cardinality.keep()
        return b"%b %b %d" % (series, fields, time)

    def _time(
        self,
        own: int | Timestamp | Unreadable | None,
        kafka_ms: int | None,
        partition: int,
        offset: int,
        index: int,
    ) -> int:
        """Return the nanoseconds of the point: the line's own, unless they cannot be right."""
        times = self._encoder.times
        if isinstance(own, Unreadable):
            times.counts["times_unreadable"] += 1
            own = None
        elif isinstance(own, int):
            own = Timestamp(own, NANOSECOND)
        if own is not None and not times.is_plausible(own):
            own = None
        timestamp, is_own = times.choose(own, kafka_ms)
        return self._point_time.nanoseconds(timestamp, partition, offset, index, is_own=is_own)

    def _series(self, line: Line) -> bytes:
        limits = self._limits
        _at_most(limits.max_key_bytes, line.measurement, Reason.KEY_TOO_LONG, "TOWER_MAX_KEY_BYTES")
        if len(line.tags) > limits.max_fields:
            raise RecordError(
                Reason.TOO_MANY_FIELDS, f"more than {limits.max_fields} tags (TOWER_MAX_FIELDS)"
            )
        for name, value in line.tags:
            _at_most(limits.max_key_bytes, name, Reason.KEY_TOO_LONG, "TOWER_MAX_KEY_BYTES")
            _at_most(limits.max_tag_bytes, value, Reason.TAG_TOO_LONG, "TOWER_MAX_TAG_BYTES")
        # The line's own tags win.
        tags = sorted((self._constant | dict(line.tags)).items()) if self._constant else line.tags
        return line.measurement + b"".join([b",%b=%b" % tag for tag in tags])

    def _fields(self, line: Line, series_bytes: int) -> bytes:
        limits = self._limits
        if len(line.fields) > limits.max_fields:
            raise RecordError(
                Reason.TOO_MANY_FIELDS, f"more than {limits.max_fields} fields (TOWER_MAX_FIELDS)"
            )
        fields = [field for field in line.fields if field[0] != IGNORED_FIELD]
        self._encoder.values_omitted += line.omitted + len(line.fields) - len(fields)
        if not fields:
            raise RecordError(Reason.NO_FIELDS, "InfluxDB ignores a field named time")
        for name, value in fields:
            self._encoder.cardinality.names.admit(name + b"=")
            _at_most(limits.max_key_bytes, name, Reason.KEY_TOO_LONG, "TOWER_MAX_KEY_BYTES")
            if series_bytes + KEY_SEPARATOR_BYTES + len(name) > MOST_KEY_BYTES:
                raise RecordError(
                    Reason.KEY_TOO_LONG,
                    f"measurement, tags and a field's name have over {MOST_KEY_BYTES} bytes",
                )
            # Quotes are no part of a string.
            if len(value) - 2 > limits.max_text_bytes and value[:1] == b'"':
                raise RecordError(
                    Reason.TEXT_TOO_LONG,
                    f"more than {limits.max_text_bytes} bytes (TOWER_MAX_TEXT_BYTES)",
                )
        return b",".join([b"%b=%b" % field for field in fields])


def _at_most(max_bytes: int, text: bytes, reason: Reason, setting: str) -> None:
    if len(text) > max_bytes:
        raise RecordError(reason, f"more than {max_bytes} bytes ({setting})")
