"""A record's time is read as its sender meant it, and cut where the identity begins."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.records.timestamps import MILLISECOND, SECOND, Timestamp, from_milliseconds, parse
from workers.types import Nanoseconds

WHOLE = Timestamp(1_700_000_000 * SECOND, SECOND)
FINE = Timestamp(1_700_000_000_123 * MILLISECOND, MILLISECOND)


@pytest.mark.parametrize(
    ("value", "timestamp"),
    [
        pytest.param(1_700_000_000, WHOLE, id="seconds"),
        pytest.param("1700000000", WHOLE, id="seconds as text"),
        pytest.param(" 1700000000\n", WHOLE, id="seconds as text with space around"),
        pytest.param(1_700_000_000.0, WHOLE, id="whole seconds as a float"),
        pytest.param("1.7e9", WHOLE, id="seconds with an exponent"),
        pytest.param(1_700_000_000.123, FINE, id="seconds with a fraction"),
        pytest.param("1700000000.123999", FINE, id="a finer fraction is cut"),
        pytest.param(1_700_000_000_123, FINE, id="milliseconds"),
        pytest.param(1_700_000_000_123.9, FINE, id="milliseconds as a float"),
        pytest.param(1_700_000_000_123_999, FINE, id="microseconds are cut"),
        pytest.param(1_700_000_000_123_999_999, FINE, id="nanoseconds are cut"),
        pytest.param("1700000000123999999", FINE, id="nanoseconds as text"),
        pytest.param(Nanoseconds(1_700_000_000_123_456_789), FINE, id="EventTime"),
        pytest.param("2023-11-14T22:13:20Z", WHOLE, id="ISO 8601"),
        pytest.param("2023-11-14 22:13:20", WHOLE, id="ISO 8601 without a zone is UTC"),
        pytest.param("2023-11-15T07:13:20+09:00", WHOLE, id="ISO 8601 of Gwangju"),
        pytest.param("2023-11-14T22:13:20.123999Z", FINE, id="ISO 8601 with a fraction"),
        pytest.param("2023-11-14T22:13:20,123Z", FINE, id="ISO 8601 with a comma"),
        pytest.param("20231114T221320Z", WHOLE, id="ISO 8601, basic"),
        pytest.param(datetime(2023, 11, 14, 22, 13, 20, 123_456, UTC), FINE, id="msgpack timestamp"),
        pytest.param(1, Timestamp(SECOND, SECOND), id="the first second"),
        pytest.param(10**11 - 1, Timestamp((10**11 - 1) * SECOND, SECOND), id="the last number of seconds"),
        pytest.param(10**11, Timestamp(10**11 * MILLISECOND, MILLISECOND), id="the first of milliseconds"),
        pytest.param(10**14, Timestamp(10**11 * MILLISECOND, MILLISECOND), id="the first of microseconds"),
        pytest.param(10**17, Timestamp(10**11 * MILLISECOND, MILLISECOND), id="the first of nanoseconds"),
    ],
)
def test_a_time_is_read_in_its_unit(value: object, timestamp: Timestamp) -> None:
    assert parse(value) == timestamp


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -5,
        0.0,
        -1.5,
        float("nan"),
        float("inf"),
        10**20,
        10**400,
        1e300,
        "",
        " ",
        "yesterday",
        "nan",
        "inf",
        "-5",
        "0",
        "1e400",
        "9" * 21,
        "9" * 5_000,
        "1969-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2023-13-01",
        "24:00",
        [],
        {},
        b"1700000000",
    ],
    ids=repr,
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert parse(value) is None


@given(st.one_of(st.text(), st.floats(), st.integers(), st.integers().map(str), st.floats().map(str)))
def test_any_value_is_a_moment_on_its_tick_or_none(value: object) -> None:
    timestamp = parse(value)

    assert timestamp is None or (
        timestamp.tick in {SECOND, MILLISECOND} and timestamp.ns % timestamp.tick == 0
    )
    assert timestamp is None or timestamp.ns >= 0


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2261, 12, 31)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_iso_8601_in_any_zone_is_the_millisecond_it_names(timestamp: datetime, minutes: int) -> None:
    zoned = timestamp.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    parsed = parse(zoned.isoformat(timespec="microseconds"))

    since = zoned - datetime(1970, 1, 1, tzinfo=UTC)
    expected = since // timedelta(milliseconds=1) * MILLISECOND
    assert parsed == (Timestamp(expected, MILLISECOND) if since >= timedelta(seconds=1) else None)


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_seconds_with_a_fraction_lose_no_millisecond_of_this_century(milliseconds: int) -> None:
    parsed = parse(milliseconds / 1_000)

    assert parsed is not None
    assert parsed.ns == milliseconds * MILLISECOND


def test_kafkas_own_timestamp_is_a_millisecond() -> None:
    assert from_milliseconds(1_700_000_000_123) == FINE
