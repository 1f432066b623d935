"""The bench's records are what they say, and the same for the same seed."""

import json

import msgpack
import pytest

from bench.load.record import FORMS, LINE, Clock, RecordShape, Unit
from lab.senders.formats import Format, stamp
from tests.support import fakes
from tests.support.fakes import FakeMessage
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder

CLOCK = Clock(1_795_488_241_000)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_seed_gives_the_same_records_in_any_portions(form: str) -> None:
    shape = RecordShape(CLOCK, form, devices=7, bad=0.05, seed=3)
    whole = shape.values(0, 3000)

    again = RecordShape(CLOCK, form, devices=7, bad=0.05, seed=3)
    assert again.values(0, 1234) + again.values(1234, 3000 - 1234) == whole
    assert RecordShape(CLOCK, form, devices=7, bad=0.05, seed=4).values(0, 3000) != whole


def test_json_is_the_labs_record_with_a_number() -> None:
    (value,) = RecordShape(CLOCK).values(123_456, 1)
    record = json.loads(value)

    assert list(record) == [
        *("tx_bytes", "rx_bytes", "tx_drops", "rx_drops", "tx_errors", "rx_errors"),
        *("cpu_load", "free_ram", "disk_util", "seq", "time"),
    ]
    assert [name for name in record if isinstance(record[name], str)] == ["cpu_load", "time"]
    assert record["seq"] == 123_456
    assert record["time"] == "2026-11-24T11:46:04+0900"


def test_milliseconds_stand_behind_the_second() -> None:
    values = RecordShape(CLOCK, unit=Unit.MILLISECOND).values(0, 3_000)

    times = [json.loads(value)["time"] for value in values]
    assert times[1_999] == "2026-11-24T11:44:02.999+0900"
    assert len(set(times)) == 3_000


def test_json_and_msgpack_are_the_same_and_text_has_the_names_of_the_flume_years() -> None:
    values = {form: RecordShape(CLOCK, form, devices=3).values(4_321, 1)[0] for form in Format}
    as_json = json.loads(values[Format.JSON])
    as_text = dict(pair.split(":", 1) for pair in values[Format.TEXT].decode().split(","))

    assert msgpack.unpackb(values[Format.MSGPACK]) == as_json
    assert as_json["deviceId"] == as_text["deviceId"] == "pi-2"
    assert [as_text[name] for name in ("memory", "tx", "CPU_Usage", "seq")] == [
        str(as_json[name]) for name in ("free_ram", "tx_bytes", "cpu_load", "seq")
    ]
    assert as_json["time"] == stamp(int(as_text["timestamp"]))


@pytest.mark.parametrize("devices", [1, 3])
def test_a_line_is_what_tower_writes_for_the_record_in_json(devices: int) -> None:
    def lines(form: str) -> list[bytes]:
        batch, route = Batch(), fakes.route()
        values = RecordShape(CLOCK, form, devices=devices).values(0, 2_000)
        messages = [
            FakeMessage(value, place=place, milliseconds=int(CLOCK.start_ms))
            for place, value in enumerate(values)
        ]
        Converter(route, Encoder(route)).convert(messages, batch)
        return batch.lines

    assert [line.rpartition(b" ")[0] for line in lines(LINE)] == [
        line.rpartition(b" ")[0] for line in lines(Format.JSON)
    ]
    assert len({line.rpartition(b" ")[2] for line in lines(LINE)}) == 2_000


@pytest.mark.parametrize("form", FORMS)
def test_records_are_filled_up_to_a_size(form: str) -> None:
    values = RecordShape(CLOCK, form, size=400).values(0, 50)

    assert {len(value) for value in values} == {400}


def test_a_share_of_records_is_bad() -> None:
    shape = RecordShape(CLOCK, bad=0.02)
    bad = [seq for seq in range(50_000) if shape.is_bad(seq)]

    assert 900 < len(bad) < 1100
    assert not any(b'"seq"' in shape.values(seq, 1)[0] for seq in bad)


def test_lines_of_one_message_are_the_same_lines() -> None:
    shape = RecordShape(CLOCK, LINE, devices=3, per_message=20)
    values = shape.values(0, 50)

    messages = shape.messages(values)

    assert [message.count(b"\n") for message in messages] == [20, 20, 10]
    assert b"".join(messages).splitlines() == values
