"""A record's time is read as its sender meant it, with all of its digits."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.records.timestamps import (
    MILLISECOND,
    NANOSECOND,
    SECOND,
    Timestamp,
    from_milliseconds,
    parse,
)
from workers.types import Nanoseconds

WHOLE = Timestamp(1_700_000_000 * SECOND, SECOND)
FINE = Timestamp(1_700_000_000_123 * MILLISECOND, MILLISECOND)
MICRO = Timestamp(1_700_000_000_123_456_000, NANOSECOND)
NANO = Timestamp(1_700_000_000_123_456_789, NANOSECOND)


@pytest.mark.parametrize(
    ("value", "timestamp"),
    [
        pytest.param(1_700_000_000, WHOLE, id="seconds"),
        pytest.param("1700000000", WHOLE, id="seconds as text"),
        pytest.param(" 1700000000\n", WHOLE, id="seconds as text with space around"),
        pytest.param(1_700_000_000.0, WHOLE, id="whole seconds as a float"),
        pytest.param("1.7e9", WHOLE, id="seconds with an exponent"),
        pytest.param(1_700_000_000.123, FINE, id="seconds with a fraction"),
        pytest.param("1700000000.123", FINE, id="seconds with a fraction as text"),
        pytest.param(1_700_000_000.123_456, MICRO, id="seconds of Fluent Bit, as a double"),
        pytest.param("1700000000.123456789", NANO, id="seconds with 9 digits as text"),
        pytest.param("1700000000.1234567899", NANO, id="of 10 digits 9 are kept"),
        pytest.param("1700000000.000", WHOLE, id="whole seconds with a point"),
        pytest.param("1700000000123.456789", NANO, id="milliseconds with a fraction as text"),
        pytest.param(b"1700000000.123456789", NANO, id="bytes of msgpack"),
        pytest.param(1_700_000_000_123, FINE, id="milliseconds"),
        pytest.param(1_700_000_000_123.0, FINE, id="milliseconds as a float"),
        pytest.param(1_700_000_000_123.456, MICRO, id="milliseconds of a browser, with a fraction"),
        pytest.param(1_700_000_000_123_000, FINE, id="microseconds of a whole millisecond"),
        pytest.param(1_700_000_000_123_456, MICRO, id="microseconds"),
        pytest.param(1_700_000_000_123_456_789, NANO, id="nanoseconds"),
        pytest.param("1700000000123456789", NANO, id="nanoseconds as text"),
        pytest.param(Nanoseconds(1_700_000_000_123_456_789), NANO, id="EventTime"),
        pytest.param("2023-11-14T22:13:20Z", WHOLE, id="ISO 8601"),
        pytest.param("2023-11-15T07:13:20+09:00", WHOLE, id="ISO 8601 of Gwangju"),
        pytest.param("2023-11-14T22:13:20.123Z", FINE, id="ISO 8601 with a fraction"),
        pytest.param("2023-11-14T22:13:20,123Z", FINE, id="ISO 8601 with a comma"),
        pytest.param("20231114T221320Z", WHOLE, id="ISO 8601, basic"),
        pytest.param("2023-11-14t22:13:20z", WHOLE, id="RFC 3339 in lower case"),
        pytest.param("2023-11-14T22:13:20-00:00", WHOLE, id="RFC 3339 with an unknown zone"),
        pytest.param("2023-11-14 22:13:20 UTC", WHOLE, id="Ruby's Time in UTC"),
        pytest.param("2023-11-15 07:13:20 +0900", WHOLE, id="Fluentd %Y-%m-%d %H:%M:%S %z"),
        pytest.param("2023-11-15 07:13:20.123456789 +0900", NANO, id="Fluentd with nanoseconds"),
        pytest.param("2023-11-14T22:13:20.123456789Z", NANO, id="Telegraf and Go, RFC3339Nano"),
        pytest.param("2023-11-14T22:13:20.123456Z", MICRO, id="Fluent Bit, iso8601"),
        pytest.param("2023-11-15 07:13:20.123456789 +0900 KST", NANO, id="Go's Time.String"),
        pytest.param("2023-11-14T23:13:20.123+0100", FINE, id="Logstash and Jackson"),
        pytest.param("2023-11-14T23:13:20.123+01:00[Europe/Paris]", FINE, id="Java's ZonedDateTime"),
        pytest.param("2023-11-14T22:13:20.123456789Z[UTC]", NANO, id="Java's ZonedDateTime in UTC"),
        pytest.param("2023-11-14T22:13:20+00:00[UTC][u-ca=gregory]", WHOLE, id="RFC 9557"),
        pytest.param("2023-11-14T22:13Z", WHOLE._replace(ns=1_699_999_980 * SECOND), id="Java, no seconds"),
        pytest.param("2023-11-14 22:13:20+00", WHOLE, id="PostgreSQL"),
        pytest.param(
            "2016-12-31T23:59:60Z",
            Timestamp(1_483_228_800 * SECOND, SECOND),
            id="a leap second is the next",
        ),
        pytest.param(
            "2017-01-01T08:59:60+09:00", Timestamp(1_483_228_800 * SECOND, SECOND), id="also in Korea"
        ),
        pytest.param(datetime(2023, 11, 14, 22, 13, 20, 123_456, UTC), MICRO, id="msgpack timestamp"),
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
        "2023-11-14T22:13:60Z",
        "2023-11-14T23:59:60+09:00",
        "2023-11-14T22:13:20 Europe/Paris",
        "2023-11-14T22:13:20[Europe/Paris]",
        "2023-11-14T22:13:20+25:00",
        "2023-11-14T22:13.5Z",
        "14/Nov/2023:22:13:20 +0000",
        "Tue Nov 14 22:13:20 UTC 2023",
        "1_700_000_000.5x",
        "0.000",
        [],
        {},
        b"\xff",
        Nanoseconds(0),
    ],
    ids=repr,
)
def test_what_is_no_time_is_none(value: object) -> None:
    assert parse(value) is None


@given(st.one_of(st.text(), st.floats(), st.integers(), st.integers().map(str), st.floats().map(str)))
def test_any_value_is_a_moment_on_its_tick_or_none(value: object) -> None:
    timestamp = parse(value)

    assert timestamp is None or timestamp.ns > 0
    assert timestamp is None or timestamp.ns % timestamp.tick == 0
    assert timestamp is None or (timestamp.tick == NANOSECOND) == (timestamp.ns % MILLISECOND > 0)
    assert timestamp is None or timestamp.tick in {SECOND, MILLISECOND, NANOSECOND}


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2261, 12, 31)),  # noqa: DTZ001
    st.integers(0, 999_999_999),
    st.integers(-14 * 60, 14 * 60),
    st.sampled_from(["T", "t", " "]),
    st.sampled_from([".", ","]),
)
def test_iso_8601_in_any_zone_is_the_nanosecond_it_names(
    timestamp: datetime, nanosecond: int, minutes: int, between: str, point: str
) -> None:
    zoned = timestamp.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    since = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    text = zoned.isoformat()

    parsed = parse(f"{text[:10]}{between}{text[11:19]}{point}{nanosecond:09}{text[19:]}")

    assert parsed is None if since < 1 else parsed is not None and parsed.ns == since * SECOND + nanosecond


LOCAL = "2023-11-14 22:13:20"


def test_a_local_time_is_utc_and_says_that_it_is_local() -> None:
    assert parse(LOCAL) == WHOLE._replace(is_local=True)
    assert parse(f"{LOCAL}.123456789") == NANO._replace(is_local=True)
    assert parse("2023-11-14") == Timestamp(1_699_920_000 * SECOND, SECOND, is_local=True)


def test_a_local_time_is_read_in_the_zone_that_is_set() -> None:
    seoul = ZoneInfo("Asia/Seoul")

    assert parse(LOCAL, seoul) == Timestamp(WHOLE.ns - 9 * 3600 * SECOND, SECOND, is_local=True)
    assert parse(f"{LOCAL}+00:00", seoul) == WHOLE


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        pytest.param(
            "2023-10-29T02:30:00", "2023-10-29T00:30:00Z", id="an hour that comes twice: the first"
        ),
        pytest.param("2023-10-29T03:00:00", "2023-10-29T02:00:00Z", id="after it"),
        pytest.param("2023-03-26T02:30:00", "2023-03-26T01:30:00Z", id="an hour that does not come"),
        pytest.param("2023-03-26T03:00:00", "2023-03-26T01:00:00Z", id="after it"),
    ],
)
def test_hours_that_come_twice_or_not_at_all_have_one_meaning(local: str, utc: str) -> None:
    zoned, named = parse(local, ZoneInfo("Europe/Paris")), parse(utc)

    assert zoned is not None
    assert zoned._replace(is_local=False) == named


@pytest.mark.parametrize(
    ("text", "format_", "timestamp"),
    [
        pytest.param("14/Nov/2023:22:13:20 +0000", "%d/%b/%Y:%H:%M:%S %z", WHOLE, id="Apache"),
        pytest.param("14.11.2023 22:13:20", "%d.%m.%Y %H:%M:%S", WHOLE._replace(is_local=True), id="local"),
        pytest.param("Tue, 14 Nov 2023 22:13:20 GMT", "%a, %d %b %Y %H:%M:%S GMT",
                     WHOLE._replace(is_local=True), id="RFC 2822"),
        pytest.param("14.11.2023 22:13:20.123456Z", "%d.%m.%Y %H:%M:%S.%f%z", MICRO, id="microseconds"),
        pytest.param("2023-14-11 22:13:20Z", "%Y-%d-%m %H:%M:%S%z", WHOLE, id="a format near RFC 3339"),
        pytest.param("20231114221320", "%Y%m%d%H%M%S", WHOLE._replace(is_local=True), id="digits only"),
        pytest.param("2023-11-14T22:13:20Z", "%d.%m.%Y", WHOLE, id="what has another format"),
        pytest.param("1700000000", "%d.%m.%Y", WHOLE, id="a number"),
    ],
)  # fmt: skip # a table, which is longer with one value a line
def test_a_format_that_is_set_is_tried_first(text: str, format_: str, timestamp: Timestamp) -> None:
    assert parse(text, format_=format_) == timestamp


@given(st.integers(946_684_800_000, 4_102_444_800_000))
def test_seconds_with_a_fraction_lose_no_millisecond_of_this_century(milliseconds: int) -> None:
    parsed = parse(milliseconds / 1_000)

    assert parsed is not None
    assert parsed.ns == milliseconds * MILLISECOND


def test_kafkas_own_timestamp_is_a_millisecond() -> None:
    assert from_milliseconds(1_700_000_000_123) == FINE


#: Times over which users of other tools stumbled, as they reported them, with the second they mean.
REPORTED = [
    pytest.param(
        "2023-03-01T00:00:42.586+0800", "2023-02-28T16:00:42.586Z", id="influxdata/telegraf issue 12774"
    ),
    pytest.param(
        "2023-04-07T20:43:56,833+02:00",
        "2023-04-07T18:43:56.833Z",
        id="open-telemetry/opentelemetry-collector-contrib issue 24922",
    ),
    pytest.param(
        "2015-08-17T18:19:50.569+02", "2015-08-17T16:19:50.569Z", id="elastic/logstash issue 3750"
    ),
    pytest.param("2015-07-12 13:27:14Z", "2015-07-12T13:27:14Z", id="collectd/collectd issue 1132"),
    pytest.param(
        "2013-03-06 15:18:01 +0000", "2013-03-06T15:18:01Z", id="dwbutler/logstash-logger issue 1"
    ),
    pytest.param(
        "2024-08-26T13:13:46.592204Z", "2024-08-26T13:13:46.592204Z", id="fluent/fluent-bit issue 9282"
    ),
    pytest.param(
        1724678026.592204311, "2024-08-26T13:13:46.592204Z", id="fluent/fluent-bit issue 9282, as a double"
    ),
    pytest.param(
        1.3261721783120623e9, "2012-01-10T05:09:38.312062Z", id="lensesio/stream-reactor issue 596"
    ),
    pytest.param(1720474028903, "2024-07-08T21:27:08.903Z", id="influxdata/telegraf issue 15768"),
]


@pytest.mark.parametrize(("value", "meant"), REPORTED)
def test_a_time_that_others_could_not_read_is_the_one_its_sender_meant(value: object, meant: str) -> None:
    whole, _, fraction = meant.removesuffix("Z").partition(".")
    second = (datetime.fromisoformat(f"{whole}+00:00") - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()

    timestamp = parse(value)

    assert timestamp is not None
    assert timestamp.ns == int(second) * SECOND + int(fraction.ljust(9, "0") or 0)


def test_a_local_time_that_telegraf_wrote_as_utc_is_read_in_its_zone() -> None:
    """influxdata/telegraf issue 5463: a device logs its local time, without a zone."""
    new_york = ZoneInfo("America/New_York")

    assert parse("2019-02-21 11:27:02", new_york) == Timestamp(
        1_550_766_422 * SECOND, SECOND, is_local=True
    )
