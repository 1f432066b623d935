"""One record to one line of line protocol."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from workers import escape, times
from workers.decoder import Nanoseconds
from workers.errors import RecordError
from workers.identity import Identity
from workers.settings import RESERVED, Settings
from workers.types import Reason

#: Tag sets and names whose escaped form is kept; past that the caches start afresh, so that a sender of
#: ever new names cannot fill the memory.
CACHED = 10_000

#: Possessive (`++`): a megabyte of digits with a letter behind it would otherwise be tried at every length.
_NUMBER = re.compile(r"[+-]?(\d++(\.\d*+)?|\.\d++)([eE][+-]?\d++)?", re.ASCII)


class Encoder:
    """Turns records into lines, by the settings of one worker.

    The line of a record depends on the record and its coordinates alone, so a redelivered record gives
    the same line.

    Attributes:
        left_out: Values that were no number, no text or no readable time.
        disbelieved: Times further than the window from Kafka's own.
    """

    def __init__(self, settings: Settings) -> None:
        self.left_out = 0
        self.disbelieved = 0
        self._settings = settings
        self._identity = Identity(settings.identity_partitions)
        self._window_ns = settings.time_window_s * times.SECOND
        self._numbers = frozenset(settings.number_fields)
        self._measurement = escape.measurement(settings.measurement)
        self._constant = {key: escape.tag(value) for key, value in settings.tags}
        self._heads: dict[tuple[str | None, ...], str] = {}
        self._names: dict[str, str] = {}

    def encode(
        self,
        record: Mapping[Any, Any],
        kafka_ms: int | None,
        partition: int,
        offset: int,
        index: int = 0,
    ) -> bytes:
        """The line of one record, without a newline at its end.

        Args:
            record: Fields by name, as decoded.
            kafka_ms: Kafka's timestamp of the message in milliseconds since the epoch, None without.
            partition: Partition of the message, below TOWER_IDENTITY_PARTITIONS.
            offset: Offset of the message.
            index: Place of the record in its message.

        Raises:
            RecordError: The record cannot become a point.
        """
        moment, read = self._moment(record, kafka_ms)
        values: dict[str, Any] = {}
        self._flatten("", record.items(), 1, values)
        for name in read:
            values.pop(name, None)
        tags = tuple(self._tag(values.pop(key, None)) for key in self._settings.tag_fields)
        fields = ",".join(self._fields(values))
        if not fields:
            raise RecordError(Reason.NO_FIELDS, "no field with a value")
        time = self._identity.timestamp(moment, partition, offset, index)
        try:
            return f"{self.head(tags)} {fields} {time}".encode()
        except UnicodeEncodeError:
            raise RecordError(Reason.TEXT, "half a surrogate pair") from None

    def _moment(self, record: Mapping[Any, Any], kafka_ms: int | None) -> tuple[times.Moment, list[str]]:
        """The record's time, or Kafka's, and the fields that were read for it."""
        kafka = None if kafka_ms is None else times.from_milliseconds(kafka_ms)
        read: list[str] = []
        for name in self._settings.time_fields:
            if name not in record:
                continue
            read.append(name)
            moment = times.parse(record[name])
            if moment is None:
                self.left_out += 1
            elif kafka is None or abs(moment.ns - kafka.ns) <= self._window_ns:
                return moment, read
            else:
                self.disbelieved += 1
                break
        if kafka is None:
            raise RecordError(Reason.NO_TIME, "neither the record nor Kafka tells a time")
        return kafka, read

    def _flatten(
        self, path: str, items: Iterable[tuple[Any, Any]], depth: int, values: dict[str, Any]
    ) -> None:
        """Nested objects and arrays to one level: `{"a": {"b": [7]}}` is `a_b_0`."""
        if depth > self._settings.max_depth:
            raise RecordError(Reason.TOO_DEEP, f"over {self._settings.max_depth} levels")
        for key, value in items:
            # Below the first level the place in an array counts as a name, and msgpack's numbers so do too.
            if not isinstance(key, str | int if depth > 1 else str):
                raise RecordError(Reason.NOT_A_RECORD, "a field whose name is no text")
            name = f"{path}_{key}" if path else str(key)
            if isinstance(value, dict | list):
                if len(name) > self._settings.max_key_bytes:
                    # Told before it is repeated in the name of each field below it, which would make
                    # hundreds of megabytes of one.
                    raise RecordError(Reason.KEY_TOO_LONG, f"over {self._settings.max_key_bytes} bytes")
                items_below = value.items() if isinstance(value, dict) else enumerate(value)
                self._flatten(name, items_below, depth + 1, values)
            elif len(values) >= self._settings.max_fields:
                raise RecordError(Reason.TOO_MANY_FIELDS, f"over {self._settings.max_fields}")
            else:
                values[name] = value

    def _fields(self, values: dict[str, Any]) -> Iterable[str]:
        for name, value in values.items():
            text = self._number(value) if name in self._numbers else self._value(value)
            if text is None:
                self.left_out += 1
            else:
                yield (self._names.get(name) or self.name(name)) + text

    def _number(self, value: Any) -> str | None:
        """A float field's text, None for what is no finite number."""
        if isinstance(value, str):
            text = value.strip()
            # Up to 15 digits a double holds exactly, so they can stand as they came.
            if len(text) <= 15 and text.isdecimal() and text.isascii():
                return text if text[0] != "0" or text == "0" else str(int(text))
            return self._float(float(text)) if _NUMBER.fullmatch(text) else None
        if isinstance(value, bytes):
            return self._number(value.decode("utf-8", "replace"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if isinstance(value, int):
            if -(10**15) < value < 10**15:
                return str(value)
            try:
                value = float(value)
            except OverflowError:
                return None
        return self._float(value)

    @staticmethod
    def _float(value: float) -> str | None:
        return repr(value) if math.isfinite(value) else None

    def _value(self, value: Any) -> str | None:
        """Any other field's text by its own type, None for what InfluxDB has no type for."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, Nanoseconds):
            return self._float(value / times.SECOND)
        if isinstance(value, int | float):
            return self._number(value)
        if isinstance(value, bytes):
            value = self._utf8(value)
        if not isinstance(value, str):
            return None
        if len(value) > self._settings.max_text_bytes or (
            not value.isascii() and len(value.encode("utf-8", "replace")) > self._settings.max_text_bytes
        ):
            raise RecordError(Reason.TEXT_TOO_LONG, f"over {self._settings.max_text_bytes} bytes")
        return escape.string(value)

    def _tag(self, value: Any) -> str | None:
        """A tag's value as text, None for none: InfluxDB has no empty tags."""
        if value is None:
            return None
        if isinstance(value, bytes):
            value = self._utf8(value)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if len(text.encode("utf-8", "replace")) > self._settings.max_tag_bytes:
            raise RecordError(Reason.TAG_TOO_LONG, f"over {self._settings.max_tag_bytes} bytes")
        return text or None

    @staticmethod
    def _utf8(value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RecordError(Reason.TEXT, "not UTF-8") from None

    def name(self, name: str) -> str:
        """`name=` for one field, escaped, and kept for the next record."""
        if not name:
            raise RecordError(Reason.NOT_A_RECORD, "a field without a name")
        if len(name.encode("utf-8", "replace")) > self._settings.max_key_bytes:
            raise RecordError(Reason.KEY_TOO_LONG, f"over {self._settings.max_key_bytes} bytes")
        # A field that shares its name with a tag could not be asked for.
        taken = name in RESERVED or name in self._constant
        if len(self._names) >= CACHED:
            self._names.clear()
        self._names[name] = found = f"{escape.name(name)}{'_' if taken else ''}="
        return found

    def head(self, tags: tuple[str | None, ...]) -> str:
        """Measurement and tags, in the order of the tags' names as InfluxDB stores them."""
        head = self._heads.get(tags)
        if head is None:
            both = dict(self._constant)
            for key, value in zip(self._settings.tag_fields, tags, strict=True):
                if value is not None:
                    both[key] = escape.tag(value)
            pairs = (f",{escape.name(key)}={both[key]}" for key in sorted(both))
            if len(self._heads) >= CACHED:
                self._heads.clear()
            self._heads[tags] = head = self._measurement + "".join(pairs)
        return head
