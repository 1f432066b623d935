"""An array inside a record to one record for each of its elements."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgpack

from workers.errors import RecordError
from workers.types import MAX_RECORDS, Reason

#: Most bytes of the new records of one message: each repeats the fields around the array.
MOST_BYTES = 16_000_000

#: A record, or why it is none, and its own bytes.
_Record = tuple[Any, bytes]


def split(records: Iterable[_Record], path: Sequence[str]) -> list[tuple[Any, bytes]]:
    """Split each record at the array that its path leads to.

    A new record has the fields of one element and all fields around the array. A field of the element wins
    over one around it.

    Args:
        records: The records of one message.
        path: Names that lead to the array.

    Returns:
        The new records, each with bytes that decode to itself by the same path. What cannot be split is a
        `RecordError` in place of the record.

    Raises:
        RecordError: The message has more than `MAX_RECORDS` elements, or more than `MOST_BYTES` of them.
    """
    elements: list[_Record] = []
    size = 0
    for record, raw in records:
        try:
            for element in _elements(record, raw, path):
                elements.append(element)
                size += len(element[1])
                if len(elements) > MAX_RECORDS:
                    raise _Whole(
                        Reason.TOO_MANY_RECORDS, f"more than {MAX_RECORDS} elements in one message"
                    )
                if size > MOST_BYTES:
                    raise _Whole(
                        Reason.TOO_LARGE,
                        f"more than {MOST_BYTES} bytes with the fields around the array in each element",
                    )
        except _Whole:
            raise
        except RecordError as error:
            elements.append((error, raw))
    return elements


class _Whole(RecordError):
    """The whole message is a dead letter."""


def _elements(record: Any, raw: bytes, path: Sequence[str]) -> Iterator[_Record]:
    if not isinstance(record, dict):
        yield record, raw
        return
    around, array = _cut(record, path)
    if not isinstance(array, list):
        raise RecordError(Reason.NOT_A_RECORD, f"no array at {'.'.join(path)}")
    if not array:
        raise RecordError(Reason.EMPTY, f"the array at {'.'.join(path)} is empty")
    for element in array:
        fields = {**around, **element} if isinstance(element, dict) else element
        yield fields, _packed(record, path, element, raw)


def _cut(record: dict[Any, Any], path: Sequence[str]) -> tuple[dict[Any, Any], Any]:
    """Return a record without the array, and the array."""
    around = dict(record)
    below = around.pop(path[0], None)
    if len(path) == 1 or not isinstance(below, dict):
        return around, below if len(path) == 1 else None
    rest, array = _cut(below, path[1:])
    if rest:
        around[path[0]] = rest
    return around, array


def _packed(record: dict[Any, Any], path: Sequence[str], element: Any, raw: bytes) -> bytes:
    """Return the bytes of a record with one element, in the format of the whole."""
    one = _with(record, path, element)
    if raw[:1].isascii():
        return json.dumps(one, default=_shown).encode()
    packed: bytes = msgpack.packb(one, default=_shown)
    return packed


def _with(record: dict[Any, Any], path: Sequence[str], element: Any) -> dict[Any, Any]:
    below = [element] if len(path) == 1 else _with(record[path[0]], path[1:], element)
    return {**record, path[0]: below}


def _shown(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
