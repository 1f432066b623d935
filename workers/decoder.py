"""Bytes of one Kafka message to the records in it: JSON, msgpack or the lab's legacy text."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from workers.errors import RecordError
from workers.types import MAX_RECORDS, Nanoseconds, Reason, Untyped

#: One record: its fields by name, and its own bytes.
Record = tuple[dict[str, Any], bytes]

#: Fluentd's EventTime: extension 0 of 8 bytes, seconds and nanoseconds, both unsigned big-endian
#: (Fluentd forward protocol specification, "EventTime Ext Format").
EVENT_TIME = 0

_JSON_SPACE = b" \t\r\n"
_JSON_FIRST = frozenset(b"{[")

#: A byte order mark, which Windows tools write before JSON and text; it is no part of either.
_BOM = b"\xef\xbb\xbf"

#: First bytes of msgpack arrays and maps: fixmap, fixarray, array 16/32, map 16/32.
_MSGPACK_FIRST = frozenset([*range(0x80, 0xA0), *range(0xDC, 0xE0)])

_json = msgspec.json.Decoder()
_json_elements = msgspec.json.Decoder(list[msgspec.Raw])


def _extension(code: int, data: memoryview) -> Nanoseconds:
    if code != EVENT_TIME or len(data) != 8:
        raise ValueError(f"extension {code} of {len(data)} bytes")
    seconds, nanos = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big")
    return Nanoseconds(seconds * 10**9 + nanos)


_msgpack = msgspec.msgpack.Decoder(ext_hook=_extension)
_msgpack_elements = msgspec.msgpack.Decoder(list[msgspec.Raw])


def detect(value: bytes) -> str:
    """The format of a message: json, msgpack or text, by its first byte.

    JSON begins with `{` or `[`, msgpack maps and arrays with a byte that is no ASCII; what is left is
    legacy text.
    """
    if value[0] in _JSON_FIRST or value.lstrip(_JSON_SPACE)[:1] in {b"{", b"["}:
        return "json"
    if value[0] in _MSGPACK_FIRST:
        return "msgpack"
    return "text"


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
        raise RecordError(Reason.EMPTY, "a byte order mark alone")
    if format_ == "auto":
        format_ = detect(plain)
    if format_ == "text":
        return [(_decode_text(plain), value)]
    if format_ == "json":
        return _decode_nested(value, plain, _decode_json, _json_elements, Reason.JSON)
    return _decode_nested(value, value, _decode_msgpack, _msgpack_elements, Reason.MSGPACK)


def _decode_nested(
    value: bytes,
    plain: bytes,
    decode_one: Callable[[bytes], Any],
    elements: Any,
    reason: Reason,
) -> list[Record]:
    whole = decode_one(plain)
    if isinstance(whole, dict):
        return [(whole, value)]
    if not isinstance(whole, list):
        raise RecordError(Reason.NOT_A_RECORD, type(whole).__name__)
    if not whole:
        raise RecordError(Reason.EMPTY, "an array without elements")
    if len(whole) > MAX_RECORDS:
        raise RecordError(Reason.TOO_MANY_RECORDS, f"{len(whole)} in one message")
    try:
        raws = [bytes(raw) for raw in elements.decode(plain)]
    except (msgspec.MsgspecError, RecursionError):
        # Only the lenient decoder could read it, so its elements have no bytes of their own.
        raws = [json.dumps(each).encode() for each in whole]
    if len(whole) == 1 and reason is Reason.JSON:
        raws = [value]
    return list(zip(whole, raws, strict=True))


def _decode_json(value: bytes) -> Any:
    try:
        return _json.decode(value)
    except RecursionError:
        raise RecordError(Reason.TOO_DEEP, "nested past the decoder's limit") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if b"NaN" in value or b"Infinity" in value or "out of range" in str(error):
            return _decode_lenient(value)
        raise RecordError(Reason.JSON, _summary(error)) from None


def _decode_lenient(value: bytes) -> Any:
    """JSON with NaN, Infinity or 1e999, which Ruby and Python senders write: that field is left out."""
    try:
        return json.loads(value)
    except RecursionError:
        raise RecordError(Reason.TOO_DEEP, "nested past the decoder's limit") from None
    except ValueError as error:
        raise RecordError(Reason.JSON, type(error).__name__) from None


def _decode_msgpack(value: bytes) -> Any:
    try:
        return _msgpack.decode(value)
    except RecursionError:
        raise RecordError(Reason.TOO_DEEP, "nested past the decoder's limit") from None
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise RecordError(Reason.MSGPACK, _summary(error)) from None


def _decode_text(value: bytes) -> dict[str, Any]:
    """`memory:1,tx:2`: split at the first colon only; a part without one belongs to the value before.

    All values are text here; which of them are numbers is for their fields to say.
    """
    try:
        parts = value.decode().strip().split(",")
    except UnicodeDecodeError:
        raise RecordError(Reason.TEXT, "not UTF-8") from None
    fields: dict[str, str] = {}
    name = ""
    for part in parts:
        key, colon, text = part.partition(":")
        if colon and key.strip():
            name = key.strip()
            fields[name] = text
        elif name:
            fields[name] += f",{part}"
        else:
            raise RecordError(Reason.TEXT, "does not begin with name:value")
    return {key: Untyped(text.strip()) for key, text in fields.items()}


def _summary(error: Exception) -> str:
    """The decoder's own words, which name positions and types but quote no payload."""
    return str(error)[:200]
