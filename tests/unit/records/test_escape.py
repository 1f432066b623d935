"""Text stays one tag, one field, one measurement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.records import escape

TEXT = st.text(st.one_of(st.sampled_from(list(',= "\\\n\r\0')), st.characters(exclude_categories=["Cs"])))


@pytest.mark.parametrize(
    ("plain", "name", "tag", "measurement", "string"),
    [
        pytest.param("a", "a", "a", "a", '"a"', id="nothing to escape"),
        pytest.param("a b", "a\\ b", "a\\ b", "a\\ b", '"a b"', id="space"),
        pytest.param("a,b", "a\\,b", "a\\,b", "a\\,b", '"a,b"', id="comma"),
        pytest.param("a=b", "a\\=b", "a\\=b", "a=b", '"a=b"', id="equals sign"),
        pytest.param('a"b', 'a"b', 'a"b', 'a"b', '"a\\"b"', id="quote"),
        pytest.param("a\\b", "a/b", "a\\b", "a/b", '"a\\\\b"', id="backslash"),
        pytest.param("a\\", "a/", "a/", "a/", '"a\\\\"', id="trailing backslash"),
        pytest.param("\\\\", "//", "//", "//", '"\\\\\\\\"', id="backslashes alone"),
        pytest.param("a\\,b", "a/\\,b", "a\\\\,b", "a/\\,b", '"a\\\\,b"', id="backslash before a comma"),
        pytest.param("a\nb", "a_b", "a_b", "a_b", '"a\nb"', id="line break"),
        pytest.param("a\\\n", "a/_", "a\\_", "a/_", '"a\\\\\n"', id="backslash before a line break"),
        pytest.param("\0\x1f\x7f", "___", "___", "___", '"\0\x1f\x7f"', id="control characters"),
        pytest.param("#a", "#a", "#a", "#a", '"#a"', id="comment sign"),
        pytest.param("😀\u2028", "😀\u2028", "😀\u2028", "😀\u2028", '"😀\u2028"', id="not ASCII"),
        pytest.param("", "", "", "", '""', id="empty"),
    ],
)
def test_each_place_has_its_own_rules(
    plain: str, name: str, tag: str, measurement: str, string: str
) -> None:
    assert escape.name(plain) == name
    assert escape.tag(plain) == tag
    assert escape.measurement(plain) == measurement
    assert escape.string(plain) == string


@given(TEXT)
def test_no_name_or_tag_ends_a_line_or_itself(text: str) -> None:
    for escaped in (escape.name(text), escape.tag(text)):
        bare = escaped.replace("\\,", "").replace("\\=", "").replace("\\ ", "")

        assert not set(bare) & set(",= \n\r\0")
        assert not escaped.endswith("\\")


@given(TEXT)
def test_no_string_ends_before_its_end(text: str) -> None:
    inner = escape.string(text)[1:-1]

    assert '"' not in inner.replace("\\\\", "").replace('\\"', "")
