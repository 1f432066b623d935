"""Bytes of one Kafka message to the records in it: JSON, msgpack or the lab's legacy text."""

import json
import re
from functools import partial
from typing import Any

import msgpack
import msgspec

from workers.errors import RecordError
from workers.records import line_protocol
from workers.types import MAX_RECORDS, MOST_FIELDS, Nanoseconds, NumberName, Reason, Untyped

#: One record: its fields by name, a `Line`, or why it is none (RecordError); and its own bytes.
Record = tuple[Any, bytes]

#: Fluentd's EventTime: extension 0 of 8 bytes, seconds and nanoseconds, both unsigned big-endian
#: (Fluentd forward protocol specification, "EventTime Ext Format").
EVENT_TIME = 0

_JSON_SPACE = b" \t\r\n"
_JSON_FIRST = frozenset(b"{[")

#: A byte order mark, which Windows tools write before JSON and text.
_BOM = b"\xef\xbb\xbf"

#: First bytes of msgpack arrays and maps: fixmap, fixarray, array 16/32, map 16/32.
_MSGPACK_FIRST = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
_MSGPACK_ARRAYS = frozenset([*range(0x90, 0xA0), 0xDC, 0xDD])

#: The name of a field in legacy text. Times, quotes and brackets stand before a colon too, and are none.
#: All patterns are possessive (`*+`), and so linear: a value may be a megabyte of commas, or have no colon
#: behind them.
_NAME = r"\s*+[^\W\d][\w.-]*+\s*+:"
_FIRST_NAME = re.compile(_NAME)
#: The comma before the next name.
_NEXT_NAME = re.compile(rf",(?={_NAME})")
#: The first of the tabs between two fields, as LTSV has them: one field with the others in its value would
#: not be what was sent.
_LTSV = re.compile(rf"(?<=[^\s,])\t(?={_NAME})")

#: Python reads the floats: msgspec takes 8 us for one like 1.2345678901234567e-300.
_json = msgspec.json.Decoder(float_hook=float)
_json_elements = msgspec.json.Decoder(list[msgspec.Raw])


def _extension(code: int, data: bytes) -> Nanoseconds:
    if code != EVENT_TIME or len(data) != 8:
        raise ValueError(f"extension {code} of {len(data)} bytes")
    seconds, nanos = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")
    return Nanoseconds(seconds * 10**9 + nanos)


#: msgpack allocates an array before it reads an element, so 5 bytes could allocate megabytes.
_SIZES = {"max_array_len": MOST_FIELDS, "max_map_len": MOST_FIELDS}
_TOO_LONG = re.compile(r"(\d+) exceeds max_(?:array|map)_len")
_TIMES = {"ext_hook": _extension, "timestamp": 3}

_unpack = partial(msgpack.unpackb, **_SIZES, **_TIMES)


def _with_names(pairs: list[tuple[Any, Any]]) -> dict[str | None, Any]:
    """A map whose keys are no text: numbers as names, None for any other key.

    Only text goes into the dict. A sender can choose numbers and arrays of one hash, and a dict of 50,000
    such keys takes half a minute.
    """
    return {
        key if type(key) is str else NumberName(key) if isinstance(key, int) else None: value
        for key, value in pairs
    }


_unpack_any_keys = partial(_unpack, strict_map_key=False, object_pairs_hook=_with_names)


def detect(value: bytes) -> str:
    """The format of a message: json or msgpack by its first byte, line or text by its form.

    JSON begins with `{` or `[`, msgpack maps and arrays with a byte that is no ASCII; what is left is
    line protocol or legacy text.
    """
    if value[0] in _JSON_FIRST or value.lstrip(_JSON_SPACE)[:1] in {b"{", b"["}:
        return "json"
    if value[0] in _MSGPACK_FIRST:
        return "msgpack"
    return "line" if line_protocol.is_line_protocol(value) else "text"


def decode(value: bytes | None, format_: str = "auto") -> list[Record]:
    """The records of one message.

    Args:
        value: The message's bytes, None for a tombstone.
        format_: json, msgpack, text, or auto to look at each message.

    Returns:
        At least one record, in the order of the message. A record's fields are what the sender sent;
        nothing about them is checked here.

    Raises:
        RecordError: The message holds no record.
    """
    if not value:
        raise RecordError(Reason.EMPTY, "null value" if value is None else "no bytes")
    plain = value.removeprefix(_BOM)
    if not plain:
        raise RecordError(Reason.EMPTY, "only a byte order mark")
    if format_ == "auto":
        format_ = detect(plain)
    if format_ == "line":
        lines = line_protocol.decode(plain)
        return [(lines[0][0], value)] if len(lines) == 1 else [*lines]
    if format_ == "text":
        return [(_decode_text(plain), value)]
    if format_ == "json":
        return _decode_json(value, plain)
    return _decode_msgpack(value)


def _decode_json(value: bytes, plain: bytes) -> list[Record]:
    whole = _parse_json(plain)
    if isinstance(whole, dict):
        return [(whole, value)]
    if not isinstance(whole, list):
        raise RecordError(Reason.NOT_A_RECORD, type(whole).__name__)
    if not whole:
        raise _no_records()
    if len(whole) > MAX_RECORDS:
        raise _too_many_records(len(whole))
    if len(whole) == 1:
        return [(whole[0], value)]
    try:
        raws = [bytes(raw) for raw in _json_elements.decode(plain)]
    except (msgspec.MsgspecError, RecursionError):
        # Only the lenient decoder could read it, so its elements have no bytes of their own.
        raws = [json.dumps(element).encode() for element in whole]
    return list(zip(whole, raws, strict=True))


def _no_records() -> RecordError:
    return RecordError(Reason.EMPTY, "the array is empty")


def _too_many_records(records: int) -> RecordError:
    return RecordError(Reason.TOO_MANY_RECORDS, f"{records} in one message")


def _parse_json(value: bytes) -> Any:
    try:
        return _json.decode(value)
    except RecursionError:
        raise RecordError(Reason.TOO_DEEP, "nested more deeply than the decoder allows") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if b"NaN" in value or b"Infinity" in value or "out of range" in str(error):
            return _decode_lenient(value)
        raise RecordError(Reason.JSON, _summary(error)) from None


def _decode_lenient(value: bytes) -> Any:
    """JSON with NaN, Infinity or 1e999, which Ruby and Python senders write: that field is left out."""
    try:
        return json.loads(value)
    except RecursionError:
        raise RecordError(Reason.TOO_DEEP, "nested more deeply than the decoder allows") from None
    except ValueError as error:
        raise RecordError(Reason.JSON, type(error).__name__) from None


def _decode_msgpack(value: bytes) -> list[Record]:
    try:
        if value[0] in _MSGPACK_ARRAYS:
            return [(_parse_msgpack(raw), raw) for raw in _msgpack_elements(value)]
        record = _parse_msgpack(value)
    except (msgpack.StackError, RecursionError):
        raise RecordError(Reason.TOO_DEEP, "nested more deeply than the decoder allows") from None
    except (msgpack.UnpackException, ValueError, TypeError, OverflowError) as error:
        too_long = _TOO_LONG.match(str(error))
        # One that is longer than the message is no array at all.
        reason = Reason.TOO_MANY_FIELDS if too_long and int(too_long[1]) <= len(value) else Reason.MSGPACK
        raise RecordError(reason, _summary(error)) from None
    if not isinstance(record, dict):
        raise RecordError(Reason.NOT_A_RECORD, type(record).__name__)
    return [(record, value)]


def _parse_msgpack(value: bytes) -> Any:
    try:
        return _unpack(value)
    except ValueError:
        # A map with keys that are no text, or no msgpack at all, which the next line says.
        return _unpack_any_keys(value)


def _msgpack_elements(value: bytes) -> list[bytes]:
    unpacker = msgpack.Unpacker(max_buffer_size=len(value), **_SIZES)
    unpacker.feed(value)
    count = unpacker.read_array_header()
    if count > len(value):
        raise ValueError("the message ends before the array does")
    if count > MAX_RECORDS:
        raise _too_many_records(count)
    raws, start = [], unpacker.tell()
    for _ in range(count):
        unpacker.skip()
        raws.append(value[start : unpacker.tell()])
        start = unpacker.tell()
    if start != len(value):
        raise ValueError("there are bytes after the array")
    if not raws:
        raise _no_records()
    return raws


def _decode_text(value: bytes) -> dict[str, Any]:
    """`memory:1,tx:2`: split at the first colon only; a part without a name belongs to the value before.

    All values are text here; the encoder decides by field which of them are numbers.
    """
    try:
        text = value.decode().strip()
    except UnicodeDecodeError:
        raise RecordError(Reason.TEXT, "not UTF-8") from None
    if not _FIRST_NAME.match(text):
        if (refusal := line_protocol.refusal(value)) is not None:
            raise refusal
        raise RecordError(Reason.TEXT, "does not begin with name:value")
    if _LTSV.search(text):
        raise RecordError(Reason.TEXT, "tabs between the fields (LTSV is not supported)")
    pairs = _NEXT_NAME.split(text, MOST_FIELDS)
    if len(pairs) > MOST_FIELDS:
        raise RecordError(Reason.TOO_MANY_FIELDS, f"more than {MOST_FIELDS} fields")
    fields: dict[str, str] = {}
    for pair in pairs:
        name, _, field = pair.partition(":")
        fields[name.strip()] = Untyped(field.strip())
    return fields


def _summary(error: Exception) -> str:
    """The decoder's message, which has positions and types but no payload."""
    return str(error)[:200] or type(error).__name__
