"""Log lines have no payload and do not flood."""

import json
import logging
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import FakeClock
from workers.log import (
    FOREIGN_CHARACTERS,
    REPEAT_S,
    JsonFormatter,
    ThrottledLogger,
    ThrottleFilter,
    printable,
)


@given(st.text())
def test_any_foreign_text_is_one_short_printable_line(text: str) -> None:
    shown = printable(text)

    assert shown.isprintable()
    assert len(shown) == min(len(text), FOREIGN_CHARACTERS)


def test_a_printable_text_is_left_as_it_is() -> None:
    assert printable("field type conflict: ü 😀") == "field type conflict: ü 😀"


class TestRepeats:
    """The same problem is logged once per interval."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def throttled_log(self, clock: FakeClock) -> ThrottledLogger:
        return ThrottledLogger(logging.getLogger("tower.test"), clock)

    def test_the_first_is_logged_at_once(
        self, throttled_log: ThrottledLogger, caplog: pytest.LogCaptureFixture
    ) -> None:
        throttled_log.warning("kind", "trouble %s of %d", "a", 1)

        assert caplog.messages == ["trouble a of 1"]

    def test_the_next_is_logged_after_the_interval_with_the_number_in_between(
        self, throttled_log: ThrottledLogger, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        for second in range(int(REPEAT_S) + 1):
            clock.now = 1_000 + second
            throttled_log.error("kind", "trouble %d", second)

        assert caplog.messages == ["trouble 0", "trouble 30 (and 29 times in between)"]

    def test_another_kind_is_logged_at_once(
        self, throttled_log: ThrottledLogger, caplog: pytest.LogCaptureFixture
    ) -> None:
        throttled_log.error("one", "first")
        throttled_log.warning("other", "second")

        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]

    def test_a_text_with_percent_signs_is_no_format(
        self, throttled_log: ThrottledLogger, caplog: pytest.LogCaptureFixture
    ) -> None:
        throttled_log.warning("kind", "%s", "100 %s %d")

        assert caplog.messages == ["100 %s %d"]


class TestLibrdkafkasOwnLines:
    """Each kind passes once per interval."""

    @staticmethod
    def passes(watch: ThrottleFilter, text: str) -> bool:
        return watch.filter(logging.LogRecord("tower.kafka", logging.ERROR, "", 0, text, (), None))

    def test_a_kind_passes_once(self) -> None:
        clock = FakeClock()
        watch = ThrottleFilter(clock)

        passed = [self.passes(watch, f"FAIL [tower#consumer-1]: broker {number}") for number in range(5)]
        other = self.passes(watch, "REQTMOUT [tower#consumer-1]: slow")
        clock.now += REPEAT_S
        later = self.passes(watch, "FAIL [tower#consumer-1]: broker 5")

        assert passed == [True, False, False, False, False]
        assert other
        assert later


def as_json(record: logging.LogRecord, worker: int | None = 2) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(JsonFormatter(worker).format(record))
    return content


def test_a_line_in_json_has_the_worker_and_the_fields_it_is_about() -> None:
    record = logging.makeLogRecord(
        {
            "name": "tower.loop",
            "levelname": "ERROR",
            "created": 1.5,
            "msg": "%s is stopped",
            "args": ("a\nb",),
        }
    )
    record.__dict__.update(reason="stopped", topic="resource", partition=1)

    assert as_json(record) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "ERROR",
        "logger": "tower.loop",
        "worker": 2,
        "reason": "stopped",
        "topic": "resource",
        "partition": 1,
        "message": "a\nb is stopped",
    }


def test_a_line_in_json_is_one_line_with_its_traceback() -> None:
    try:
        raise ValueError("canary")
    except ValueError:
        record = logging.makeLogRecord({"msg": "crashed", "exc_info": sys.exc_info()})

    assert "\n" not in JsonFormatter(None).format(record)
    assert "ValueError: canary" in as_json(record, None)["exception"]


def test_a_throttled_line_has_its_kind_as_reason(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tower.test"):
        ThrottledLogger(logging.getLogger("tower.test")).warning("unavailable 503", "busy")

    assert as_json(caplog.records[0])["reason"] == "unavailable 503"
