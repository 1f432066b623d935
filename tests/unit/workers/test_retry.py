"""Pauses grow to a cap, are random, and obey Retry-After."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.retry import FIRST_S, Backoff, parse_retry_after

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = Backoff(1.5, draw=lambda: 1.0)

    assert [backoff.next() for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5, 1.5]


def test_a_pause_is_drawn_from_the_whole_range() -> None:
    draws = iter([0.0, 0.5, 1.0])
    backoff = Backoff(1.5, draw=lambda: next(draws))

    assert [backoff.next() for _ in range(3)] == [0.0, 0.1, 0.4]


def test_success_starts_over() -> None:
    backoff = Backoff(1.5, draw=lambda: 1.0)
    for _ in range(5):
        backoff.next()

    backoff.reset()

    assert backoff.next() == FIRST_S


@given(st.floats(0.01, 600), st.lists(st.floats(0, 1), max_size=30))
def test_no_pause_is_over_the_cap(cap_s: float, draws: list[float]) -> None:
    left = iter(draws)
    backoff = Backoff(cap_s, draw=lambda: next(left))

    assert all(0 <= backoff.next() <= cap_s for _ in draws)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("9" * 400, 999_999_999.0),
        ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:05:05", 60.0),
        ("Fri, 02 Jan 2026 12:05:05 +0900", 60.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        ("٣", None),
        ("Fri, 32 Jan 2026 03:05:05 GMT", None),
        ("Fri, 02 Jan 99999999 03:05:05 GMT", None),
    ],
)
def test_retry_after_is_seconds_a_date_or_malformed(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


@given(
    st.one_of(
        st.text(),
        st.text("0123456789 :,+-JanFebMonGMT", max_size=40),
        st.tuples(st.integers(-5, 99_999), st.integers(-99_999, 99_999)).map(
            lambda it: f"Fri, 02 Jan {it[0]} 03:05:05 {it[1]:+05d}"
        ),
    )
)
@example("Fri, 02 Jan 2026 03:05:05 -9999999")
def test_any_header_is_seconds_or_none(text: str) -> None:
    seconds = parse_retry_after(text, NOW)

    assert seconds is None or seconds >= 0


@given(st.integers(0, 10**6))
def test_a_date_is_compared_with_the_current_time(seconds: int) -> None:
    text = (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")

    assert parse_retry_after(text, NOW) == seconds
