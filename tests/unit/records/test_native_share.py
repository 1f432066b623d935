"""Of the records that the lab sends, the C kernel converts nearly all, and a worker counts how many."""

import json
from collections.abc import Iterable
from typing import cast

import pytest
from confluent_kafka import Message as KafkaMessage

from bench.load.record import Clock, Shape, Unit
from lab.senders.formats import Format
from tests.support import fakes
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.records.native import BUILT
from workers.types import Message

needs_kernel = pytest.mark.skipif(not BUILT, reason="installed without a C compiler")

RECORDS = 100_000
#: Least share of the records that the kernel must convert.
SHARE = 0.99


def converter(*, native: bool = True) -> Converter:
    settings = fakes.settings()
    return Converter(settings, Encoder(settings), native=native)


def messages(values: Iterable[bytes]) -> list[Message]:
    stamp = (1, fakes.KAFKA_MS)
    return [
        cast(
            "Message",
            KafkaMessage(topic="resource", partition=0, offset=offset, value=value, timestamp=stamp),
        )
        for offset, value in enumerate(values)
    ]


@needs_kernel
@pytest.mark.parametrize("form", [Format.JSON, Format.MSGPACK])
@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("devices", [1, 50])
def test_the_kernel_converts_nearly_all_of_100_000_records_of_the_lab(
    form: Format, unit: Unit, devices: int
) -> None:
    shape = Shape(Clock(fakes.KAFKA_MS - RECORDS), form, devices=devices, unit=unit)
    worker, batch = converter(), Batch()

    worker.convert(messages(shape.values(0, RECORDS)), batch)

    assert len(batch.lines) == RECORDS
    assert worker.by_kernel + worker.by_python == RECORDS
    assert worker.by_kernel >= SHARE * RECORDS


@needs_kernel
def test_what_the_kernel_leaves_is_counted_apart() -> None:
    """An array of three, and a record that is none: Python converts each of them."""
    plain = Shape(Clock(fakes.KAFKA_MS)).values(0, 5)
    array = json.dumps([{"free_ram": number} for number in range(3)]).encode()
    worker = converter()

    worker.convert(messages([*plain, array, b"{"]), Batch())

    assert (worker.by_kernel, worker.by_python) == (5, 4)


def test_without_the_kernel_every_record_is_counted_as_pythons() -> None:
    worker = converter(native=False)

    worker.convert(messages(Shape(Clock(fakes.KAFKA_MS)).values(0, 5)), Batch())

    assert (worker.by_kernel, worker.by_python) == (0, 5)
