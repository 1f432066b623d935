"""The splitter reads what Tower's encoder writes as InfluxDB reads it."""

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
    NAMES.filter(lambda text: not text.startswith("#") and text != "other"),
    st.dictionaries(NAMES, ODD, max_size=3),
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=5),
    st.integers(-(2**63), 2**63 - 1),
)
def test_every_field_is_found_with_its_type_and_its_place(
    measurement: str, tags: dict[str, str], values: dict[str, str], time: int
) -> None:
    head = escape.measurement(measurement)
    head += "".join(f",{escape.name(name)}={escape.tag(value)}" for name, value in tags.items())
    body = ",".join(f"{escape.name(name)}={value}" for name, value in values.items())
    line = f"{head} {body} {time}"
    point, raw = line_protocol.parse(line), line.encode()

    fields = dict(line_fields.fields(raw))

    assert line_fields.measurement(raw).decode() == point.measurement == measurement
    assert line_fields.time_ns(raw) == point.time == time
    assert {name.decode(): value.type for name, value in fields.items()} == {
        name: type_of(value) for name, value in point.fields.items()
    }
    for name, value in fields.items():
        assert raw[value.start : value.stop].decode() == values[name.decode()]
        assert line_fields.find(raw, name) == value
        for type_ in TYPES:
            match = line_fields.finder(measurement.encode(), name, type_).match(raw)
            assert (match and match.span("value")) == (
                (value.start, value.stop) if type_ == value.type else None
            )
    assert line_fields.find(raw, b"no such field") is None
    assert not line_fields.finder(b"other", name, value.type).match(raw)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_without_an_error(line: bytes) -> None:
    list(line_fields.fields(line))
    line_fields.measurement(line)
    line_fields.time_ns(line)
