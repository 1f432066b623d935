"""The bench's records are what they say, and the same for the same seed."""

import json
import struct

import msgpack
import pytest

from bench.record import Clock, Shape, Unit
from lab.wire import Format

CLOCK = Clock(1_795_488_241_000)


@pytest.mark.parametrize("form", list(Format))
def test_the_same_seed_gives_the_same_records_in_any_portions(form: Format) -> None:
    shape = Shape(CLOCK, form, devices=7, bad=0.05, seed=3)
    whole = shape.values(0, 3000)

    again = Shape(CLOCK, form, devices=7, bad=0.05, seed=3)
    assert again.values(0, 1234) + again.values(1234, 3000 - 1234) == whole
    assert Shape(CLOCK, form, devices=7, bad=0.05, seed=4).values(0, 3000) != whole


def test_json_is_what_fluentd_sends_of_snmpget() -> None:
    (value,) = Shape(CLOCK).values(123_456, 1)
    record = json.loads(value)

    assert len(record) == 11
    assert 160 < len(value) < 190
    assert record["seq"] == 123_456
    assert record["timestamp"] == CLOCK.start_ms + 123_456
    assert all(isinstance(record[name], str) for name in ("memory", "tx", "rx", "CPU_Usage", "disk"))


def test_whole_seconds_are_ten_digits() -> None:
    (value,) = Shape(CLOCK, unit=Unit.SECOND).values(1_999, 1)

    assert json.loads(value)["timestamp"] == 1_795_488_242


def test_all_formats_say_the_same() -> None:
    samples = {form: Shape(CLOCK, form, devices=3).values(4_321, 1)[0] for form in Format}
    as_json = json.loads(samples[Format.JSON])
    as_msgpack = msgpack.unpackb(samples[Format.MSGPACK])
    as_text = dict(pair.split(":", 1) for pair in samples[Format.TEXT].decode().split(","))

    for name in ("memory", "tx", "CPU_Usage", "deviceId", "ip"):
        assert as_json[name] == as_msgpack[name] == as_text[name]
    assert as_json["seq"] == as_msgpack["seq"] == int(as_text["seq"]) == 4_321
    seconds, nanoseconds = struct.unpack(">II", as_msgpack["timestamp"].data)
    assert seconds * 1000 + nanoseconds // 10**6 == as_json["timestamp"]
    assert int(as_text["timestamp"]) == seconds


@pytest.mark.parametrize("form", list(Format))
def test_records_are_filled_up_to_a_size(form: Format) -> None:
    values = Shape(CLOCK, form, size=400).values(0, 50)

    assert {len(value) for value in values} == {400}


def test_a_share_of_records_is_bad() -> None:
    shape = Shape(CLOCK, bad=0.02)
    bad = [seq for seq in range(50_000) if shape.is_bad(seq)]

    assert 900 < len(bad) < 1100
    assert not any(b'"seq"' in shape.values(seq, 1)[0] for seq in bad)
