"""The thread that asks Kafka for the page and the metrics goes on, and an old answer is no answer."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fakes import FakeClock, FakeMessage, settings
from tests.support.observed import NOW, observation, reading, state
from tests.support.served import until
from workers.commands.serve import kafka_view, probes
from workers.commands.serve.dead_letter_examples import DeadLetterExamples
from workers.commands.serve.kafka_view import STALE_S, KafkaReading, KafkaView
from workers.commands.serve.metrics import registry
from workers.commands.serve.observation import Observer
from workers.types import Partition

#: Seconds for the thread to ask again.
SOON_S = 10.0

#: Headers of a dead letter that Tower wrote.
OWN = (
    ("tower.reason", b"json"),
    ("tower.topic", b"resource"),
    ("tower.partition", b"0"),
    ("tower.offset", b"7"),
)


class DeadLetterTopic:
    """A topic of dead letters with one partition, as `OffsetsReader` reads it."""

    def __init__(self, *messages: FakeMessage) -> None:
        self._messages = messages

    def bounds(self, topic: str) -> dict[Partition, tuple[int, int]]:
        return {Partition(topic, 0): (0, len(self._messages))}

    def messages(self, _: Partition, start: int, end: int) -> Iterator[FakeMessage]:
        yield from self._messages[start:end]


def test_a_message_that_tower_did_not_write_hides_no_dead_letter() -> None:
    topic: Any = DeadLetterTopic(
        FakeMessage(b"hello"), FakeMessage(b"{", place=1, head=OWN), FakeMessage(b"x")
    )
    examples = DeadLetterExamples(topic, "resource.dlq")

    examples.refresh()

    assert {reason: example.payload for reason, example in examples.by_reason.items()} == {"json": "{"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Iterator[KafkaView]:
    """A view that asks again at once, and gets what a test answers in place of Kafka."""
    monkeypatch.setattr(kafka_view, "EVERY_S", 0.01)
    built = KafkaView(settings(), set, clock)
    yield built
    built.stop()


def answers(monkeypatch: pytest.MonkeyPatch, view: KafkaView, *readings: KafkaReading | Exception) -> None:
    """Let the view read these, and the last one again and again."""
    left = list(readings)

    def read() -> KafkaReading:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(view, "read", read)


def test_an_unexpected_error_is_logged_once_and_the_thread_goes_on(
    view: KafkaView, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers(monkeypatch, view, AttributeError("canary"), AttributeError("canary"), reading({0: 5}))

    with caplog.at_level(logging.ERROR, "tower.serve"):
        view.start()
        until(lambda: view.latest.offsets is not None, SOON_S, "a reading after two errors")

    (message,) = caplog.messages
    assert "AttributeError: canary" in message
    assert "report" in message


def test_dead_letters_that_cannot_be_parsed_do_not_stop_the_readings(
    view: KafkaView, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refresh(_: DeadLetterExamples) -> None:
        asked.append(1)
        raise AttributeError("canary")

    monkeypatch.setattr(DeadLetterExamples, "refresh", refresh)
    answers(monkeypatch, view, reading(), reading({0: 5}))
    view.examples()
    view.start()

    until(lambda: len(asked) > 1, SOON_S, "dead letters to be read twice")
    assert view.latest.offsets == reading({0: 5}).offsets


def test_a_reading_that_is_too_old_is_a_kafka_that_does_not_answer(
    view: KafkaView, monkeypatch: pytest.MonkeyPatch, clock: FakeClock, tmp_path: Path
) -> None:
    def up() -> float | None:
        observer = Observer(tmp_path, lambda: view.latest, 3, lambda: NOW)
        return registry(observer.observe, "resource").get_sample_value("tower_kafka_up")

    answers(monkeypatch, view, reading())
    view.refresh()
    clock.now += STALE_S
    assert up() == 1

    clock.now += 1

    assert up() == 0
    states = (state(number) for number in range(3))
    is_ready, content = probes.ready(observation(tmp_path, *states, kafka=view.latest))
    assert is_ready
    assert [trouble["cause"] for trouble in content["waiting_for"]] == [
        "Kafka does not answer: its last answer came 16 s ago"
    ]
    view.refresh()
    assert up() == 1
