"""A 400 counts only as far as it lists lines that were sent."""

import json
from collections.abc import Callable
from typing import SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.influxdb.rejected_lines import REASON_CHARACTERS, find_rejected

LINES = [b"labs a=nope 1", b"labs a=2 2", b'labs a="x\ny" 3', b"labs a=1e400 4"]


def message(*lines: bytes, why: str = "invalid number") -> str:
    """What influxd 2.7 answers: one entry per bad line, a line break between them."""
    return "\n".join(f"unable to parse '{line.decode()}': {why}" for line in lines)


def test_every_listed_line_is_found_with_its_reason() -> None:
    assert find_rejected(message(LINES[0], LINES[3]), LINES) == {0: "invalid number", 3: "invalid number"}


def test_a_line_with_a_line_break_in_a_string_is_found() -> None:
    assert find_rejected(message(LINES[2], LINES[3]), LINES) == {2: "invalid number", 3: "invalid number"}


def test_what_stands_before_the_list_does_not_matter() -> None:
    text = f"partial write: {message(LINES[0])} dropped=0"

    assert find_rejected(text, LINES) == {0: "invalid number dropped=0"}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("unexpected EOF", id="no list"),
        pytest.param(message(b"labs a=1 99"), id="a line that was not sent"),
        pytest.param(message(LINES[0], b"labs a=1 99"), id="one that was sent and one that was not"),
        pytest.param(message(LINES[0])[:-30], id="cut short"),
        pytest.param("unable to parse '", id="a mark and nothing behind it"),
        pytest.param(message(LINES[3], LINES[0]), id="lines in another order than they were sent in"),
        pytest.param(json.dumps({"message": message(LINES[2])}), id="still in JSON"),
    ],
)
def test_a_list_that_does_not_match_is_no_list(text: str) -> None:
    assert find_rejected(text, LINES) == {}


@pytest.mark.parametrize(
    "inside",
    [
        "unable to parse 'labs a=2 2': yes",
        "x': y\nunable to parse 'labs a=2 2': invalid",
        "': ",
        "'",
    ],
)
def test_a_record_cannot_reject_another_line(inside: str) -> None:
    evil = f'labs a="{inside}",b=nope 7'.encode()

    rejected = find_rejected(message(evil), [*LINES, evil])

    assert rejected in ({}, {4: "invalid number"})


def test_lines_that_are_equal_are_each_found() -> None:
    rejected = find_rejected(message(LINES[0], LINES[0]), [LINES[0], LINES[1], LINES[0]])

    assert rejected == {0: "invalid number", 2: "invalid number"}


class Counted(str):
    """A text that counts the characters that are looked at."""

    __slots__ = ("looked",)
    looked: int

    def find(self, part: str, start: SupportsIndex | None = 0, *_: object) -> int:
        place = super().find(part, start)
        self.looked += (place if place >= 0 else len(self)) - int(start or 0)
        return place

    def startswith(self, part: str | tuple[str, ...], start: SupportsIndex | None = 0, *_: object) -> bool:
        self.looked += len(part)
        return super().startswith(part, start)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part = super().__getitem__(key)
        self.looked += len(part)
        return part


def looks(find: Callable[[str, list[bytes]], object], text: str, lines: list[bytes]) -> int:
    """How many characters of an answer a search looks at."""
    counted = Counted(text)
    counted.looked = 0
    find(counted, lines)
    return counted.looked


def at_each_end_mark(text: str, lines: list[bytes]) -> bytes | None:
    """What is linear only where no line has an end mark in it."""
    start, end = len("unable to parse '"), text.find("': ")
    while end >= 0:
        if (line := text[start:end].encode()) in lines:
            return line
        end = text.find("': ", end + 1)
    return None


def marks(size: int) -> tuple[str, list[bytes]]:
    """A line of end marks, listed."""
    line = b'labs a="%s" 1' % (b"': " * size)
    return message(line), [line]


def beginnings(size: int) -> tuple[str, list[bytes]]:
    """A listed line, and as many that begin and end as it does."""
    lines = [b'labs a="%s%04d" 1' % (b"x" * 1_000, place) for place in range(size)]
    return message(lines[-1]), lines


def many(size: int) -> tuple[str, list[bytes]]:
    """Every line is listed."""
    lines = [b"labs a=nope %d" % place for place in range(size)]
    return message(*lines), lines


def quotations(size: int) -> tuple[str, list[bytes]]:
    """A listed line that quotes lists."""
    line = b'labs a="%s" 1' % (b"unable to parse 'labs a=nope 1': " * size)
    return message(line), [line]


def reasons(size: int) -> tuple[str, list[bytes]]:
    """A line with a long reason, which quotes a list of lines that were not sent."""
    return message(LINES[0], why="unable to parse 'x': y" * size), LINES


@pytest.mark.parametrize("shape", [marks, beginnings, many, quotations, reasons])
def test_a_list_is_read_once_for_any_record(
    shape: Callable[[int], tuple[str, list[bytes]]],
) -> None:
    small, large = looks(find_rejected, *shape(500)), looks(find_rejected, *shape(4_000))

    text, lines = shape(4_000)
    assert large <= 2 * (len(text) + sum(map(len, lines)) + len(lines) * len("': "))
    assert large <= small * 10


def test_the_count_sees_a_search_that_begins_again_at_each_end_mark() -> None:
    small, large = looks(at_each_end_mark, *marks(500)), looks(at_each_end_mark, *marks(4_000))

    assert large > small * 50


def test_a_long_reason_is_cut() -> None:
    rejected = find_rejected(message(LINES[0], why="x" * 10_000), LINES)

    assert rejected == {0: "x" * REASON_CHARACTERS}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), max_size=6), st.data())
def test_only_listed_lines_are_rejected(texts: list[str], data: st.DataObject) -> None:
    lines = [f'labs a="{text}" {place}'.encode() for place, text in enumerate(texts)]
    bad = [line for line in lines if data.draw(st.booleans())]

    rejected = find_rejected(message(*bad), lines)

    assert rejected.keys() in (set(), {lines.index(line) for line in bad})


@given(st.text(), st.lists(st.binary(max_size=20), max_size=4))
def test_no_answer_rejects_a_line_that_was_not_sent(text: str, lines: list[bytes]) -> None:
    assert find_rejected(text, lines).keys() <= set(range(len(lines)))
