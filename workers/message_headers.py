"""Reads the headers of a message, whatever bytes their names have."""

import gc
from contextlib import suppress
from typing import Any, NamedTuple


class MessageHeaders(NamedTuple):
    """The headers of a message, in their order.

    Attributes:
        pairs: Names and values. A name may stand more than once.
        unreadable: Headers that are left out, because their names are not UTF-8.
    """

    pairs: list[tuple[str, bytes | None]]
    unreadable: int


def read_headers(message: Any) -> MessageHeaders:
    """Read all headers of a message.

    A name that is not UTF-8 makes the first `headers()` of a confluent_kafka message raise SystemError. The
    next call returns a list in which that pair has no name at all: to unpack it would crash the process. So
    the pairs are looked at through the garbage collector, which passes over what is not there.
    """
    with suppress(SystemError):
        message.headers()
    pairs = message.headers() or []
    readable = [pair for pair in pairs if len(gc.get_referents(pair)) == len(pair)]
    return MessageHeaders(readable, len(pairs) - len(readable))
