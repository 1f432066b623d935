"""Asking for the topic's id where Kafka does not tell it; `tests/integration` asks where it does."""

import logging
import time

import pytest
from confluent_kafka import Uuid

from tests.unit import fakes
from workers import topicid
from workers.topicid import TopicId


def test_a_question_that_is_not_answered_is_bounded_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(topicid, "ASK_S", 0.6)
    monkeypatch.setattr(topicid, "TRY_S", 0.2)
    began = time.monotonic()
    answer = TopicId(fakes.settings(kafka_bootstrap_servers="127.0.0.1:1")).ask()
    took = time.monotonic() - began

    assert answer is None
    assert 0.5 < took < 2.0
    (record,) = [each for each in caplog.records if each.name == "tower.consumer"]
    assert "topic's id is not told yet" in record.getMessage()


def test_a_broker_without_ids_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asking = TopicId(fakes.settings())
    monkeypatch.setattr(asking, "_describe", lambda _: Uuid(0, 0))
    with caplog.at_level(logging.WARNING):
        answers = [asking.ask(), asking.ask()]

    assert answers == ["", ""]
    (record,) = caplog.records
    assert "no ids" in record.getMessage()
