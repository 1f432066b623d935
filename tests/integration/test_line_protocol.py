"""What Tower accepts as line protocol, a real InfluxDB stores as it stands there."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.chain import Chain
from tests.support.fakes import FakeMessage
from tests.support.stored_points import Value, expected, stored
from tests.unit.records.test_line_protocol import LINES, VALID_LINES
from tests.unit.records.test_native_lines import CHANGED, PLAIN, STRUCTURED
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder


def accepted(values: list[bytes], native: bool) -> list[bytes]:
    """The lines that one path makes of these messages, which have no time in Kafka."""
    route = fakes.route(format="line")
    batch = Batch()
    messages = [FakeMessage(value, place=place, milliseconds=None) for place, value in enumerate(values)]
    Converter(route, Encoder(route), native=native).convert(messages, batch)
    return batch.lines


def numbered(lines: list[bytes], numbers: Iterator[int]) -> list[bytes]:
    """The same lines, each of a measurement of its own, so that no two share a point or a field's type."""
    return [b"m%d-%b" % (next(numbers), line) for line in lines]


def differences(chain: Chain, lines: list[bytes]) -> tuple[set[Value], set[Value]]:
    """Write lines in one body; what is missing in the bucket then, and what is there that was not sent."""
    chain.write([line.decode() for line in lines])
    sent, found = set(expected(lines)), set(stored(chain.lab, chain.name))
    return sent - found, found - sent


def test_every_valid_form_of_a_line_is_stored_as_it_stands_there(chain: Callable[..., Chain]) -> None:
    bucket = chain()
    values = [
        b"%b %d" % (line, 1_700_000_000_123_456_789 + place) for place, line in enumerate(VALID_LINES)
    ]
    lines = numbered(accepted(values, native=True), count())

    assert len(lines) == len(VALID_LINES)
    missing, unsent = differences(bucket, lines)

    assert (sorted(missing), sorted(unsent)) == ([], [])


@pytest.mark.parametrize("native", [True, False], ids=["kernel", "python"])
def test_whatever_is_accepted_is_stored_as_it_stands_there(
    chain: Callable[..., Chain], native: bool
) -> None:
    """Each body has lines of many kinds: a line that influxd ends elsewhere takes the next one along."""
    bucket, numbers, sent, kinds = chain(), count(), set[Value](), set[str]()

    @settings(
        max_examples=30, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    @given(st.lists(PLAIN | CHANGED | STRUCTURED | LINES, min_size=40, max_size=120))
    def write(values: list[bytes]) -> None:
        lines = numbered(accepted(values, native), numbers)
        bucket.write([line.decode() for line in lines])
        sent.update(expected(lines))

    write()
    found = set(stored(bucket.lab, bucket.name))
    kinds.update(value.type for value in sent)

    assert (sorted(sent - found), sorted(found - sent)) == ([], [])
    assert kinds == {"double", "long", "unsignedLong", "boolean", "string"}
    assert next(numbers) > 500
