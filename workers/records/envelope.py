"""What may stand before a record in its message: a byte order mark, or a schema's id."""

#: A byte order mark, which Windows tools write before JSON and text.
BOM = b"\xef\xbb\xbf"

#: Bytes of a Confluent wire header: a zero, and a schema's id of four bytes, most significant first
#: (Confluent's documentation, "Wire format").
HEADER_BYTES = 5

#: First bytes of a message in which something stands before the record.
FIRST = frozenset([0, BOM[0]])

_SPACE = b" \t\r\n"


def unwrap(value: bytes) -> tuple[bytes, str]:
    """Remove what stands before a record.

    A schema's id is removed only before JSON. Avro and Protobuf cannot be read without the schema.

    Returns:
        The rest, and what was removed with its id; empty for a byte order mark and for nothing.
    """
    payload = value.removeprefix(BOM)
    header = confluent_header(payload)
    if header and payload[HEADER_BYTES:].lstrip(_SPACE)[:1] in {b"{", b"["}:
        return payload[HEADER_BYTES:], header
    return payload, ""


def confluent_header(payload: bytes) -> str:
    """Describe the Confluent wire header of a message; empty if it has none."""
    if len(payload) <= HEADER_BYTES or payload[0] != 0:
        return ""
    return f"a Confluent header (magic 0, schema id {int.from_bytes(payload[1:HEADER_BYTES], 'big')})"
