"""Of the records that the lab sends, the C kernel converts nearly all, and a worker counts how many."""

import json
import shutil
from collections.abc import Iterable
from typing import Any, cast

import pytest
from confluent_kafka import Message as KafkaMessage

from bench.load.record import Clock, RecordShape, Unit
from lab.senders.formats import Format
from tests.support import fakes
from tests.support.examples import examples
from tests.support.kernel import needs_kernel, require_kernel_on_ci
from workers.batch import Batch
from workers.records import msgpack_records, native, number_text, point_time, timestamps
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.types import MAX_RECORDS, Message

RECORDS = examples(100_000)
#: Least share of the records that the kernel must convert.
SHARE = 0.99


def converter(*, is_native: bool = True, **options: Any) -> Converter:
    route = fakes.route(**options)
    return Converter(route, Encoder(route), native=is_native)


def messages(values: Iterable[bytes]) -> list[Message]:
    stamp = (1, fakes.KAFKA_MS)
    return [
        cast(
            "Message",
            KafkaMessage(topic="resource", partition=0, offset=offset, value=value, timestamp=stamp),
        )
        for offset, value in enumerate(values)
    ]


def test_the_kernel_is_built_if_there_is_a_compiler_and_always_on_ci() -> None:
    require_kernel_on_ci()
    assert native.BUILT or shutil.which("cc") is None


@needs_kernel
@pytest.mark.sized
@pytest.mark.parametrize("form", [Format.JSON, Format.MSGPACK])
@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("devices", [1, 50])
def test_the_kernel_converts_nearly_all_records_of_the_lab(form: Format, unit: Unit, devices: int) -> None:
    shape = RecordShape(Clock(fakes.KAFKA_MS - RECORDS), form, devices=devices, unit=unit)
    worker, batch = converter(), Batch()

    worker.convert(messages(shape.values(0, RECORDS)), batch)

    assert len(batch.lines) == RECORDS
    assert worker.by_kernel + worker.by_python == RECORDS
    assert worker.by_kernel >= SHARE * RECORDS


@needs_kernel
def test_what_the_kernel_leaves_is_counted_apart() -> None:
    """An array of three, and a record that is none: Python converts each of them."""
    plain = RecordShape(Clock(fakes.KAFKA_MS)).values(0, 5)
    array = json.dumps([{"free_ram": number} for number in range(3)]).encode()
    worker = converter()

    worker.convert(messages([*plain, array, b"{"]), Batch())

    assert (worker.by_kernel, worker.by_python) == (5, 4)


def test_without_the_kernel_every_record_is_counted_as_pythons() -> None:
    worker = converter(is_native=False)

    worker.convert(messages(RecordShape(Clock(fakes.KAFKA_MS)).values(0, 5)), Batch())

    assert (worker.by_kernel, worker.by_python) == (0, 5)


def test_a_kernel_that_is_not_built_is_reported_with_its_cost_and_the_way_to_build_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "BUILT", False)
    worker, batch = converter(), Batch()

    worker.convert(messages([b'{"tx":1}']), batch)

    assert "not built" in worker.why_not_native
    assert "compiler" in worker.why_not_native
    assert f"about {native.COST_WITHOUT} times" in worker.why_not_native
    assert (len(batch.lines), worker.by_kernel, worker.by_python) == (1, 0, 1)


@needs_kernel
@pytest.mark.parametrize("version", ["0.1.0", None])
def test_a_kernel_of_another_version_is_not_used_and_the_worker_goes_on(
    monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    """Somebody updates the checkout and does not build again; before 0.2.0 kernels had no version."""
    from workers import _kernel  # noqa: PLC0415 - not there without a C compiler

    if version is None:
        monkeypatch.delattr(_kernel, "VERSION")
    else:
        monkeypatch.setattr(_kernel, "VERSION", version)
    worker, batch = converter(), Batch()

    worker.convert(messages([b'{"tx":1}']), batch)

    assert worker.why_not_native == native.OUTDATED
    assert "make install" in native.OUTDATED
    assert (len(batch.lines), worker.by_kernel, worker.by_python) == (1, 0, 1)


@needs_kernel
def test_a_kernel_older_than_the_checkout_is_not_used_and_the_worker_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody updates the checkout within one version; the built kernel does not know an option yet."""

    class OlderKernel:
        def __init__(self, *, json: bool) -> None:
            raise AssertionError(f"not reached: {json}")

    from workers import _kernel  # noqa: PLC0415

    monkeypatch.setattr(_kernel, "Kernel", OlderKernel)
    worker, batch = converter(), Batch()

    worker.convert(messages([b'{"memory":1}']), batch)

    assert worker.why_not_native == native.OUTDATED
    assert (len(batch.lines), worker.by_kernel, worker.by_python) == (1, 0, 1)


@needs_kernel
@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"format": "text"}, "TOWER_FORMAT", id="legacy text"),
        pytest.param(
            {"number_fields": "x" * 257, "max_key_bytes": 1000}, "more than 256 bytes", id="name too long"
        ),
        pytest.param(
            {"number_fields": "x" * 101, "max_key_bytes": 100},
            "no record can have",
            id="name over the limit",
        ),
        pytest.param(
            {"number_fields": ",".join(f"f{number}" for number in range(1100))},
            "more than the 1024",
            id="too many fields",
        ),
    ],
)
def test_settings_that_the_kernel_cannot_convert_by_are_reported(options: dict[str, Any], why: str) -> None:
    worker, batch = converter(**options), Batch()

    worker.convert(messages([b"tx:1" if "format" in options else b'{"tx":1}']), batch)

    assert why in worker.why_not_native
    assert (len(batch.lines), worker.by_kernel, worker.by_python) == (1, 0, 1)


@needs_kernel
def test_a_kernel_in_use_has_no_reason_against_it() -> None:
    assert converter().why_not_native == ""


@needs_kernel
def test_constants_of_both_paths_are_equal() -> None:
    """The kernel computes times, kinds and limits by constants of its own."""
    from workers import _kernel  # noqa: PLC0415 - it may be missing

    assert (_kernel.SECOND, _kernel.MILLISECOND) == (timestamps.SECOND, timestamps.MILLISECOND)
    assert (_kernel.NANOSECOND, _kernel.MAX_RECORDS) == (timestamps.NANOSECOND, MAX_RECORDS)
    assert (_kernel.RESIDUES, _kernel.PARTITIONS) == (point_time.RESIDUES, point_time.PARTITIONS)
    assert _kernel.EVENT_TIME == msgpack_records.EVENT_TIME
    assert (_kernel.EXACT_DIGITS, _kernel.WHOLE_LIMIT) == (
        number_text.EXACT_DIGITS,
        number_text.EXACT_LIMIT,
    )
    assert len({_kernel.OTHER, _kernel.NUMBER, _kernel.TAG, _kernel.TIME}) == 4
