"""Records of Telegraf and collectd in JSON, which say themselves what is measurement, tag, field and time.

Telegraf's `data_format = "json"` is an object of `name`, `tags`, `fields` and `timestamp`, or several of
them under `metrics`. collectd's write_kafka and write_http send an array of value lists. Each value of a
list becomes the point that Telegraf and InfluxDB's own collectd input make of it: measurement
`plugin_dsname`, field `value`, tags `host`, `instance`, `type` and `type_instance`.
"""

from collections.abc import Iterator
from typing import Any

from workers.config.parsers import RESERVED
from workers.errors import RecordError
from workers.records import escape, expansion, json_records, timestamps
from workers.records.line_protocol import Line
from workers.records.number_text import EXACT_LIMIT, number_of_float
from workers.types import UNREADABLE, Reason, Record

TELEGRAF = frozenset({"name", "tags", "fields", "timestamp"})
_COLLECTD = frozenset({"values", "dstypes", "dsnames", "time", "interval", "host", "plugin", "type"})
_COLLECTD_MAY = frozenset({"plugin_instance", "type_instance", "meta"})
#: collectd's names of what identifies a value list, and the tags they become.
_COLLECTD_TAGS = {
    "host": "host",
    "plugin_instance": "instance",
    "type": "type",
    "type_instance": "type_instance",
}


def expand(records: list[Record], size: int) -> list[Record]:
    """Replace each record of a known shape by its points. All others stay as they are.

    Args:
        records: The records of one message in JSON.
        size: Bytes of the message.

    Raises:
        RecordError: There are too many points, or they have too many bytes.
    """
    if not any(_is_known(record) for record, _ in records):
        return records
    return expansion.expand(records, _points, "points", size)


def _is_known(record: Any) -> bool:
    if type(record) is not dict:
        return False
    # Each shape has one of these names, and to look for them costs a record of none of them least.
    if "fields" in record:
        return _is_metric(record)
    if "metrics" in record:
        return _is_batch(record)
    return "values" in record and _is_value_list(record)


def _is_metric(record: Any) -> bool:
    return (
        type(record) is dict
        and record.keys() == TELEGRAF
        and type(record["name"]) is str
        and type(record["tags"]) is dict
        and type(record["fields"]) is dict
        and type(record["timestamp"]) in {int, float}
    )


def _is_batch(record: dict[Any, Any]) -> bool:
    metrics = record.get("metrics")
    return len(record) == 1 and type(metrics) is list and bool(metrics) and all(map(_is_metric, metrics))


def _is_value_list(record: dict[Any, Any]) -> bool:
    keys = record.keys()
    if not (keys >= _COLLECTD and keys <= _COLLECTD | _COLLECTD_MAY):
        return False
    values, names = record["values"], record["dsnames"]
    return (
        type(values) is list
        and type(names) is list
        and 0 < len(values) == len(names)
        and all(type(name) is str for name in (record["plugin"], *names))
        and type(record["time"]) in {int, float}
    )


def _points(record: Any, raw: bytes) -> Iterator[Record]:
    if not _is_known(record):
        yield record, raw
    elif "metrics" in record:
        metrics = record["metrics"]
        for metric in metrics:
            yield _metric(metric), raw if len(metrics) == 1 else json_records.pack(metric)
    elif "name" in record:
        yield _metric(record), raw
    else:
        values, names = record["values"], record["dsnames"]
        types = record["dstypes"] if type(record["dstypes"]) is list else []
        for place, (value, name) in enumerate(zip(values, names, strict=True)):
            # The dead letter of one value holds this value alone: sent again, it makes no other point.
            alone = {"values": [value], "dsnames": [name], "dstypes": types[place : place + 1]}
            yield (
                _value_of_list(record, name, value),
                raw if len(values) == 1 else json_records.pack({**record, **alone}),
            )


def _metric(metric: dict[str, Any]) -> Line | RecordError:
    return _line(metric["name"], metric["tags"], metric["fields"], metric["timestamp"])


def _value_of_list(record: dict[str, Any], name: str, value: Any) -> Line | RecordError:
    tags = {tag: record[key] for key, tag in _COLLECTD_TAGS.items() if key in record}
    return _line(f"{record['plugin']}_{name}", tags, {"value": value}, record["time"])


def _line(
    measurement: str, tags: dict[str, Any], fields: dict[str, Any], time: float
) -> Line | RecordError:
    """Return the point of what a sender named; why there is none, if InfluxDB could not hold it."""
    if not measurement or measurement.startswith("#"):
        return RecordError(Reason.NOT_A_RECORD, "the measurement is empty or begins with #")
    sent = len(tags) + len(fields)
    written_tags = {
        _name(name): escape.tag(value)
        for name, value in reversed(tags.items())
        if name and type(value) is str and value
    }
    written = {
        _name(name): text
        for name, value in reversed(fields.items())
        if name and (text := _text(value)) is not None
    }
    if not written:
        return RecordError(Reason.NO_FIELDS, "no field has a valid value")
    # Telegraf and collectd leave a tag without a value out themselves.
    empty = sum(value == "" for value in tags.values())
    try:
        return Line(
            escape.measurement(measurement).encode(),
            tuple(sorted((name.encode(), value.encode()) for name, value in written_tags.items())),
            tuple((name.encode(), value.encode()) for name, value in reversed(written.items())),
            timestamps.parse(time) or UNREADABLE,
            sent - empty - len(written_tags) - len(written),
        )
    except UnicodeEncodeError:
        return RecordError(Reason.TEXT, "an unpaired UTF-16 surrogate")


def _name(name: str) -> str:
    return escape.name(f"{name}_" if name in RESERVED else name)


def _text(value: Any) -> str | None:
    """Return a field's value, None for what InfluxDB has no type for. Any number of JSON may be a float."""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        if -EXACT_LIMIT < value < EXACT_LIMIT:
            return str(value)
        return number_of_float(float(value)) if abs(value) < 2**1000 else None
    if type(value) is float:
        return number_of_float(value)
    return escape.string(value) if type(value) is str else None
