"""What check says about the newest records: whether they become points, and when."""

from typing import Any

import pytest

from tests.support import fakes
from tests.support.samples import HOUR, NOW, SETTINGS, named, sample_record, sampled
from workers.commands.check import records as check_records
from workers.commands.check.converted_record import Record
from workers.commands.check.result import CheckResult, Level


def dead(reason: str = "json", **more: Any) -> Record:
    return sample_record(reason=reason, detail="broken", types={}, **more)


def judged(*records: Record) -> list[CheckResult]:
    return list(check_records.check_records(sampled(*records), SETTINGS, NOW, 3))


def test_no_records_is_a_warning() -> None:
    assert named(judged(), "records").level is Level.WARN


@pytest.mark.parametrize(
    ("record", "level", "word"),
    [
        pytest.param(sample_record(-2, -2, fresh=True), Level.OK, "its own time", id="right"),
        pytest.param(sample_record(None, -2), Level.OK, "by Kafka's time", id="without an own time"),
        pytest.param(sample_record(300, 0, fresh=True), Level.WARN, "ahead", id="ahead a little"),
        pytest.param(sample_record(2 * HOUR, 0), Level.FAIL, "ahead of this machine", id="ahead"),
        pytest.param(
            sample_record(-2 * HOUR, 0, fresh=True),
            Level.FAIL,
            "behind this machine",
            id="behind, for sure",
        ),
        pytest.param(sample_record(-2 * HOUR, 0), Level.WARN, "behind Kafka", id="behind, or late"),
        pytest.param(sample_record(-2 * HOUR, -2 * HOUR), Level.WARN, "none came", id="idle"),
        pytest.param(sample_record(None, 2 * HOUR), Level.FAIL, "Kafka's timestamp", id="producer ahead"),
        pytest.param(
            sample_record(None, 1_700_000 - NOW, fresh=True),
            Level.FAIL,
            "Kafka's timestamp",
            id="seconds for milliseconds",
        ),
    ],
)
def test_the_newest_record_tells_the_senders_clock(record: Record, level: Level, word: str) -> None:
    result = named(judged(record), "records")

    assert result.level is level
    assert word in result.text


@pytest.mark.parametrize(
    ("record", "word"),
    [
        pytest.param(sample_record(9 * HOUR, 0, is_local=True), "TOWER_TIME_ZONE", id="Korea, no zone"),
        pytest.param(
            sample_record(5.75 * HOUR + 3, 0, is_local=True), "TOWER_TIME_ZONE", id="Nepal, a bit late"
        ),
        pytest.param(
            sample_record(-5 * HOUR, 0, fresh=True, is_local=True),
            "TOWER_TIME_ZONE",
            id="New York, no zone",
        ),
        pytest.param(sample_record(9 * HOUR, 0), "the clock and the zone", id="a wrong zone"),
        pytest.param(
            sample_record(9 * HOUR, 9 * HOUR, fresh=True), "timedatectl", id="the whole machine is ahead"
        ),
        pytest.param(sample_record(9.1 * HOUR, 0), "timedatectl", id="no whole quarter of an hour"),
        pytest.param(sample_record(20 * HOUR, 0), "timedatectl", id="farther than any zone"),
        pytest.param(sample_record(-2.1 * HOUR, 0), "delayed", id="old when it came"),
    ],
)
def test_a_missing_zone_is_told_from_a_wrong_clock(record: Record, word: str) -> None:
    assert word in named(judged(record), "records").next


def test_a_sender_with_a_wrong_clock_is_not_hidden_by_another_that_is_right() -> None:
    wrong = [sample_record(9 * HOUR, -10, place="resource[1]@9"), sample_record(9 * HOUR, -20)]

    results = judged(sample_record(0, 0), *wrong)

    assert named(results, "records").level is Level.OK
    assert named(results, "record times").level is Level.WARN
    assert "2 of the newest 3 records" in named(results, "record times").text
    assert "resource[1]@9" in named(results, "record times").text


def test_a_clock_that_was_set_right_is_no_failure_any_more() -> None:
    results = judged(sample_record(0, 0, fresh=True), *[sample_record(2 * HOUR, -30)] * 9)

    assert {result.level for result in results} == {Level.OK, Level.WARN}


def test_a_time_that_is_not_believed_is_no_own_time() -> None:
    results = judged(sample_record(-NOW + 5_000, -3), sample_record(-1, -4))
    result = named(results, "record times")

    assert "by Kafka's time" in named(results, "records").text
    assert result.level is Level.WARN
    assert "1 of the newest 2 records is before 2000" in result.text
    assert "1970-01-01T01:23:20Z" in result.text
    assert "2023-11-14T22:13:17Z" in result.text
    assert "clock of the sender" in result.next


def test_old_records_are_told_with_the_setting_that_believes_them() -> None:
    results = judged(*[sample_record(-72 * HOUR - number, -number) for number in range(5)])
    result = named(results, "record times")

    assert "its own time" not in named(results, "records").text
    assert "all of the newest 5 records is more than TOWER_TIME_WINDOW_S (86400 s)" in result.text
    assert "2023-11-11T22:13:20Z" in result.text
    assert "set TOWER_TIME_WINDOW_S=0" in result.next
    assert "clock of the sender" in result.next


def test_with_a_window_of_0_old_records_are_right() -> None:
    old = [sample_record(-72 * HOUR, -1, fresh=fresh, point_s=NOW - 72 * HOUR) for fresh in (True, False)]
    settings = fakes.settings(time_window_s=0)

    (result,) = check_records.check_records(sampled(*old), settings, NOW, 3)

    assert (result.level, result.check) == (Level.OK, "records")


def test_if_kafkas_time_is_years_off_its_producer_is_to_blame() -> None:
    result = named(judged(sample_record(0, -NOW + 1_000_000_000)), "record times")

    assert "producer" in result.next
    assert "TOWER_TIME_WINDOW_S=0" in result.next


@pytest.mark.parametrize(
    "kafka_s",
    [pytest.param(1_700_000.0, id="seconds for milliseconds"), pytest.param(1.7e12, id="microseconds")],
)
def test_a_timestamp_of_kafkas_that_cannot_be_one_is_told_and_the_records_own_is_right(
    kafka_s: float,
) -> None:
    results = judged(sample_record(0, kafka_s - NOW))

    assert named(results, "records").level is Level.OK
    assert "is not used if the record has a time" in named(results, "record times").text
    assert "LogAppendTime" in named(results, "record times").next


def test_a_time_that_cannot_be_read_is_a_warning() -> None:
    result = named(
        judged(sample_record(None, -1, unreadable=True), sample_record(None, -1)), "record times"
    )

    assert result.level is Level.WARN
    assert "1 of the newest 2 records" in result.text
    assert "TOWER_TIME_FIELDS" in result.next


def test_records_that_would_be_dead_letters_are_counted_by_reason() -> None:
    result = named(judged(sample_record(), dead(), dead(), dead("empty")), "bad records")

    assert result.level is Level.WARN
    assert "3 of the newest 4 records would become dead letters (json: 2, empty: 1)" in result.text


def test_if_all_would_be_dead_letters_nothing_reaches_the_dashboard() -> None:
    (result,) = judged(dead(), dead())

    assert (result.check, result.level) == ("records", Level.FAIL)
    assert "all of the newest 2 records" in result.text
