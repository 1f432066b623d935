"""A 400 is believed as far as it names lines that were sent, and no further."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.refusal import REASON_CHARACTERS, listed

LINES = [b"labs a=nope 1", b"labs a=2 2", b'labs a="x\ny" 3', b"labs a=1e400 4"]


def message(*lines: bytes, why: str = "invalid number") -> str:
    """What influxd 2.7 answers: one entry per bad line, a line break between them."""
    return "\n".join(f"unable to parse '{line.decode()}': {why}" for line in lines)


def test_every_listed_line_is_found_with_its_reason() -> None:
    assert listed(message(LINES[0], LINES[3]), LINES) == {0: "invalid number", 3: "invalid number"}


def test_a_line_with_a_line_break_in_a_string_is_found() -> None:
    assert listed(message(LINES[2], LINES[3]), LINES) == {2: "invalid number", 3: "invalid number"}


def test_what_stands_before_the_list_does_not_matter() -> None:
    text = f"partial write: {message(LINES[0])} dropped=0"

    assert listed(text, LINES) == {0: "invalid number dropped=0"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("unexpected EOF", id="no list"),
        pytest.param(message(b"labs a=1 99"), id="a line that was not sent"),
        pytest.param(message(LINES[0], b"labs a=1 99"), id="one that was sent and one that was not"),
        pytest.param(message(LINES[0])[:-30], id="cut short"),
        pytest.param("unable to parse '", id="a mark and nothing behind it"),
        pytest.param(json.dumps({"message": message(LINES[2])}), id="still in JSON"),
    ],
)
def test_a_list_that_does_not_match_is_no_list(text: str) -> None:
    assert listed(text, LINES) == {}


@pytest.mark.parametrize(
    "inside",
    [
        "unable to parse 'labs a=2 2': yes",
        "x': y\nunable to parse 'labs a=2 2': invalid",
        "': ",
        "'",
    ],
)
def test_a_sender_cannot_blame_another_line(inside: str) -> None:
    evil = f'labs a="{inside}",b=nope 7'.encode()

    found = listed(message(evil), [*LINES, evil])

    assert found in ({}, {4: "invalid number"})


def test_a_long_reason_is_cut() -> None:
    found = listed(message(LINES[0], why="x" * 10_000), LINES)

    assert found == {0: "x" * REASON_CHARACTERS}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=6), st.data())
def test_only_lines_that_are_listed_are_blamed(texts: list[str], data: st.DataObject) -> None:
    lines = [f'labs a="{text}" {place}'.encode() for place, text in enumerate(texts)]
    bad = [line for line in lines if data.draw(st.booleans())]

    found = listed(message(*bad), lines)

    assert found.keys() in (set(), {lines.index(line) for line in bad})


@given(st.text(), st.lists(st.binary(max_size=20), max_size=4))
def test_any_answer_to_any_lines_blames_none_that_were_not_sent(text: str, lines: list[bytes]) -> None:
    assert listed(text, lines).keys() <= set(range(len(lines)))
