"""The splitter reads what Tower's encoder writes as InfluxDB reads it."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from tests.support import line_protocol
from tests.support.typed_influxdb import type_of
from workers.influxdb import line_fields
from workers.records import escape

TYPES = ("string", "boolean", "integer", "unsigned", "float")
ODD = st.text(st.sampled_from("ab,= \"\\\n'#é😀\t"), min_size=1, max_size=8)
NAMES = ODD.map(lambda text: text.replace("\n", "_").replace("\t", "_").replace("\\", "/"))
VALUES = st.one_of(
    ODD.map(escape.string),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(2**63), 2**63 - 1).map("{}i".format),
    st.integers(0, 2**64 - 1).map("{}u".format),
    st.sampled_from(["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"]),
)


@given(
    NAMES.filter(lambda text: not text.startswith("#")),
    st.dictionaries(NAMES, ODD, max_size=3),
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
)
def test_every_field_is_found_by_its_type_and_at_its_place(
    measurement: str, tags: dict[str, str], values: dict[str, str], time: int
) -> None:
    head = escape.measurement(measurement)
    head += "".join(f",{escape.name(name)}={escape.tag(value)}" for name, value in tags.items())
    body = ",".join(f"{escape.name(name)}={value}" for name, value in values.items())
    line = f"{head} {body} {time}"
    point, raw = line_protocol.parse(line), line.encode()

    assert line_fields.time_ns(raw) == point.time == time
    for name, value in point.fields.items():
        for type_ in TYPES:
            match = line_fields.finder(measurement.encode(), name.encode(), type_).match(raw)
            expected = values[name].encode() if type_ == type_of(value) else None
            assert (match and match["value"]) == expected
            if match:
                assert raw[: match.end("value")].decode() == line[: line.index(f" {body} ")] + " " + upto(
                    name, values
                )
        assert not line_fields.finder(b"other", name.encode(), type_of(value)).match(raw)
        assert not line_fields.finder(measurement.encode(), b"other", type_of(value)).match(raw)


def upto(name: str, values: dict[str, str]) -> str:
    """The fields of a line up to one of them."""
    names = list(values)
    return ",".join(f"{escape.name(each)}={values[each]}" for each in names[: names.index(name) + 1])


@given(st.binary(max_size=60), st.sampled_from(TYPES))
def test_any_bytes_are_read_without_an_error(line: bytes, type_: str) -> None:
    line_fields.finder(b"m", b"a", type_).match(line)
    line_fields.time_ns(line)


def test_a_long_line_without_the_field_is_read_in_linear_time() -> None:
    """A pattern that goes back would take hours for each of these."""
    finder = line_fields.finder(b"m", b"a", "float")
    for part in (b"b=1,", b'b="\\",', b'b="', b"b\\,", b"\\ ", b"b\\"):
        assert not finder.match(b"m " + part * 200_000)
        assert not finder.match(b"m,t=" + part * 200_000 + b" x=1")


@given(
    st.lists(st.text("ab=", min_size=1, max_size=8), min_size=1, max_size=6),
    st.text("ab", min_size=1, max_size=3),
)
def test_a_search_in_all_lines_misses_none_that_has_the_bytes(texts: list[str], name: str) -> None:
    lines = [text.encode() for text in texts]
    # As in a conflict's search, the equals sign ends the name and stands nowhere else in it.
    needle = f"{name}=".encode()

    likely = list(line_fields.LineSearch(lines).likely(needle))

    assert {position for position, line in enumerate(lines) if needle in line} <= set(likely)
    assert likely == sorted(set(likely))


def test_a_search_looks_at_few_lines() -> None:
    lines = [b"resource seq=1 1", b'resource seq="a" 2', b"resource seq=3 3", b'resource seq="b" 4']

    assert list(line_fields.LineSearch(lines).likely(b'seq="')) == [1, 3]


def test_a_line_that_repeats_the_bytes_is_looked_at_once() -> None:
    """Counted in calls: a few for each line, and not one for each time that the bytes stand there."""
    lines = [b"seq=" * 10_000] * 3
    calls = 0

    def count(_: object, event: str, called: object) -> None:
        nonlocal calls
        calls += event == "c_call" and called is not sys.setprofile

    sys.setprofile(count)
    try:
        likely = list(line_fields.LineSearch(lines).likely(b"seq="))
    finally:
        sys.setprofile(None)

    assert likely == [0, 1, 2]
    assert calls < 1_000
