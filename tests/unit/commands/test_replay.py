"""Resets of committed offsets, and what they mean for the records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.commands.replay.command import _session_s
from workers.commands.replay.offset_reset import OffsetReset, describe, parse_since
from workers.config.settings import load
from workers.errors import CommandError
from workers.kafka.properties import CLASSIC

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", NOW - 90),
        ("30m", NOW - 1_800),
        ("2h", NOW - 7_200),
        ("1.5h", NOW - 5_400),
        ("7d", NOW - 604_800),
        ("2023-11-14T22:13:20", NOW),
        ("2023-11-14T22:13:20Z", NOW),
        ("2023-11-15T07:13:20+09:00", NOW),
        ("2023-11-14", 1_699_920_000.0),
    ],
)
def test_a_time_is_a_span_ago_or_iso_8601(text: str, seconds: float) -> None:
    assert parse_since(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2 hours", "-2h", "2023-13-01", "2033-01-01", "h"])
def test_what_is_no_time_or_in_the_future_is_rejected(text: str) -> None:
    with pytest.raises(CommandError, match="--since"):
        parse_since(text, NOW)


@pytest.mark.parametrize(
    ("reset", "again", "skipped", "expired"),
    [
        pytest.param(OffsetReset(0, 0, 100, 60, 0), 60, 0, 0, id="back to the beginning"),
        pytest.param(OffsetReset(0, 0, 100, 60, 100), 0, 40, 0, id="forward to the end"),
        pytest.param(OffsetReset(0, 0, 100, None, 0), 0, 0, 0, id="a new group from the beginning"),
        pytest.param(OffsetReset(0, 0, 100, None, 100), 0, 100, 0, id="a new group from the end"),
        pytest.param(
            OffsetReset(0, 50, 100, 20, 50), 0, 0, 30, id="the offset has expired, go on with what is left"
        ),
        pytest.param(
            OffsetReset(0, 50, 100, 20, 60), 0, 10, 30, id="the offset has expired, and more is skipped"
        ),
        pytest.param(OffsetReset(0, 0, 10, 60, 0), 10, 0, 0, id="the topic was deleted and created again"),
    ],
)
def test_a_reset_says_what_is_read_again_skipped_or_expired(
    reset: OffsetReset, again: int, skipped: int, expired: int
) -> None:
    assert (reset.again, reset.skipped, reset.expired) == (again, skipped, expired)


@given(st.integers(0, 50), st.integers(0, 50), st.none() | st.integers(0, 120), st.data())
def test_nothing_is_both_read_again_and_skipped(
    start: int, length: int, committed: int | None, data: st.DataObject
) -> None:
    target = data.draw(st.integers(start, start + length))
    reset = OffsetReset(0, start, start + length, committed, target)

    assert not (reset.again and reset.skipped)
    assert reset.skipped <= length
    assert reset.again <= length


def test_the_resets_are_shown_with_what_kafka_no_longer_has() -> None:
    text = describe([OffsetReset(0, 50, 100, 20, 50), OffsetReset(1, 0, 10, 10, 0)])

    assert "10 offsets are read again" in text
    assert "Kafka no longer has 30 of partition 0" in text


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, int(CLASSIC["session.timeout.ms"]) / 1000),
        ({"TOWER_KAFKA_SESSION_TIMEOUT_MS": "6000"}, 6.0),
        ({"TOWER_KAFKA_GROUP_PROTOCOL": "consumer"}, 45.0),
    ],
)
def test_the_wait_for_members_is_as_long_as_their_session(
    environment: dict[str, str], seconds: float
) -> None:
    assert _session_s(load(environment, credentials=False)) == seconds
