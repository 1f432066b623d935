"""A value is converted only if it stays the same value."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.line_protocol import Integer, parse
from tests.support.typed_influxdb import type_of
from workers.influxdb.conversion import converted
from workers.records import escape

TYPES = ("float", "integer", "unsigned", "string", "boolean")


@pytest.mark.parametrize(
    ("value", "stored", "expected"),
    [
        (b'"12.5"', "float", b"12.5"),
        (b'"7"', "float", b"7.0"),
        (b'"-1e3"', "float", b"-1000.0"),
        (b"7i", "float", b"7.0"),
        (b"7u", "float", b"7.0"),
        (b"9007199254740993i", "float", None),
        (b'"9007199254740993"', "float", None),
        (b'"0.1"', "float", b"0.1"),
        (b'"1e999"', "float", None),
        (b'"NaN"', "float", None),
        (b'"inf"', "float", None),
        (b'"n/a"', "float", None),
        (b'""', "float", None),
        (b'" 7"', "float", None),
        (b'"1_000"', "float", None),
        ('"\u0667"'.encode(), "float", None),
        (b'"0x10"', "float", None),
        (b"t", "float", None),
        (b"7", "integer", b"7i"),
        (b"7.0", "integer", b"7i"),
        (b"7.5", "integer", None),
        (b"1e3", "integer", b"1000i"),
        (b'"7"', "integer", b"7i"),
        (b"7u", "integer", b"7i"),
        (b"9007199254740992", "integer", b"9007199254740992i"),
        (b"9007199254740994", "integer", None),
        (b'"9223372036854775807"', "integer", b"9223372036854775807i"),
        (b'"9223372036854775808"', "integer", None),
        (b"1e300", "integer", None),
        (b"f", "integer", None),
        (b"7", "unsigned", b"7u"),
        (b"-7", "unsigned", None),
        (b'"18446744073709551615"', "unsigned", b"18446744073709551615u"),
        (b'"18446744073709551616"', "unsigned", None),
        (b"7", "string", b'"7"'),
        (b"7.50", "string", b'"7.50"'),
        (b"7i", "string", b'"7"'),
        (b"7u", "string", b'"7"'),
        (b"t", "string", b'"true"'),
        (b"FALSE", "string", b'"false"'),
        (b'"true"', "boolean", b"true"),
        (b'"FALSE"', "boolean", b"false"),
        (b'"yes"', "boolean", None),
        (b"1", "boolean", None),
        (b"0i", "boolean", None),
    ],
    ids=repr,
)
def test_what_is_converted_and_what_is_not(value: bytes, stored: str, expected: bytes | None) -> None:
    assert converted(value, stored) == expected


def meaning(value: object) -> object:
    """What a value says, whatever its type. A double stands for the shortest number that reads as it."""
    if isinstance(value, Integer):
        return Fraction(value.value)
    text = str(value)
    try:
        return Fraction(text) if math.isfinite(float(text)) else text
    except ValueError:
        return text.lower()


@given(
    st.one_of(
        st.text(max_size=8).map(escape.string),
        st.from_regex(r"\A[+-]?[0-9]{1,20}(\.[0-9]{0,20})?(e[+-]?[0-9]{1,2})?\Z").map(escape.string),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.integers(-(2**63), 2**63 - 1).map("{}i".format),
        st.integers(0, 2**64 - 1).map("{}u".format),
        st.booleans().map(lambda value: "t" if value else "f"),
    ),
    st.sampled_from(TYPES),
)
def test_a_converted_value_has_the_type_and_the_meaning(value: str, stored: str) -> None:
    def read(text: str) -> object:
        return parse(f"m a={text} 1").fields["a"]

    result = converted(value.encode(), stored)

    if result is not None and type_of(read(value)) != stored:
        after = read(result.decode())
        assert type_of(after) == stored
        assert meaning(after) == meaning(read(value))
