"""One record to one line of line protocol."""

from typing import Any

from workers.config.parsers import RESERVED
from workers.config.route import Route
from workers.errors import RecordError
from workers.records import escape
from workers.records.cardinality import Cardinality, settings_names
from workers.records.field_types import FieldTypes, Literal
from workers.records.flatten import Flattener
from workers.records.number_text import EXACT_LIMIT, number_of_float, number_of_text
from workers.records.point_time import PointTime
from workers.records.record_time import RecordTimes
from workers.records.rename import Rename
from workers.records.series_text import SeriesText
from workers.records.timestamps import SECOND
from workers.types import Nanoseconds, Reason, Unreadable, Untyped

#: Most series and names in the caches. A full cache is cleared, so that a sender of ever new names cannot
#: fill the memory.
CACHED = 10_000


class Encoder:
    """Converts records to lines, by one route.

    The line of a record depends on the record and its coordinates alone, so a redelivered record gives
    the same line.

    Attributes:
        values_omitted: Values that were no number and no text.
        number_names: Names under which number fields are sent: their own, and those renamed to them.
        times: Chooses the records' times, and counts what is wrong with them.
    """

    def __init__(self, route: Route, cardinality: Cardinality | None = None) -> None:
        self.values_omitted = 0
        self.times = RecordTimes(route)
        self._names_doubled = 0
        self._route = route
        self._limits = route.limits
        self._flattener = Flattener(route.limits)
        self._point_time = PointTime(route.identity)
        self._types = FieldTypes(route)
        #: Fields that become tags. The measurement's field comes last if there is one.
        self.tag_fields = route.tag_fields + ((route.measurement_field,) if route.measurement_field else ())
        self._rename = Rename(route.rename, {*self.tag_fields, *route.time_fields, *self._types.names})
        # A field that could not take its new name is as much a number under its own: sent as text by one
        # record and bare by the next, it would change its type.
        self.number_names = frozenset(route.number_fields).union(
            name for name, new in route.rename if new in route.number_fields
        )
        # A field with the name of a tag could not be queried.
        self._reserved = RESERVED.union(map(escape.printable, (*dict(route.tags), *route.tag_fields)))
        self._series_text = SeriesText(route)
        self.cardinality = cardinality or Cardinality(route.limits)
        self._new = self.cardinality.pending
        for name in {*settings_names(route), *self._reserved}:
            for stored in (name, self.stored_name(name)):
                self.cardinality.names.expect(_bytes(f"{escape.name(self.stored_name(stored))}="))
        self._series: dict[tuple[Any, ...], str] = {}
        self._names: dict[str, str] = {}
        self._names_by_sent: dict[str, str] = {}

    @property
    def names_doubled(self) -> int:
        """Values dropped because an earlier field of their record is written under the same name."""
        return self._names_doubled + self._flattener.names_doubled

    @property
    def counts(self) -> dict[str, int]:
        """All that was counted, by its name in the state file."""
        return {
            "values_omitted": self.values_omitted,
            "names_doubled": self.names_doubled,
            **self.times.counts,
        }

    def encode(
        self,
        record: dict[Any, Any],
        kafka_ms: int | None,
        partition: int,
        offset: int,
        index: int = 0,
    ) -> bytes:
        """Return the line of one record, without a newline at its end.

        Args:
            record: Fields by name, as decoded.
            kafka_ms: Kafka's timestamp of the message, as `kafka_time` returns it.
            partition: Partition of the message.
            offset: Offset of the message.
            index: Place of the record in its message.

        Raises:
            RecordError: The record cannot become a point. Whoever handles it calls `cardinality.forget`.
        """
        values = self._flattener.flat(record)
        # A dict of the new names would cost a tenth of a record, and most records do not need it.
        can_wait = self._rename.can_wait(values)
        values = values.copy() if can_wait else self._rename.apply(values)
        timestamp, is_own = self.times.choose(self.times.own(values), kafka_ms)
        tags = tuple([values.pop(key, None) for key in self.tag_fields])
        # The cache has tags of text only, and no value of another type equals text: 7 does not find "7".
        series = self._series.get(tags) or self.series(tuple(map(self._tag, tags)))
        if self._types.names:
            self._types.apply(values)
        fields = ",".join(self._fields(values, sent=can_wait).values())
        if not fields:
            raise RecordError(Reason.NO_FIELDS, "no field has a valid value")
        time = self._point_time.nanoseconds(timestamp, partition, offset, index, is_own=is_own)
        try:
            line = f"{series} {fields} {time}".encode()
        except UnicodeEncodeError:
            raise RecordError(Reason.TEXT, "an unpaired UTF-16 surrogate") from None
        if self._new:
            self.cardinality.keep()
        return line

    def renamed(self, record: dict[Any, Any]) -> dict[str, Any]:
        """Return the fields of a record on one level, under their new names.

        Raises:
            RecordError: The record cannot become a point.
        """
        return self._rename.apply(self._flattener.flat(record))

    def _fields(self, values: dict[str, Any], sent: bool) -> dict[str, str]:
        """Return `name=value` by `name=`, of all that has a value InfluxDB has a type for.

        Two names can become one when they are written. The first one with a value counts.

        Args:
            values: Fields by name.
            sent: Whether they are the names as they were sent, which are then replaced by the new ones.
        """
        names = self._names_by_sent if sent else self._names
        name_of = self._name_by_sent if sent else self.name
        numbers = self.number_names
        fields: dict[str, str] = {}
        for name, value in values.items():
            # What nearly all values are comes first; `_number` takes it too.
            type_ = type(value)
            if type_ is int and -EXACT_LIMIT < value < EXACT_LIMIT:
                text: str | None = str(value)
            elif name in numbers:
                text = number_of_text(value) if type_ is str else self._number(value)
            else:
                text = self._value(value)
            if text is None:
                self.values_omitted += 1
            elif (prefix := names.get(name) or name_of(name)) in fields:
                self._names_doubled += 1
            else:
                fields[prefix] = prefix + text
        return fields

    def _number(self, value: Any) -> str | None:
        """Return a float field's text, None for what is no finite number."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, str):
            return number_of_text(value)
        if isinstance(value, bool | Nanoseconds) or not isinstance(value, int | float):
            return None
        if isinstance(value, int):
            if -EXACT_LIMIT < value < EXACT_LIMIT:
                return str(value)
            try:
                value = float(value)
            except OverflowError:
                return None
        return number_of_float(value)

    def _value(self, value: Any) -> str | None:
        """Return any other field's text by its own type, None for what InfluxDB has no type for."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Nanoseconds):
            return number_of_float(value / SECOND)
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, bytes):
            value = self._utf8(value)
        if not isinstance(value, str):
            return None
        if isinstance(value, Literal):
            return value
        if isinstance(value, Untyped) and (number := self._number(value)) is not None:
            return number
        if len(value) > self._limits.max_text_bytes or (
            not value.isascii() and len(value.encode("utf-8", "replace")) > self._limits.max_text_bytes
        ):
            raise _over(Reason.TEXT_TOO_LONG, self._limits.max_text_bytes, "TOWER_MAX_TEXT_BYTES")
        return escape.string(value)

    def _tag(self, value: Any) -> str | None:
        """Return a tag's value as text, None for none: InfluxDB has no empty tags."""
        if value is None:
            return None
        if isinstance(value, Unreadable):
            self.values_omitted += 1
            return None
        if isinstance(value, bytes):
            value = self._utf8(value)
        if isinstance(value, Nanoseconds):
            value = value / SECOND
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if len(text.encode("utf-8", "replace")) > self._limits.max_tag_bytes:
            raise _over(Reason.TAG_TOO_LONG, self._limits.max_tag_bytes, "TOWER_MAX_TAG_BYTES")
        return text or None

    @staticmethod
    def _utf8(value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RecordError(Reason.TEXT, "not UTF-8") from None

    def prefix(self, name: str) -> str:
        """Return `name=` for one field, escaped.

        Raises:
            RecordError: No field can have this name.
        """
        if not name:
            raise RecordError(Reason.NOT_A_RECORD, "a field name is empty")
        if len(name.encode("utf-8", "replace")) > self._limits.max_key_bytes:
            raise _over(Reason.KEY_TOO_LONG, self._limits.max_key_bytes, "TOWER_MAX_KEY_BYTES")
        return f"{escape.name(self.stored_name(name))}="

    def name(self, name: str) -> str:
        """Return `name=` for one field; count it, and keep it for the next record once it is known."""
        prefix = self.prefix(name)
        if self.cardinality.names.admit(_bytes(prefix)):
            if len(self._names) >= CACHED:
                self._names.clear()
            self._names[name] = prefix
        return prefix

    def stored_name(self, name: str) -> str:
        """Return the name that a field has in InfluxDB."""
        stored = escape.printable(name)
        while stored in self._reserved:
            stored += "_"
        return stored

    def _name_by_sent(self, name: str) -> str:
        """Return `name=` for one field by the name it was sent under."""
        new_name = self._rename.new_name(name)
        prefix = self.name(new_name)
        if new_name in self._names:
            if len(self._names_by_sent) >= CACHED:
                self._names_by_sent.clear()
            self._names_by_sent[name] = prefix
        return prefix

    def series(self, tags: tuple[str | None, ...]) -> str:
        """Return measurement and tags, in the order of the tags' names as InfluxDB stores them.

        Args:
            tags: The values of `tag_fields`.

        Raises:
            RecordError: The measurement is not a valid one.
        """
        series = self._series.get(tags)
        if series is None:
            series = self.series_text(tags)
            if self.cardinality.series.admit(_bytes(series)):
                if len(self._series) >= CACHED:
                    self._series.clear()
                self._series[tags] = series
        return series

    def series_text(self, tags: tuple[str | None, ...]) -> str:
        """Return measurement and tags without counting them. Arguments and errors are those of `series`."""
        return self._series_text.of(tags)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _over(reason: Reason, max_bytes: int, setting: str) -> RecordError:
    return RecordError(reason, f"more than {max_bytes} bytes ({setting})")
