"""Type conflicts and points outside retention on a real influxd."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pytest

from tests.support import fakes
from tests.support.chain import Chain, record
from tests.support.fakes import FakeWait, partition
from workers.batch import Batch
from workers.config.settings import load
from workers.influxdb.delivery import Delivery
from workers.influxdb.writer import Writer
from workers.log import ThrottledLogger

pytestmark = pytest.mark.integration


class Counted:
    """A writer that counts its requests."""

    def __init__(self, writer: Writer) -> None:
        self.sizes: list[int] = []
        self._writer = writer

    def write(self, lines: Sequence[bytes], timeout_s: float, bucket: str = "") -> None:
        """Write through the writer."""
        self.sizes.append(len(lines))
        self._writer.write(lines, timeout_s, bucket)

    def close(self) -> None:
        """Close the writer's connection."""
        self._writer.close()


class Bench:
    """A delivery to the bucket of a chain whose pool does not run.

    Args:
        environment: Settings of the chain's workers.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        settings = load(environment)
        self.sink = Counted(Writer(settings))
        log = ThrottledLogger(logging.getLogger("tower.loop"))
        self._delivery = Delivery(settings, self.sink, FakeWait(), lambda: False, log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.sink.close()

    def deliver(self, measurement: str, values: Sequence[str], first_ns: int) -> list[tuple[int, str]]:
        """Deliver one line for each value; the dead letters by number, with their reasons."""
        lines = [
            f'{measurement},a=b\\ c "q\\,=1,{value} {first_ns + number}'.encode()
            for number, value in enumerate(values)
        ]
        return self.deliver_lines(lines)

    def deliver_lines(self, lines: Sequence[bytes]) -> list[tuple[int, str]]:
        """Deliver lines; the dead letters by number, with their reasons."""
        batch = Batch(first_at=0.0)
        for number, line in enumerate(lines):
            batch.lines.append(line)
            batch.origins.append(fakes.origin(0, number))
        batch.next_offsets[partition(0)] = len(lines)
        self.sink.sizes.clear()
        self._delivery.deliver(batch, 30.0)
        return [(letter.origin.message.offset(), letter.reason) for letter in batch.dead_letters]


@pytest.mark.parametrize(
    ("good", "bad", "converts"),
    [
        ("v=1", 'v="n/a"', False),
        ("v=1", 'v="12.5"', True),
        ("v=1", "v=t", False),
        ("v=1", "v=7i", True),
        ("v=1", "v=7u", True),
        ("v=1i", "v=7", True),
        ("v=1i", "v=7.5", False),
        ("v=1u", 'v="7"', True),
        ('v="x"', "v=7", True),
        ('v="x"', "v=t", True),
        ("v=t", 'v="true"', True),
        ("v=t", "v=1", False),
        ('\\,\\ "\\==1', '\\,\\ "\\=="x"', False),
    ],
)
def test_influxd_answers_as_tower_reads_it(bare: Chain, good: str, bad: str, converts: bool) -> None:
    now = time.time_ns()
    measurement = f"m{now}"
    lines = [bad if number % 3 == 2 else good for number in range(300)]
    with Bench(bare.environment) as bench:
        bench.deliver(measurement, [good] * 2, now)
        first = bench.deliver(measurement, lines, now + 1_000)
        sizes = list(bench.sink.sizes)
        second = bench.deliver(measurement, lines, now + 2_000)

    expected = [] if converts else [(number, "type_conflict") for number in range(2, 300, 3)]
    assert first == second == expected
    assert sizes == [300, 100, 300 if converts else 200]
    assert bench.sink.sizes == [300 if converts else 200]


def test_points_outside_retention_cost_two_requests(bare: Chain) -> None:
    bucket = f"{bare.name}-short"
    token = bare.lab.create_bucket(bucket, 3600)
    environment = bare.environment | {"TOWER_INFLUXDB_BUCKET": bucket, "TOWER_INFLUXDB_TOKEN": token}
    now = time.time_ns()
    old = now - 6 * 3600 * 10**9
    lines = [f"labs v=1 {(old if number % 3 == 2 else now) + number}".encode() for number in range(300)]
    with Bench(environment) as bench:
        letters = bench.deliver_lines(lines)

    assert bench.sink.sizes == [300, 100, 200]
    assert [reason for _, reason in letters] == ["refused"] * 100


def test_a_pool_stores_the_neighbours_and_check_shows_the_types(chain: Callable[..., Chain]) -> None:
    made = chain()
    made.produce([record(seq, uid=seq) for seq in range(30)])
    made.pool.start()
    made.drain()
    mixed: list[dict[str, Any]] = [{"uid": 1}, {"uid": "n/a"}, {"uid": "12.5"}]
    made.produce([record(seq, **mixed[seq % 3]) for seq in range(30, 330)])
    made.drain()
    letters = list(made.dead_letters())
    made.pool.until(lambda: made.pool.counter("values_converted") == 100, 60, "the counters")
    code, text = made.pool.operate("check", "--json", "--watch", "0")
    results = {result["check"]: result for result in json.loads(text)["checks"]}

    assert {headers["tower.reason"] for _, headers in letters} == {"type_conflict"}
    assert len(letters) == 100
    assert sorted(made.sequences()) == [*range(30), *(seq for seq in range(30, 330) if seq % 3 != 1)]
    assert code in {0, 1}
    assert "uid of labs is float in InfluxDB and string in records" in str(results["type conflicts"])
