"""Requests for a group or a new topic, as the operator's commands send them."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from workers.commands.clients import admin_request
from workers.errors import CommandError


def answers(*outcomes: int | str) -> tuple[Callable[[], Future[str]], list[int | str]]:
    """A request that fails with each code in turn, without a text, or succeeds; and the outcomes left."""
    left = list(outcomes)

    def ask() -> Future[str]:
        outcome = left.pop(0) if len(left) > 1 else left[0]
        future: Future[str] = Future()
        if isinstance(outcome, str):
            future.set_result(outcome)
        else:
            future.set_exception(KafkaException(KafkaError(outcome, "ConsumerGroupDescribe: ")))
        return future

    return ask, left


def test_a_coordinator_that_is_not_ready_is_asked_again() -> None:
    """A new cluster answers so until it has made the topic of committed offsets."""
    ask, left = answers(KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "group")

    assert admin_request.ask_coordinator(ask, "looking at group tower") == "group"
    assert left == ["group"]


def test_a_coordinator_that_stays_away_is_named_and_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin_request, "COORDINATOR_S", 0.1)
    ask, _ = answers(KafkaError.NOT_COORDINATOR)

    with pytest.raises(CommandError) as raised:
        admin_request.ask_coordinator(ask, "looking at group tower")

    assert raised.value.problem == "looking at group tower: ConsumerGroupDescribe: NOT_COORDINATOR"
    assert "try again" in raised.value.do


def test_a_broker_that_has_not_heard_of_a_new_topic_is_asked_again() -> None:
    """A cluster on a busy machine answered so, right after the controller had created the topic."""
    ask, left = answers(KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_OR_PART, "settings")

    assert admin_request.ask_about_new_topic(ask, "cannot read the settings of resource") == "settings"
    assert left == ["settings"]


def test_a_broker_that_never_hears_of_a_new_topic_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admin_request, "NEW_TOPIC_S", 0.1)
    ask, _ = answers(KafkaError.UNKNOWN_TOPIC_OR_PART)

    with pytest.raises(CommandError, match="UNKNOWN_TOPIC_OR_PART"):
        admin_request.ask_about_new_topic(ask, "cannot read the settings of resource")


def test_a_request_that_is_refused_is_not_sent_again() -> None:
    ask, left = answers(KafkaError.GROUP_AUTHORIZATION_FAILED, "group")

    with pytest.raises(CommandError, match="GROUP_AUTHORIZATION_FAILED") as raised:
        admin_request.ask_coordinator(ask, "looking at group tower", "DESCRIBE on group tower")

    assert left == ["group"]
    assert raised.value.do == "give this user the right DESCRIBE on group tower"
