"""A sender of ever new names or tags is stopped at a limit: exactly, in bounded memory, on both paths."""

import json
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.examples import examples
from tests.support.fakes import FakeMessage
from tests.support.kernel import needs_kernel
from workers.batch import Batch
from workers.records import cardinality
from workers.records.cardinality import Cardinality
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.types import Reason


class Path:
    """One way of converting, with the counts of its worker."""

    def __init__(self, native: bool, **limits: int) -> None:
        route = fakes.settings(**limits).route
        self.encoder = Encoder(route)
        self.converter = Converter(route, self.encoder, native)
        self.batch = Batch()

    def convert(self, values: Sequence[bytes]) -> tuple[list[bytes], list[tuple[int, str]]]:
        """Lines, and offsets and reasons of dead letters, of all values so far."""
        start = sum(self.batch.records.values())
        messages = [FakeMessage(value, place=start + place) for place, value in enumerate(values)]
        self.converter.convert(messages, self.batch)
        dead = [(letter.origin.message.offset(), str(letter.reason)) for letter in self.batch.dead_letters]
        return self.batch.lines, dead

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.encoder.cardinality.names), len(self.encoder.cardinality.series)


def record(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_kernel), False])
class TestLimits:
    """The limits, on both paths."""

    def test_the_first_names_are_written_for_ever_and_a_new_one_is_a_dead_letter(
        self, native: bool
    ) -> None:
        path = Path(native, max_field_names=3)
        values = [record(memory=1, **{f"id-{number}": 1}) for number in (1, 2, 3, 4, 1, 5, 2)]

        lines, dead = path.convert(values)

        assert dead == [(3, Reason.TOO_MANY_NAMES), (5, Reason.TOO_MANY_NAMES)]
        assert len(lines) == 5
        assert path.counts == (3, 1)

    def test_the_first_series_are_written_for_ever_and_a_new_one_is_a_dead_letter(
        self, native: bool
    ) -> None:
        path = Path(native, max_series=2)
        values = [record(memory=1, deviceId=device) for device in ("a", "b", "c", "a", "d", "b")]

        lines, dead = path.convert(values)

        assert dead == [(2, Reason.TOO_MANY_SERIES), (4, Reason.TOO_MANY_SERIES)]
        assert len(lines) == 4
        assert path.counts == (0, 2)

    def test_names_of_the_settings_do_not_count(self, native: bool) -> None:
        path = Path(native, max_field_names=1)

        _, dead = path.convert([record(memory=1, cpu_load=2, tx_bytes=3, disk=4), record(own=1)])

        assert dead == []
        assert path.counts == (1, 1)

    def test_what_a_dead_letter_would_have_added_is_not_counted(self, native: bool) -> None:
        """Otherwise broken records would use up the room of good ones."""
        path = Path(native, max_field_names=2, max_series=2, max_text_bytes=5)
        bad = [record(**{f"x{number}": 1, "deviceId": f"{number}", "t": "too long"}) for number in range(9)]
        broken = [f'{{"y{number}": 1,'.encode() for number in range(9)]

        lines, dead = path.convert([*bad, *broken, record(a=1, deviceId="a"), record(b=1, deviceId="b")])

        assert len(dead) == 18
        assert len(lines) == 2
        assert path.counts == (2, 2)

    def test_a_record_with_more_new_names_than_there_is_room_for_adds_none(self, native: bool) -> None:
        path = Path(native, max_field_names=3)

        _, dead = path.convert([record(a=1, b=1), record(c=1, d=1), record(e=1), record(a=1, e=1)])

        assert dead == [(1, Reason.TOO_MANY_NAMES)]
        assert path.counts == (3, 1)

    def test_names_that_leave_every_cache_are_still_known(self, native: bool) -> None:
        path = Path(native, max_field_names=4_000, max_series=6_000)
        names = [record(**{f"n{number}": 1}) for number in range(4_000)]
        series = [record(memory=1, deviceId=f"{number}") for number in range(5_999)]

        for _ in range(2):
            path.convert([*names, *series])
        _, dead = path.convert([record(n4000=1), record(memory=1, ip="1")])

        assert dead == [(19_998, Reason.TOO_MANY_NAMES), (19_999, Reason.TOO_MANY_SERIES)][: len(dead)]
        assert len(dead) == 2
        assert path.counts == (4_000, 6_000)

    @pytest.mark.parametrize("time", [b"", b" 1700000000000000000"])
    def test_lines_of_line_protocol_count_too(self, native: bool, time: bytes) -> None:
        path = Path(native, max_field_names=2, max_series=2)
        sent = [b"a,t=1 x=1", b"a,t=2 y=1", b"a,t=3 x=1", b"a,t=1 z=1", b"a,t=2 x=1,y=2", b"a,t=1 x=1,z=1"]

        lines, dead = path.convert([line + time for line in sent * 2])

        refused = [Reason.TOO_MANY_SERIES, Reason.TOO_MANY_NAMES, Reason.TOO_MANY_NAMES]
        assert dead == list(zip([2, 3, 5, 8, 9, 11], refused * 2, strict=True))
        assert len(lines) == 6
        assert path.counts == (2, 2)

    def test_lines_of_many_series_and_layouts_are_counted_once(self, native: bool) -> None:
        path = Path(native, max_field_names=300, max_series=3_000)
        sent = [b"a,t=%d x%d=1 1700000000000000000" % (n, n % 300) for n in range(3_000)]

        for _ in range(3):
            path.convert(sent)
        _, dead = path.convert([b"a,t=x x1=1 1700000000000000000", b"a,t=1 y=1 1700000000000000000"])

        assert dead == [(9_000, Reason.TOO_MANY_SERIES), (9_001, Reason.TOO_MANY_NAMES)]
        assert path.counts == (300, 3_000)


NAMES = st.sampled_from(["a", "b", "c", "d", "a b", "ü", "host", "time", "cpu_load", "memory", "CPU_Usage"])
RECORDS = st.dictionaries(
    NAMES | st.just("deviceId"),
    st.sampled_from([1, 2.5, "x", "far too long", None, True, {"n": 1}, "\ud800"]),
    max_size=4,
)
LINES = st.builds(
    lambda series, fields, time: b"%b %b%b" % (series, b",".join(fields), time),
    st.sampled_from([b"a", b"a,t=1", b"a,t=2", b"b,t=1,u=2", b"a,u=1,t=2", b"labs,host=Labs,region=GIST"]),
    st.lists(st.sampled_from([b"x=1", b"y=2", b"z=t", b'w="q"', b"memory=1", b"k=far"]), max_size=4),
    st.sampled_from([b" 1700000000000000000", b" 1700000000000000001\n", b"", b" 9"]),
)
VALUES = (
    RECORDS.map(lambda fields: json.dumps(fields).encode())
    | LINES
    | st.sampled_from(
        [
            b"{",
            b'{"a":1,',
            b'{"q":1,"q":2}',
            b"[{},{}]",
            b"a=1",
            msgpack.packb({"e": 1}),
            b"\x81\xa1f\x91\x01",
        ]
    )
)


@needs_kernel
@budget(max_examples=examples(300))
@given(
    st.lists(st.lists(VALUES, max_size=8), max_size=6),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_both_paths_count_the_same_and_refuse_the_same(
    polls: list[list[bytes]], names: int, series: int
) -> None:
    limits = {"max_field_names": names, "max_series": series, "max_text_bytes": 5}
    native, python = Path(True, **limits), Path(False, **limits)
    for values in polls:
        assert native.convert(values) == python.convert(values)
        assert native.counts == python.counts
        assert native.counts <= (names, series)


@needs_kernel
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rename": "a:b,c:b,host:h,region:r", "tag_fields": "b,x", "number_fields": "h,time,r_"},
        {"tags": "memory=1,k=2", "number_fields": "k,k_,memory", "time_fields": "k,when"},
    ],
)
def test_every_name_that_the_kernel_knows_from_the_settings_is_expected(options: dict[str, str]) -> None:
    route = fakes.settings(**options).route
    encoder = Encoder(route)

    assert Converter(route, encoder).why_not_native == ""
    assert not encoder.cardinality.pending


def test_memory_is_bounded_whatever_the_texts() -> None:
    counts = Cardinality(fakes.route(max_series=50).limits)
    admitted = [counts.admit(b"%d" % number * 1_000, []) for number in range(5_000)]
    known = counts.series

    assert admitted == [number < 50 for number in range(5_000)]
    assert len(known) == 50
    assert len(known._known) == 50
    assert len(known._cache) <= cardinality.CACHED
