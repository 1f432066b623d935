"""JSON of Telegraf and collectd becomes the points that these programs mean."""

import json
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.fakes import FakeMessage
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.records.expansion import MOST_BYTES
from workers.types import MAX_RECORDS, Reason, origin_of

SECOND = fakes.KAFKA_MS // 1000

TELEGRAF = {
    "fields": {"usage_idle": 99.5, "procs": 3, "up": True, "note": 'a "b"'},
    "name": "cpu",
    "tags": {"host": "pi 5", "cpu": "cpu-total"},
    "timestamp": SECOND,
}
COLLECTD = {
    "values": [1, 2.5],
    "dstypes": ["derive", "gauge"],
    "dsnames": ["rx", "tx"],
    "time": SECOND + 0.265,
    "interval": 10.0,
    "host": "pi5",
    "plugin": "interface",
    "plugin_instance": "eth0",
    "type": "if_octets",
    "type_instance": "",
}

EVENT_TIME = msgpack.ExtType(0, struct.pack(">II", SECOND, 5))


def convert(record: Any, **options: object) -> Batch:
    return convert_bytes(json.dumps(record).encode(), **options)


def convert_bytes(value: bytes, **options: object) -> Batch:
    route, batch = fakes.route(**options), Batch()
    Converter(route, Encoder(route)).convert([FakeMessage(value)], batch)
    return batch


def points(batch: Batch) -> list[str]:
    """The lines without their times."""
    return [line.decode().rpartition(" ")[0] for line in batch.lines]


def times(batch: Batch, unit: int) -> list[int]:
    """The times of the lines in units of so many nanoseconds."""
    return [int(line.rpartition(b" ")[2]) // unit for line in batch.lines]


def test_a_metric_of_telegraf_is_its_point() -> None:
    batch = convert(TELEGRAF)

    assert points(batch) == [
        'cpu,cpu=cpu-total,host=pi\\ 5 usage_idle=99.5,procs=3,up=true,note="a \\"b\\""',
    ]
    assert times(batch, 10**9) == [SECOND]


def test_a_batch_of_telegraf_is_its_metrics() -> None:
    other = {**TELEGRAF, "name": "mem", "fields": {"free": 5}}
    batch = convert({"metrics": [TELEGRAF, other, {**other, "fields": {}}]})

    assert [point.partition(",")[0] for point in points(batch)] == ["cpu", "mem"]
    assert [origin_of(origin).element for origin in batch.origins] == [0, 1]
    (dead,) = batch.dead_letters
    assert (dead.reason, dead.origin.element) == (Reason.NO_FIELDS, 2)
    assert json.loads(dead.origin.value or b"") == {**other, "fields": {}}


@pytest.mark.parametrize(("timestamp", "unit"), [(SECOND, 10**9), (SECOND * 1000 + 7, 10**6)])
def test_the_unit_of_telegrafs_time_is_told_by_its_size(timestamp: int, unit: int) -> None:
    assert times(convert({**TELEGRAF, "timestamp": timestamp}), unit) == [timestamp]


def test_a_value_list_of_collectd_is_a_point_for_each_value() -> None:
    batch = convert([COLLECTD])

    assert points(batch) == [
        "interface_rx,host=pi5,instance=eth0,type=if_octets value=1",
        "interface_tx,host=pi5,instance=eth0,type=if_octets value=2.5",
    ]
    assert times(batch, 10**6) == [SECOND * 1000 + 265] * 2
    assert batch.records.total() == 2


def test_a_value_that_collectd_does_not_have_costs_itself_alone() -> None:
    batch = convert([{**COLLECTD, "values": [None, 2.5]}])

    assert points(batch) == ["interface_tx,host=pi5,instance=eth0,type=if_octets value=2.5"]
    (dead,) = batch.dead_letters
    assert dead.reason == Reason.NO_FIELDS
    assert json.loads(dead.origin.value or b"")["dsnames"] == ["rx"]


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({**TELEGRAF, "more": 1}, id="one key more"),
        pytest.param({name: TELEGRAF[name] for name in ("name", "tags", "fields")}, id="no time"),
        pytest.param({**TELEGRAF, "tags": ["a"]}, id="tags that are no object"),
        pytest.param({"metrics": [TELEGRAF, {"a": 1}]}, id="metrics of another shape"),
        pytest.param([{**COLLECTD, "severity": "OKAY"}], id="notification"),
        pytest.param([{**COLLECTD, "dsnames": ["rx"]}], id="fewer names than values"),
    ],
)
def test_what_is_not_exactly_of_that_shape_is_any_record(record: Any) -> None:
    assert all(point.startswith("labs,host=Labs,region=GIST ") for point in points(convert(record)))


def test_a_fixed_format_takes_it_as_any_json() -> None:
    assert points(convert(TELEGRAF, format="json"))[0].startswith("labs,")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("record", "outcome"),
    [
        pytest.param({**COLLECTD, "meta": b"\xff"}, Reason.TEXT, id="value list, bytes"),
        pytest.param({**COLLECTD, "meta": msgpack.ExtType(5, b"x")}, None, id="value list, extension"),
        pytest.param(
            {"metrics": [TELEGRAF, {**TELEGRAF, "tags": {"t": b"\xff"}}]}, Reason.TEXT, id="bytes"
        ),
        pytest.param(
            {"metrics": [TELEGRAF, {**TELEGRAF, "tags": {"t": EVENT_TIME}}]}, None, id="EventTime"
        ),
    ],
)
def test_msgpack_of_that_shape_is_any_record(record: Any, outcome: Reason | None, native: bool) -> None:
    """JSON of one value cannot hold what msgpack has, which ended the worker."""
    route, batch = fakes.route(), Batch()
    Converter(route, Encoder(route), native).convert([FakeMessage(msgpack.packb(record))], batch)

    assert [dead.reason for dead in batch.dead_letters] == ([outcome] if outcome else [])
    assert all(point.startswith("labs,") for point in points(batch))
    assert len(batch.lines) + len(batch.dead_letters) == 1


@pytest.mark.parametrize("levels", range(960, 1000))
def test_nesting_that_can_be_read_and_not_written_is_a_dead_letter(levels: int) -> None:
    """Python's encoder of JSON goes less deep than the decoder: what it raised ended the worker."""
    value = json.dumps({"metrics": [TELEGRAF, {**TELEGRAF, "tags": "#", "fields": {"y": "##"}}]}).encode()
    value = value.replace(b'"#"', b"{}").replace(b'"##"', b"[" * levels + b"]" * levels)

    batch = convert_bytes(value)

    assert {dead.reason for dead in batch.dead_letters} <= {Reason.NO_FIELDS, Reason.TOO_DEEP}
    assert len(batch.dead_letters) == 1


def repeating(copied: dict[str, Any], values: int) -> bytes:
    """A value list of so many values, with something that each of their dead letters repeats."""
    names = [f"{place:x}" for place in range(values)]
    return json.dumps([{**COLLECTD, **copied, "values": [1] * values, "dsnames": names}]).encode()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(repeating({"meta": "m" * 900_000}, 1_000), Reason.TOO_LARGE, id="meta"),
        pytest.param(repeating({"host": "h" * 900_000}, 1_000), Reason.TOO_LARGE, id="host"),
        pytest.param(repeating({"meta": ["m" * 60] * 5_000}, 20_000), Reason.TOO_LARGE, id="many values"),
        pytest.param(repeating({}, 60_000), Reason.TOO_MANY_RECORDS, id="more values than are taken"),
        pytest.param(
            json.dumps({"metrics": [{**TELEGRAF, "tags": {}, "fields": {}}] * 12_000}).encode(),
            Reason.TOO_MANY_RECORDS,
            id="more metrics than are taken",
        ),
    ],
)
def test_a_message_that_would_become_gigabytes_takes_a_few_times_its_size(
    value: bytes, reason: Reason
) -> None:
    """Each value of a list has the whole list around it in its dead letter."""
    assert 500_000 < len(value) <= fakes.route().limits.max_record_bytes
    tracemalloc.start()
    try:
        batch = convert_bytes(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert [dead.reason for dead in batch.dead_letters] == [reason]
    assert batch.lines == []
    assert peak < 8 * MOST_BYTES


def test_as_many_values_as_are_taken_are_points() -> None:
    assert len(convert_bytes(repeating({}, MAX_RECORDS // 10)).lines) == MAX_RECORDS // 10


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({**TELEGRAF, "timestamp": 0}, id="Telegraf, 0"),
        pytest.param({**TELEGRAF, "timestamp": float("nan")}, id="Telegraf, NaN"),
        pytest.param([{**COLLECTD, "values": [1], "dsnames": ["rx"], "time": -1}], id="collectd, -1"),
    ],
)
def test_a_time_that_is_none_is_counted_and_becomes_kafkas(record: Any) -> None:
    route, batch = fakes.route(), Batch()
    encoder = Encoder(route)
    Converter(route, encoder).convert([FakeMessage(json.dumps(record).encode())], batch)

    assert times(batch, 10**6) == [fakes.KAFKA_MS]
    assert {name: count for name, count in encoder.times.counts.items() if count} == {"times_unreadable": 1}


def test_a_name_that_would_be_a_comment_is_a_dead_letter() -> None:
    assert [dead.reason for dead in convert({**TELEGRAF, "name": "#cpu"}).dead_letters] == [
        Reason.NOT_A_RECORD
    ]


def test_tags_of_the_setting_are_added() -> None:
    assert points(convert(COLLECTD, line_tags="site=gist,host=x"))[0] == (
        "interface_rx,host=pi5,instance=eth0,site=gist,type=if_octets value=1"
    )


NAMES = st.text(max_size=5)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none())


@given(NAMES, st.dictionaries(NAMES, VALUES), st.dictionaries(NAMES, VALUES), st.integers() | st.floats())
def test_any_metric_is_a_line_that_is_valid_line_protocol_or_a_reason(
    name: str, tags: dict[str, Any], fields: dict[str, Any], timestamp: float
) -> None:
    batch = convert({"name": name, "tags": tags, "fields": fields, "timestamp": timestamp})

    assert len(batch.lines) + len(batch.dead_letters) == 1
    for line in batch.lines:
        route, again = fakes.route(format="line"), Batch()
        Converter(route, Encoder(route)).convert([FakeMessage(line)], again)
        assert again.lines == [line]
