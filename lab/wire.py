"""Records as bytes, the three ways in which the lab's senders have written them."""

from __future__ import annotations

import json
import struct
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping


class Format(StrEnum):
    """How a record is written."""

    #: What the lab's Fluentd sends today.
    JSON = "json"
    #: Fluentd with `<format> @type msgpack`; times are EventTime.
    MSGPACK = "msgpack"
    #: What older senders wrote: `memory:123,tx:456`.
    TEXT = "text"


def event_time(seconds: float) -> msgpack.ExtType:
    """Fluentd's EventTime: ext type 0, seconds and nanoseconds as big-endian 32-bit numbers."""
    nanoseconds = round(seconds * 1e9)
    return msgpack.ExtType(0, struct.pack(">II", *divmod(nanoseconds, 1_000_000_000)))


def encode(record: Mapping[str, Any], form: Format, time_s: float | None = None) -> bytes:
    """The value of one Kafka message.

    Args:
        record: fields and their values.
        form: how to write them.
        time_s: epoch seconds that become the field `timestamp`, each format in its own way:
            milliseconds in JSON, EventTime in msgpack, whole seconds in text. None: no such field.
    """
    if form is Format.MSGPACK:
        timed = {} if time_s is None else {"timestamp": event_time(time_s)}
        return bytes(msgpack.packb({**record, **timed}))
    if form is Format.TEXT:
        timed = {} if time_s is None else {"timestamp": int(time_s)}
        return ",".join(f"{key}:{value}" for key, value in {**record, **timed}.items()).encode()
    timed = {} if time_s is None else {"timestamp": int(time_s * 1000)}
    return json.dumps({**record, **timed}, separators=(",", ":")).encode()
