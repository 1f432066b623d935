"""No record of allowed size holds its partition: the worst costs a few times what common ones do.

CPU time is compared with CPU time of the same process, never with a clock, and by factors that are far from
what is measured and from what is wrong: a record whose cost grows with the square of its size costs a
thousand times as much. What a busy machine makes slow is measured again.
"""

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache

import msgspec
import pytest

from tests.support import fakes, worst_records
from tests.support.examples import examples
from workers import gc_tuning
from workers.batch import Batch
from workers.errors import RecordError
from workers.records.converter import Converter
from workers.records.decoder import decode
from workers.records.encoder import Encoder
from workers.records.native import BUILT
from workers.types import Message

#: Bytes of the largest record that is taken.
LARGEST = fakes.route().limits.max_record_bytes

#: Bytes of a record as large in `make test`, and of a small one to compare with.
LARGE = examples(LARGEST)
SMALL = LARGE // 4

#: How many times the cost of as many bytes of common records a record may cost, and a message of 1,024 of
#: them.
MOST = 3.0
MOST_OF_ARRAY = 12.0

#: How many times the cost of the small record the large one may cost: 4 if cost grows with size, 16 with
#: its square. On top of that some seconds, since what is short cannot be compared.
GROWTH = 9
SHORT_S = 0.01

#: Measurements of which the best counts.
TRIES = 6

#: Python alone, and with the C kernel taking what it can, if it is built.
PATHS = [False, True] if BUILT else [False]

SHAPES = [
    pytest.param(shape, MOST_OF_ARRAY if shapes is worst_records.ARRAYS else MOST, id=f"{format_}: {name}")
    for format_, shapes in (
        ("text", worst_records.TEXT),
        ("JSON", worst_records.JSON),
        ("JSON array", worst_records.ARRAYS),
        ("msgpack", worst_records.MSGPACK),
    )
    for name, shape in shapes.items()
]

#: Does something with a record.
Work = Callable[[bytes], object]


@pytest.fixture(autouse=True, scope="module")
def garbage_as_in_a_worker() -> Iterator[None]:
    """Python looks for garbage as rarely as in a worker."""
    before = gc.get_threshold()
    gc.set_threshold(gc_tuning.YOUNG_OBJECTS)
    yield
    gc.set_threshold(*before)


def convert(messages: list[Message], *, native: bool) -> None:
    """All messages become lines or dead letters, with an empty cache."""
    route = fakes.route()
    batch = Batch()
    Converter(route, Encoder(route), native).convert(messages, batch)
    assert len(batch.lines) + len(batch.dead_letters) >= len(messages)


def seconds(work: Work, value: bytes) -> float:
    """CPU time of this thread."""
    begun = time.thread_time()
    work(value)
    return time.thread_time() - begun


@cache
def common() -> list[Message]:
    """Messages of common records, together as large as the largest record."""
    value = json.dumps(
        {"memory": "22000000", "tx": "0", "rx": "0", "CPU_Usage": "0.33", "disk": "7", "deviceId": "pi-1"}
    ).encode()
    return [fakes.FakeMessage(value, place=place) for place in range(LARGE // len(value))]


@cache
def common_s() -> float:
    """CPU time the Python path takes for them."""
    return min(seconds(lambda _: convert(common(), native=False), b"") for _ in range(TRIES))


def fault(work: Work, small: bytes, large: bytes, most: float, tries: int = TRIES) -> str:
    """What is wrong with the cost of a shape, empty if nothing is.

    Args:
        work: What is measured.
        small: A record of the shape.
        large: One four times as large.
        most: How many times the cost of common records the large one may cost.
        tries: Measurements of which the best counts.
    """
    small_s = min(seconds(work, small) for _ in range(2))
    large_s = float("inf")
    for _ in range(tries):
        large_s = min(large_s, seconds(work, large))
        if large_s <= min(GROWTH * small_s + SHORT_S, most * common_s()):
            return ""
        small_s = min(small_s, seconds(work, small))
    return f"{large_s:.3f} s; {small_s:.3f} s for a quarter; {common_s():.3f} s for common records"


@pytest.mark.sized
@pytest.mark.parametrize(("shape", "most"), SHAPES)
def test_a_record_costs_a_few_times_what_common_ones_of_its_size_do(
    shape: worst_records.Shape, most: float
) -> None:
    small, large = shape(SMALL), shape(LARGE)
    assert 0.8 * LARGE < len(large) <= LARGE

    for native in PATHS:

        def work(value: bytes, native: bool = native) -> None:
            convert([fakes.FakeMessage(value)], native=native)

        assert fault(work, small, large, most) == ""


def joined(value: bytes) -> None:
    """Reads legacy text, and adds to a field's text at each comma."""
    fields = {"memory": ""}
    for part in value.decode().split(","):
        fields["memory"] += f",{part}"


def hashed(value: bytes) -> None:
    """Puts each key of a map into a dict, whatever it is."""
    msgspec.msgpack.decode(value)


@pytest.mark.parametrize(
    ("work", "shape", "size"),
    [
        pytest.param(
            joined, worst_records.TEXT["commas in a number"], 200_000, id="text added at each comma"
        ),
        pytest.param(
            hashed, worst_records.MSGPACK["arrays of one hash as names"], 80_000, id="keys of one hash"
        ),
    ],
)
def test_growth_with_the_square_of_a_record_is_caught(
    work: Work, shape: worst_records.Shape, size: int
) -> None:
    """Tower 0.1.0 did both. A record of 1 MB held its partition for minutes."""
    assert fault(work, shape(size // 4), shape(size), most=1_000, tries=1) != ""


def test_a_cost_three_times_too_high_is_caught() -> None:
    assert fault(lambda _: convert(common(), native=False), b"", b"", most=1 / 3, tries=1) != ""


@pytest.mark.parametrize(
    "name", ["no end of large arrays", "no end of larger arrays", "no end of large maps"]
)
def test_a_message_takes_no_memory_for_what_it_only_claims(name: str) -> None:
    """An array's memory is taken before its first element is read: 5 bytes could ask for megabytes."""
    value = worst_records.MSGPACK[name](LARGEST)
    tracemalloc.start()
    try:
        with pytest.raises(RecordError):
            decode(value, "auto", Encoder(fakes.route()).number_names)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 100 * LARGEST
