"""Any message ends as lines or dead letters, by any route and on both paths. Nothing is ever raised."""

import json
import struct
from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.examples import examples
from tests.support.fakes import FakeMessage
from tests.support.variants import Path
from workers.config.route import Route
from workers.errors import RecordError
from workers.records import line_protocol
from workers.records.converter import Converter
from workers.records.line_protocol import Line

SECOND = fakes.KAFKA_MS // 1000

#: Names that the routes below, or the known shapes, look for.
NAMES = [
    "a", "d", "s", "x", "y", "tag", "kind", "n", "b", "t", "time", "@timestamp", "old", "_field", "_time",
    "values", "dstypes", "dsnames", "interval", "host", "plugin", "plugin_instance", "type", "meta",
    "name", "tags", "fields", "timestamp", "metrics", "", "x,y=z \\", "k" * 300, "\n",
]  # fmt: skip

PLAIN = replace(
    fakes.route(tags="", rename="", tag_fields="", number_fields="x", measurement="m"), topics=("resource",)
)
ROUTES = [
    fakes.route(),
    fakes.route(format="json", line_tags="site=gist"),
    fakes.route(format="msgpack", time_window_s=0, identity="record"),
    replace(PLAIN, array=("a",), tag_fields=("tag",), rename=(("old", "x"), ("b", "time"))),
    replace(PLAIN, array=("d", "s"), tag_fields=("tag", "kind"), measurement_field="kind", drop=("y",)),
    replace(PLAIN, array=("metrics",), integer_fields=("n", "timestamp"), text_fields=("t", "name")),
    replace(
        PLAIN,
        keep=("n", "b", "t", "x", "values_0"),
        integer_fields=("n", "values_0"),
        boolean_fields=("b",),
        text_fields=("t", "d_s_0"),
        time_fields=("time", "x", "t"),
        time_format="%d/%b/%Y:%H:%M:%S %z",
        time_zone=ZoneInfo("Asia/Seoul"),
    ),
    replace(PLAIN, time_format="%Y %j %U %w", time_zone=UTC, key_tag="tag", header_tags=(("h", "host"),)),
]

TEXT = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "7", "1e999", "nan", "9" * 25, "true", "2023-11-14T22:13:20Z", "0001-01-01T00:00:00+14:00", "#",
            "9999-12-31T23:59:60", "14/Nov/2023:22:13:20 +0900", "9999 366 53 6", "0001 1 0 0", "\x00",
            "\\",
        ]
    ),
)  # fmt: skip

#: Numbers around the limits of seconds, doubles and 64 bits.
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.sampled_from([0, SECOND, SECOND * 10**9]), st.floats()
)

#: Everything that msgpack has, and more than it allows.
MSGPACK_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    TEXT,
    st.binary(max_size=8),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=17)),
    st.builds(
        lambda seconds, nanos: msgpack.ExtType(0, struct.pack(">II", seconds, nanos)),
        st.integers(0, 2**32 - 1) | st.just(SECOND),
        st.integers(0, 2**32 - 1),
    ),
    st.builds(msgpack.Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 10**9 - 1)),
)
MSGPACK_NAMES = st.one_of(
    st.sampled_from(NAMES),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.none(),
    st.binary(max_size=3),
)

#: Everything that JSON has, half surrogate pairs and numbers that no double holds among it.
JSON_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    TEXT,
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=2),
    st.integers(1, 5_000).map(lambda digits: 10**digits if digits < 4_000 else float("inf")),
)


def nested(scalars: st.SearchStrategy[Any], names: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
        max_leaves=8,
    )


@st.composite
def shaped(draw: st.DrawFn, scalars: st.SearchStrategy[Any], names: st.SearchStrategy[Any]) -> Any:
    """A record of a known shape or of one that a route has, with anything at each of its places."""
    anything = nested(scalars, names)
    fields = st.dictionaries(names, anything, max_size=4)
    metric = st.fixed_dictionaries(
        {
            "name": TEXT | scalars,
            "tags": fields,
            "fields": fields,
            "timestamp": NUMBERS,
        }
    )
    values = draw(st.lists(scalars, min_size=1, max_size=3))
    value_list = st.fixed_dictionaries(
        {
            "values": st.just(values),
            "dsnames": st.just([f"ds{place}" for place in range(len(values))]),
            "dstypes": anything,
            "time": NUMBERS,
            "interval": anything,
            "host": anything,
            "plugin": st.just("p"),
            "type": anything,
        },
        optional={"meta": anything, "plugin_instance": anything, "type_instance": anything},
    )
    elements = st.lists(fields | anything, max_size=3)
    return draw(
        st.one_of(
            anything,
            fields,
            metric,
            value_list,
            st.fixed_dictionaries({"metrics": st.lists(metric, min_size=1, max_size=3)}),
            st.lists(value_list | metric | fields, max_size=3),
            st.builds(lambda around, array: {**around, "a": array}, fields, elements),
            st.builds(lambda around, array: {**around, "d": {"y": 1, "s": array}}, fields, elements),
        )
    )


def deep(unit: bytes, end: bytes) -> st.SearchStrategy[bytes]:
    """Nesting around the deepest that the decoders and the encoders of Python take."""
    return st.integers(940, 1_030).map(lambda levels: unit * levels + b"1" + end * levels)


def json_of(value: Any, depth: bytes) -> bytes:
    """JSON, in which a text of the value is replaced by something deeply nested."""
    return json.dumps(value).encode().replace(b'"#"', depth)


MSGPACK = st.one_of(
    st.builds(msgpack.packb, shaped(MSGPACK_SCALARS, MSGPACK_NAMES)),
    # Text that is not UTF-8.
    st.builds(msgpack.packb, shaped(MSGPACK_SCALARS, MSGPACK_NAMES), use_bin_type=st.just(False)),
    st.integers(480, 1_030).map(
        lambda levels: b"\x82\xa1a\x92\x81\xa1x\x01\xc0\xa1d" + b"\x91" * levels + b"\x01"
    ),
)
JSON = st.builds(
    lambda before, value, depth: before + json_of(value, depth),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\0\0\0\0\7", b"\xef\xbb\xbf\0\0\0\0\7", b"\x1e"]),
    shaped(JSON_SCALARS, st.sampled_from(NAMES) | st.text(max_size=3)),
    st.just(b'"#"') | deep(b"[", b"]") | deep(b'{"a":', b"}"),
)


@st.composite
def messages(draw: st.DrawFn, values: st.SearchStrategy[bytes]) -> FakeMessage:
    return FakeMessage(
        draw(values),
        place=draw(st.integers(0, 10**6)),
        milliseconds=draw(st.sampled_from([fakes.KAFKA_MS, None, 1])),
        named=draw(st.sampled_from([None, b"", b"k", b"\xff"])),
        head=draw(st.sampled_from([(), (("h", b"v"),), (("h", b"\xff"),), (("h", None),)])),
    )


@settings(max_examples=examples(500))
@given(st.sampled_from(ROUTES), messages(MSGPACK | JSON))
def test_any_message_becomes_valid_lines_or_dead_letters_on_both_paths(
    route: Route, message: FakeMessage
) -> None:
    outcome = Path(route, native=False).outcome([message])

    assert Path(route, native=True).outcome([message]) == outcome
    assert len(outcome["lines"]) + len(outcome["dead_letters"]) == sum(outcome["records"].values()) >= 1
    for line in outcome["lines"]:
        assert [type(record) for record, _ in line_protocol.decode(line)] == [Line]


def reads_again(converter: Converter, record: Any, raw: bytes) -> bool:
    """Whether the bytes of one of several records are read as this record, and as no other."""
    try:
        return [repr(again) for again, _ in converter.decode(raw)] == [repr(record)]
    except RecordError:
        # Half a surrogate pair is read only beside NaN, which may stand in another record.
        return b"\\ud" in raw


@settings(max_examples=examples(500))
@given(st.sampled_from(ROUTES), MSGPACK | JSON)
def test_the_bytes_of_each_record_are_read_as_this_record_again(route: Route, value: bytes) -> None:
    converter = Path(route, native=False).converter
    try:
        records = converter.decode(value)
    except RecordError:
        return

    for record, raw in records:
        assert not isinstance(record, dict | Line) or reads_again(converter, record, raw)
