"""Records that become several: the elements of an array, the values of a list."""

from collections.abc import Callable, Iterable
from typing import Any

from workers.errors import RecordError
from workers.types import MAX_RECORDS, Reason, Record

#: Most bytes that one message may become: those of its new records, each of which repeats what stands
#: around it, and as many of lines. This is a full batch (the default of TOWER_BATCH_BYTES), for which a
#: worker has the memory anyway.
MOST_BYTES = 4_000_000

#: A message of more than a quarter of that, which only a higher TOWER_MAX_RECORD_BYTES allows, may become
#: so many times its own size.
MOST_TIMES = 4


def most_bytes(size: int) -> int:
    """Return the most bytes that a message of `size` bytes may become."""
    return max(MOST_BYTES, MOST_TIMES * size)


def expand(
    records: Iterable[Record], parts_of: Callable[[Any, bytes], Iterable[Record]], noun: str, size: int
) -> list[Record]:
    """Replace each record by its parts.

    Args:
        records: The records of one message.
        parts_of: Returns the parts of a record, which it is given with its bytes. A part that has the very
            bytes of the record costs nothing. A record that it raises RecordError for has no parts: the
            error takes its place.
        noun: What the parts are, for errors.
        size: Bytes of the message.

    Raises:
        RecordError: There are more than `MAX_RECORDS` parts, or they have more than `most_bytes`.
    """
    expanded: list[Record] = []
    room = most = most_bytes(size)
    for record, raw in records:
        start = len(expanded)
        try:
            for part in parts_of(record, raw):
                expanded.append(part)
                room -= 0 if part[1] is raw else len(part[1])
                if len(expanded) > MAX_RECORDS:
                    raise _WholeMessageError(
                        Reason.TOO_MANY_RECORDS, f"more than {MAX_RECORDS} {noun} in one message"
                    )
                if room < 0:
                    raise _WholeMessageError(
                        Reason.TOO_LARGE, f"more than {most} bytes with what each of the {noun} repeats"
                    )
        except _WholeMessageError:
            raise
        except RecordError as error:
            # Not some of its parts: sent again, the dead letter of the record would make these twice.
            expanded[start:] = [(error, raw)]
    return expanded


class _WholeMessageError(RecordError):
    """The whole message is a dead letter."""
