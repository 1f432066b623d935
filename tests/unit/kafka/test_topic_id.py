"""Requests for the topic's id that Kafka does not answer. `tests/integration` has those it answers."""

import logging
import time

import pytest
from confluent_kafka import Consumer, TopicPartition, Uuid

from tests.support import brokers, fakes
from workers.kafka import topic_id
from workers.kafka.topic_id import DEBUG, ClientLog, TopicId


def test_a_request_without_an_answer_ends_in_time_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(topic_id, "ASK_S", 0.6)
    monkeypatch.setattr(topic_id, "TRY_S", 0.2)
    began = time.monotonic()
    answer = TopicId(fakes.settings(kafka_bootstrap_servers="127.0.0.1:1")).ask(["resource"])
    took = time.monotonic() - began

    assert answer is None
    assert 0.5 < took < 2.0
    (record,) = [line for line in caplog.records if line.name == "tower.consumer"]
    assert "topic id unavailable" in record.getMessage()


def test_a_broker_without_ids_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asking = TopicId(fakes.settings())
    monkeypatch.setattr(asking, "_describe", lambda topics, _: dict.fromkeys(topics, Uuid(0, 0)))
    with caplog.at_level(logging.WARNING):
        answers = [asking.ask(["resource"]), asking.ask(["resource"])]

    assert answers == [{"resource": ""}, {"resource": ""}]
    (record,) = caplog.records
    assert "no ids" in record.getMessage()


ID, OTHER = "KNvFYHWqRKe22mGcwFYmiw", "g8GY0ZerTMitQea0ctNcNA"

#: Kafka's id of no topic.
NONE = "A" * 22


@pytest.mark.parametrize(
    ("before", "after", "reports"), [(ID, OTHER, [("resource", OTHER)]), (NONE, ID, []), (ID, NONE, [])]
)
def test_a_change_from_one_id_to_another_is_reported(
    before: str, after: str, reports: list[tuple[str, str]]
) -> None:
    changes: list[tuple[str, str]] = []
    log = ClientLog(logging.getLogger("tower.kafka"), lambda *change: changes.append(change))
    line = f"[thrd:main]: Topic resource changed id from {before} to {after}"
    log.log(logging.DEBUG, "%s [%s] %s", "METADATA", "tower#consumer-1", line)

    assert changes == reports


def test_what_the_client_logs_is_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    log = ClientLog(logging.getLogger("tower.kafka"), lambda *_: None)
    log.log(logging.ERROR, "%s [%s] %s", "FAIL", "tower#consumer-1", "[thrd:x]: connection refused")

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "FAIL [tower#consumer-1] [thrd:x]: connection refused"


def test_the_client_words_a_change_of_the_id_as_it_is_read_here(caplog: pytest.LogCaptureFixture) -> None:
    """With a real client, whose first change is from no id to the first id."""
    caplog.set_level(logging.DEBUG, "words")

    def lines() -> list[str]:
        texts = [record.getMessage() for record in caplog.records if record.name == "words"]
        return [text for text in texts if f" changed id from {NONE} to " in text]

    with brokers.running() as cluster:
        cluster.make_topic("worded")
        words = logging.getLogger("words")
        client = Consumer(
            {"bootstrap.servers": cluster.bootstrap, "group.id": "g", "debug": DEBUG, "logger": words}
        )
        client.assign([TopicPartition("worded", 0, 0)])
        deadline = time.monotonic() + 20
        while not lines():
            assert time.monotonic() < deadline, f"not among {caplog.text}"
            client.consume(1, 0.05)
        client.close()
    changes: list[tuple[str, str]] = []
    log = ClientLog(logging.getLogger("tower.kafka"), lambda *change: changes.append(change))
    for line in (lines()[0], lines()[0].replace(NONE, OTHER)):
        log.log(logging.DEBUG, "%s", line)

    assert len(changes) == 1
