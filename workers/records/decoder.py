"""Bytes of one Kafka message to the records in it."""

from collections.abc import Collection

from workers.errors import RecordError
from workers.records import envelope, foreign, json_records, legacy_text, line_protocol, msgpack_records
from workers.types import Reason, Record


def detect(payload: bytes) -> str:
    """Return the format of a message without its envelope: by its first bytes, or its form.

    JSON begins with an object, an array, or a text that holds one of them; msgpack maps and arrays with a
    byte that is no ASCII. What is left is line protocol or text.
    """
    if payload[0] in msgpack_records.FIRST:
        return "msgpack"
    if json_records.begins(payload):
        return "json"
    return "line" if line_protocol.is_line_protocol(payload) else "text"


def decode(value: bytes | None, format_: str, number_names: Collection[str]) -> tuple[str, list[Record]]:
    """Return the format of one message, and its records.

    Args:
        value: The message's bytes, None for a tombstone.
        format_: json, msgpack, line, text, or auto to look at each message.
        number_names: Names under which number fields are sent. Text must have one of them.

    Returns:
        The format: json, msgpack, line or text. At least one record, in the order of the message. A
        record's fields are what the sender sent; nothing about them is checked here.

    Raises:
        RecordError: The message holds no record.
    """
    if not value:
        raise RecordError(Reason.EMPTY, "null value" if value is None else "no bytes")
    payload, header = envelope.unwrap(value) if value[0] in envelope.FIRST else (value, "")
    if not payload:
        raise RecordError(Reason.EMPTY, "only a byte order mark")
    if format_ == "auto":
        format_ = detect(payload)
    try:
        if format_ == "json":
            return format_, json_records.decode(payload, value)
        if format_ == "msgpack":
            return format_, msgpack_records.decode(value)
        if format_ == "line":
            lines = line_protocol.decode(payload)
            return format_, [(lines[0][0], value)] if len(lines) == 1 else [*lines]
        return format_, [(legacy_text.decode(payload, number_names), value)]
    except RecordError as error:
        if error.detail in foreign.MAY_BE_LINES and (refusal := line_protocol.refusal(payload)):
            raise refusal from None
        raise RecordError(error.reason, _detail(error, payload, header)) from None


def _detail(error: RecordError, payload: bytes, header: str) -> str:
    """Return what a message without a record looks like, and what is wrong with it."""
    is_broken = error.reason in {Reason.JSON, Reason.MSGPACK}
    looks = foreign.describe_broken(payload) if is_broken else ""
    detail = f"{looks}: {error.detail}" if looks else error.detail
    return f"behind {header}: {detail}" if header else detail
