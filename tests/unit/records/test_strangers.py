"""Messages as strangers send them: each row of `tests/corpus/strangers.toml` has its outcome."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import corpus
from tests.corpus import Row
from tests.support import fakes, line_protocol, variants
from tests.support.examples import examples
from tests.support.fakes import FakeMessage
from tests.support.kernel import needs_kernel
from tests.support.variants import Path
from tests.unit.records.test_converter import fields_of
from workers.batch import Batch
from workers.records.encoder import Encoder

ROWS = [pytest.param(row, id=row.sender) for row in corpus.strangers()]

#: The issue asks for this many.
LEAST_ROWS = 60

ROUTE = fakes.route()
PYTHON = Path(ROUTE, native=False)

#: No renaming, so that each name of a point is one of the record.
PLAIN = Path(fakes.route(rename="", number_fields="memory,tx", tag_fields="", tags=""), native=False)


def left_out(encoder: Encoder) -> int:
    """Values that no field can hold, and times that cannot be read."""
    return encoder.values_omitted + encoder.times.counts["times_unreadable"]


@pytest.mark.parametrize("row", ROWS)
def test_a_strangers_message_has_its_outcome(row: Row) -> None:
    encoder, batch = PYTHON.encoder, Batch()
    before = left_out(encoder), encoder.names_doubled

    PYTHON.converter.convert([FakeMessage(row.value)], batch)

    assert [fields_of(line) for line in batch.lines] == list(row.points)
    assert [line.partition(b" ")[0].decode() for line in batch.lines] == (
        list(row.series) or ["labs,host=Labs,region=GIST"] * len(row.points)
    )
    assert [f"{letter.reason}: {letter.detail}" for letter in batch.dead_letters] == list(row.letters)
    after = left_out(encoder), encoder.names_doubled
    assert [now - then for now, then in zip(after, before, strict=True)] == [row.omitted, row.doubled]


@needs_kernel
def test_both_paths_agree_on_strangers() -> None:
    native, python = (Path(ROUTE, native=native) for native in (True, False))
    messages = [FakeMessage(row.value, place=place) for place, row in enumerate(corpus.strangers())]

    for message in messages:
        assert native.outcome([message]) == python.outcome([message])
    assert native.outcome(messages) == python.outcome(messages)


def test_each_row_has_a_public_source_and_a_reason() -> None:
    rows = corpus.strangers()

    assert len({row.sender for row in rows}) == len(rows) >= LEAST_ROWS
    assert [row.sender for row in rows if not (row.points or row.letters)] == []
    assert [row.sender for row in rows if not (row.source.startswith("https://") and row.why)] == []


REAL = [case.value for case in corpus.load() if case.value and len(case.value) < 2_000]
REAL += [row.value for row in corpus.strangers() if row.value]

#: Random bytes, and real messages with a few bytes changed, gone or repeated.
BYTES = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.tuples(
        st.sampled_from([b"{", b'{"', b"\x81", b"\x82\xa1", b"memory:1,", b"\0\0\0\0\x07{"]), st.binary()
    ).map(b"".join),
    st.tuples(st.sampled_from(REAL), st.integers(0, 2**32)).map(
        lambda choice: variants.Variants(choice[1]).mutated(choice[0])
    ),
)


def literal(name: str, value: bytes) -> bool:
    """Whether each part of a name stands in a message. Parts are joined by `_`, and places are numbers.

    JSON may write a character as an escape, and msgpack a number as a name: neither stands there as such.
    """
    text = value.decode("utf-8", "replace")
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)
    plain = re.sub(r"\\(.)", r"\1", plain)
    parts = re.split(r"[_/\x00-\x1f\x7f]|(?<=\d)(?=\d)", name)
    return all(part in text or part in plain or re.fullmatch(r"-?\d+", part) for part in parts)


def names(value: bytes) -> list[str]:
    """The names of all fields of the points that a message becomes."""
    batch = Batch()
    PLAIN.converter.convert([FakeMessage(value)], batch)
    return [name for line in batch.lines for name in line_protocol.parse(line.decode()).fields]


@settings(max_examples=examples(400))
@given(BYTES)
def test_every_name_of_a_point_stands_in_its_message(value: bytes) -> None:
    assert [name for name in names(value) if not literal(name, value)] == []


def test_many_mutated_messages_become_points_and_all_their_names_stand_in_them() -> None:
    """Messages that all become dead letters would show nothing."""
    mutations = variants.Variants(seed=12)
    messages = [mutations.mutated(value) for value in REAL for _ in range(10)]
    points = [(value, names(value)) for value in messages]

    assert sum(1 for _, written in points if written) > len(messages) / 10
    assert [value for value, written in points if not all(literal(name, value) for name in written)] == []


def test_a_name_that_was_guessed_is_caught() -> None:
    assert literal("a_b", b'{"a":{"b":1}}')
    assert literal("a_0", b'{"a":[1]}')
    assert not literal("_____{memory", b'\0\0\0\0\x07{"tx":5}')
    assert not literal("a_c", b'{"a":{"b":1}}')
