"""The lab's record as bytes: as its Fluentd sends it, and in the text of an earlier sender."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import msgpack

#: The time that Fluentd injects into a record: lab/senders/fluent.conf has the same.
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
#: The Pi's zone: the lab is in Korea.
ZONE = timezone(timedelta(hours=9))
#: What the senders of the Flume years called the fields of today's record: the names of the points.
FLUME_NAMES = {
    "tx_bytes": "tx",
    "rx_bytes": "rx",
    "tx_drops": "tx_dropped",
    "rx_drops": "rx_dropped",
    "tx_errors": "txError",
    "rx_errors": "rxError",
    "cpu_load": "CPU_Usage",
    "free_ram": "memory",
    "disk_util": "disk",
}


class Format(StrEnum):
    """How a record is written."""

    #: What the lab's Fluentd sends today.
    JSON = "json"
    #: The same record from a Fluentd with `<format> @type msgpack`.
    MSGPACK = "msgpack"
    #: What the senders of the Flume years wrote: `memory:123,tx:456`, under their own names.
    TEXT = "text"


def stamp(time_s: float) -> str:
    """The field `time` of a record: whole seconds with the Pi's zone.

    Args:
        time_s: Epoch seconds; the fraction is cut off.
    """
    return datetime.fromtimestamp(int(time_s), ZONE).strftime(TIME_FORMAT)


def encode(record: Mapping[str, Any], form: Format, time_s: float | None = None) -> bytes:
    """The value of one Kafka message.

    Args:
        record: Fields under today's names, and their values.
        form: How to write them.
        time_s: Epoch seconds that become the last field: `time` in JSON and msgpack, `timestamp` in whole
            epoch seconds in text. None: no such field.
    """
    if form is Format.TEXT:
        fields = {FLUME_NAMES.get(name, name): value for name, value in record.items()}
        if time_s is not None:
            fields["timestamp"] = int(time_s)
        return ",".join(f"{name}:{value}" for name, value in fields.items()).encode()
    fields = dict(record) if time_s is None else {**record, "time": stamp(time_s)}
    if form is Format.MSGPACK:
        return bytes(msgpack.packb(fields))
    return json.dumps(fields, separators=(",", ":")).encode()
