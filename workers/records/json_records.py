"""JSON to records: an object, an array of objects, or several texts in one message."""

import json
import re
from itertools import islice
from typing import Any

import msgspec

from workers.errors import RecordError
from workers.types import MAX_RECORDS, Reason, Record

#: A record separator, which begins each text of a JSON text sequence (RFC 7464).
SEPARATOR = b"\x1e"

#: An object or an array, or the text of one: JSON that was encoded twice.
_FIRST = re.compile(rb'[ \t\r\n]*+(?:"[ ]*+(?:\\[nrt][ ]*+)*+)?[{\[]')

#: A line that is not blank.
_LINE = re.compile(rb"[^ \t\r\n][^\n]*+")

#: Python reads the floats: msgspec takes 8 us for one like 1.2345678901234567e-300.
_json = msgspec.json.Decoder(float_hook=float)
_json_elements = msgspec.json.Decoder(list[msgspec.Raw])

#: The decoder's message for a text that could go on. It calls all other invalid texts malformed.
_TRUNCATED = "truncated"


def begins(payload: bytes) -> bool:
    """Return whether a message begins like JSON that can hold a record."""
    return payload.startswith(SEPARATOR) or _FIRST.match(payload) is not None


def decode(payload: bytes, value: bytes) -> list[Record]:
    """Return the records of one message.

    Args:
        payload: JSON, without what may stand before it.
        value: The whole message, which is the record's own bytes if there is one record.

    Raises:
        RecordError: The message is no JSON, or holds no record.
    """
    if payload.startswith(SEPARATOR):
        return _sequence(payload, value)
    try:
        whole = parse(payload)
    except RecordError as error:
        lines = _lines(payload, error)
        if lines is None:
            raise
        return lines
    if isinstance(whole, dict):
        return [(whole, value)]
    if isinstance(whole, str) and whole.lstrip()[:1] in {"{", "["}:
        payload = whole.encode("utf-8", "surrogatepass")
        whole = parse(payload)
    return _records(whole, payload, value)


def parse(text: bytes) -> Any:
    """Return the value of one JSON text.

    Raises:
        RecordError: It is not valid.
    """
    try:
        return _json.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if b"NaN" in text or b"Infinity" in text or "out of range" in str(error):
            return _parse_lenient(text)
        raise RecordError(Reason.JSON, str(error)[:200]) from None


def _parse_lenient(text: bytes) -> Any:
    """Read JSON with NaN, Infinity or 1e999, which Ruby and Python senders write. That field is omitted."""
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise RecordError(Reason.JSON, type(error).__name__) from None


def pack(value: Any) -> bytes:
    """Return the bytes of a value that was decoded. They are read as the same value again.

    Raises:
        RecordError: It is nested too deeply. The decoder goes a few levels deeper than Python's encoder.
    """
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> RecordError:
    return RecordError(Reason.TOO_DEEP, "nested more deeply than the decoder allows")


def _records(whole: Any, payload: bytes, value: bytes) -> list[Record]:
    """Return the records of one JSON text that has been parsed."""
    if isinstance(whole, dict):
        return [(whole, value)]
    if not isinstance(whole, list):
        raise RecordError(Reason.NOT_A_RECORD, type(whole).__name__)
    if not whole:
        raise RecordError(Reason.EMPTY, "the array is empty")
    if len(whole) > MAX_RECORDS:
        raise _too_many(len(whole))
    if len(whole) == 1:
        return [(whole[0], value)]
    try:
        raws = [bytes(raw) for raw in _json_elements.decode(payload)]
    except (msgspec.MsgspecError, RecursionError):
        # Only the lenient decoder could read it, so its elements have no bytes of their own.
        raws = [pack(element) for element in whole]
    return list(zip(whole, raws, strict=True))


def _too_many(records: int | str) -> RecordError:
    return RecordError(Reason.TOO_MANY_RECORDS, f"{records} in one message")


def _record(text: bytes) -> Record:
    """Read one text of several. If it is no JSON, that costs this text alone."""
    try:
        return parse(text), text
    except RecordError as error:
        return error, text


def _sequence(payload: bytes, value: bytes) -> list[Record]:
    """Return the records of a JSON text sequence."""
    texts = [text for text in payload.split(SEPARATOR, MAX_RECORDS + 1) if text.strip()]
    if not texts:
        raise RecordError(Reason.EMPTY, "only record separators")
    if len(texts) > MAX_RECORDS:
        raise _too_many(f"more than {MAX_RECORDS}")
    if len(texts) == 1:
        return _records(parse(texts[0]), texts[0], value)
    return [_record(text.strip()) for text in texts]


def _lines(payload: bytes, error: RecordError) -> list[Record] | None:
    """Return the records of newline-delimited JSON; None if the message is one broken text.

    A broken text over several lines can have lines that are objects and no records. So the first line has
    to be an object, behind which no text goes on. Or all lines begin as objects do, and the first one is so
    broken that it cannot go on with the second.
    """
    texts = [match[0].rstrip() for match in islice(_LINE.finditer(payload), MAX_RECORDS + 1)]
    if error.reason != Reason.JSON or len(texts) < 2:
        return None
    first = _record(texts[0])
    if not isinstance(first[0], dict) and (
        any(not text.startswith(b"{") for text in texts) or _goes_on(texts[0] + b"\n{")
    ):
        return None
    if len(texts) > MAX_RECORDS:
        raise _too_many(f"more than {MAX_RECORDS}")
    records = [first, *map(_record, texts[1:])]
    return records if any(isinstance(record, dict) for record, _ in records) else None


def _goes_on(text: bytes) -> bool:
    """Return whether a text is the beginning of valid JSON."""
    try:
        parse(text)
    except RecordError as error:
        return _TRUNCATED in error.detail
    return False
