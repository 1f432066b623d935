"""An array inside a record to one record for each of its elements."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from workers.errors import RecordError
from workers.records import expansion, json_records, msgpack_records
from workers.types import Reason, Record


def split(records: Iterable[Record], path: Sequence[str], format_: str, size: int) -> list[Record]:
    """Split each record at the array that its path leads to.

    A new record has the fields of one element and all fields around the array. A field of the element wins
    over one around it.

    Args:
        records: The records of one message.
        path: Names that lead to the array.
        format_: The format of the message, as the decoder returns it.
        size: Bytes of the message.

    Returns:
        The new records, each with bytes that decode to itself by the same path. What cannot be split is a
        `RecordError` in place of the record.

    Raises:
        RecordError: The message has too many elements, or they have too many bytes.
    """
    pack = msgpack_records.pack if format_ == "msgpack" else json_records.pack
    return expansion.expand(records, partial(_elements, path, pack), "elements", size)


def _elements(
    path: Sequence[str], pack: Callable[[Any], bytes], record: Any, raw: bytes
) -> Iterator[Record]:
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
        yield fields, pack(_with(record, path, element))


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


def _with(record: dict[Any, Any], path: Sequence[str], element: Any) -> dict[Any, Any]:
    """Return a record that has this element alone in its array."""
    below = [element] if len(path) == 1 else _with(record[path[0]], path[1:], element)
    return {**record, path[0]: below}
