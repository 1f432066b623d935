"""msgpack to records: one map, or an array of maps."""

import re
import struct
from functools import partial
from typing import Any

import msgpack

from workers.errors import RecordError
from workers.types import (
    MAX_RECORDS,
    MOST_FIELDS,
    UNREADABLE,
    Nanoseconds,
    NumberName,
    Reason,
    Record,
    Unreadable,
)

#: Fluentd's EventTime: extension 0 of 8 bytes, seconds and nanoseconds, both unsigned big-endian
#: (Fluentd forward protocol specification, "EventTime Ext Format").
EVENT_TIME = 0
_EVENT_TIME = struct.Struct(">II")

#: An extension that is no time: what an `Unreadable` is written as.
_NO_TIME = msgpack.ExtType(1, b"")

#: First bytes of arrays and maps: fixmap, fixarray, array 16/32, map 16/32.
FIRST = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_ARRAYS = frozenset([*range(0x90, 0xA0), 0xDC, 0xDD])

#: Types of a flat record in which no name and no value has to be looked at again.
_NAMES = frozenset({str})
_VALUES = frozenset({str, int, float, bool, type(None), Nanoseconds, Unreadable})

_ERRORS = (msgpack.UnpackException, ValueError, TypeError, OverflowError, RecursionError)
_TOO_LONG = re.compile(r"(\d+) exceeds max_(?:array|map)_len")

#: msgpack allocates an array before it reads an element, so 5 bytes could allocate megabytes.
_SIZES = {"max_array_len": MOST_FIELDS, "max_map_len": MOST_FIELDS}


def decode(value: bytes) -> list[Record]:
    """Return the records of one message.

    Raises:
        RecordError: The message is no msgpack, or holds no record.
    """
    if value[0] not in _ARRAYS:
        record = _parse(value)
        if not isinstance(record, dict):
            raise RecordError(Reason.NOT_A_RECORD, type(record).__name__)
        return [(record, value)]
    try:
        raws = _elements(value)
    except _ERRORS as error:
        raise _invalid(error, len(value)) from None
    return [_element(raw) for raw in raws]


def _element(raw: bytes) -> Record:
    """Read one element of an array. If it cannot be read, that costs this element alone."""
    try:
        return _parse(raw), raw
    except RecordError as error:
        return error, raw


def _parse(value: bytes) -> Any:
    try:
        record = _unpack(value)
        if (
            type(record) is dict
            and _VALUES.issuperset(map(type, record.values()))
            and _NAMES.issuperset(map(type, record))
        ):
            return record
    except ValueError:
        # A map with keys that are no text, or no msgpack at all, which the next lines say.
        pass
    try:
        return _unpack_all(value)
    except _ERRORS as error:
        raise _invalid(error, len(value)) from None


def pack(value: Any) -> bytes:
    """Return the bytes of a value that was decoded. They are read as the same value again.

    Raises:
        RecordError: It is nested too deeply.
    """
    try:
        # Strict: a time is written as a time, and not as the number that it is in Python.
        packed: bytes = msgpack.packb(value, default=_sent, strict_types=True)
    except (ValueError, RecursionError):
        raise _too_deep() from None
    return packed


def _sent(value: Any) -> Any:
    """Return what a value of Tower's own types was sent as."""
    if isinstance(value, Nanoseconds):
        seconds, nanos = divmod(int(value), 10**9)
        if 0 <= seconds < 2**32:
            return msgpack.ExtType(EVENT_TIME, _EVENT_TIME.pack(seconds, nanos))
        return msgpack.Timestamp(seconds, nanos)
    if isinstance(value, NumberName):
        return value == "True" if value in {"True", "False"} else int(value)
    return _NO_TIME


def _too_deep() -> RecordError:
    return RecordError(Reason.TOO_DEEP, "nested more deeply than the decoder allows")


def _invalid(error: Exception, size: int) -> RecordError:
    if isinstance(error, msgpack.StackError | RecursionError):
        return _too_deep()
    # The decoder's message has positions and types but no payload.
    detail = str(error)[:200] or type(error).__name__
    too_long = _TOO_LONG.match(detail)
    # An array that is longer than the message is none at all.
    is_array = too_long is not None and int(too_long[1]) <= size
    return RecordError(Reason.TOO_MANY_FIELDS if is_array else Reason.MSGPACK, detail)


def _elements(value: bytes) -> list[bytes]:
    """Return the bytes of each element of an array."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(value), **_SIZES)
    unpacker.feed(value)
    count = unpacker.read_array_header()
    if count > len(value):
        raise ValueError("the message ends before the array does")
    if count > MAX_RECORDS:
        raise RecordError(Reason.TOO_MANY_RECORDS, f"{count} in one message")
    raws, start = [], unpacker.tell()
    for _ in range(count):
        unpacker.skip()
        raws.append(value[start : unpacker.tell()])
        start = unpacker.tell()
    if start != len(value):
        raise ValueError("there are bytes after the array")
    if not raws:
        raise RecordError(Reason.EMPTY, "the array is empty")
    return raws


def _extension(code: int, data: bytes) -> Nanoseconds | Unreadable:
    if code != EVENT_TIME or len(data) != 8:
        return UNREADABLE
    seconds, nanos = _EVENT_TIME.unpack(data)
    return Nanoseconds(seconds * 10**9 + nanos)


def _value(value: Any) -> Any:
    """Return the text of a `bin`, as Ruby and C write it, and the time of msgpack's own extension (-1)."""
    if type(value) is bytes:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if type(value) is msgpack.Timestamp:
        return Nanoseconds(value.seconds * 10**9 + value.nanoseconds)
    return value


def _values(values: list[Any]) -> list[Any]:
    return [_value(value) for value in values]


def _fields(pairs: list[tuple[Any, Any]]) -> dict[str | None, Any]:
    """Return a map by names of text. Numbers become names, any other key becomes None.

    Only text goes into the dict. A sender can choose numbers and arrays of one hash, and a dict of 50,000
    such keys takes half a minute.
    """
    return {_name(key): _value(value) for key, value in pairs}


def _name(key: Any) -> str | None:
    name = _value(key)
    if type(name) is str:
        return name
    # A time is a number too, and no name.
    return NumberName(name) if type(name) is int or type(name) is bool else None


_unpack = partial(msgpack.unpackb, **_SIZES, ext_hook=_extension)
_unpack_all = partial(
    _unpack, timestamp=0, strict_map_key=False, object_pairs_hook=_fields, list_hook=_values
)
