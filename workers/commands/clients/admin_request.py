"""Requests to Kafka's admin API: their results, and errors that say what to do next."""

import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from workers.commands.console import ProgressWait, show_wait
from workers.errors import CommandError
from workers.kafka.rights import missing_right

#: Seconds that one request may take.
REQUEST_S = 10.0

#: Seconds until a group's coordinator must be found and ready. A new cluster makes the topic of committed
#: offsets first: three brokers on a busy machine were seen to take 12.
COORDINATOR_S = 20.0

#: Seconds until every broker must know a topic that was just created.
NEW_TOPIC_S = 10.0

#: Seconds between two requests to a broker that is not ready.
RETRY_S = 0.2

#: The group's coordinator is being chosen or is still loading.
NOT_READY = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}

ADVICE = {
    KafkaError.INVALID_REPLICATION_FACTOR: "there are fewer brokers than copies: see --replication",
    KafkaError.POLICY_VIOLATION: "a policy of the brokers forbids it: ask their administrator",
    KafkaError._TRANSPORT: "`tower check` shows which broker cannot be reached",  # noqa: SLF001
    KafkaError._TIMED_OUT: "`tower check` shows which broker cannot be reached",  # noqa: SLF001
} | dict.fromkeys(NOT_READY, "Kafka is still choosing the group's coordinator: try again in a minute")


def ask_coordinator(ask: Callable[[], Any], doing: str, *rights: str) -> Any:
    """Send a request to a group's coordinator, again until the coordinator is ready; its result.

    Args:
        ask: Sends the request and returns its future.
        doing: What the request does, for the error text.
        rights: The rights that it needs, as `missing_right` takes them.

    Raises:
        CommandError: Kafka rejects it, or the coordinator is not ready within COORDINATOR_S.
    """
    wait = ProgressWait("the group's coordinator", COORDINATOR_S)
    return _ask(ask, doing, rights, NOT_READY, wait)


def ask_about_new_topic(ask: Callable[[], Any], doing: str, *rights: str) -> Any:
    """Send a request about a topic that was just created, again until the broker knows it; its result.

    The controller reports that a topic is created before each broker has heard of it.

    Args:
        ask: Sends the request and returns its future.
        doing: What the request does, for the error text.
        rights: The rights that it needs, as `missing_right` takes them.

    Raises:
        CommandError: Kafka rejects it, or the broker does not know the topic within NEW_TOPIC_S.
    """
    wait = ProgressWait("the brokers to know the new topic", NEW_TOPIC_S)
    return _ask(ask, doing, rights, {KafkaError.UNKNOWN_TOPIC_OR_PART}, wait)


def _ask(
    ask: Callable[[], Any],
    doing: str,
    rights: Sequence[str],
    not_ready: Collection[int],
    wait: ProgressWait,
) -> Any:
    while True:
        answer = finish(ask(), doing, *rights, harmless=() if wait.is_over else not_ready)
        if not isinstance(answer, int):
            return answer
        wait.pause(RETRY_S)


def finish(future: Any, doing: str, *rights: str, harmless: Collection[int] = ()) -> Any:
    """Wait for a request's result; an error code in `harmless` is returned instead of raised.

    Args:
        future: The request's.
        doing: What the request does, for the error text.
        rights: The rights that it needs, as `missing_right` takes them.
        harmless: Error codes.

    Raises:
        CommandError: Kafka rejects the request or does not answer.
    """
    try:
        with show_wait("Kafka's answer", REQUEST_S * 2):
            return future.result(timeout=REQUEST_S * 2)
    except KafkaException as error:
        if error.args[0].code() in harmless:
            return error.args[0].code()
        raise failure(doing, error, *rights) from None
    except TimeoutError:
        do = ADVICE[KafkaError._TIMED_OUT]  # noqa: SLF001
        raise CommandError(f"{doing}: no answer from Kafka", do) from None


def in_background(ask: Callable[[], Any]) -> "Future[Any]":
    """Start a request that waits for its answer by itself; the program's end does not wait for it."""
    answer: Future[Any] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer


def failure(doing: str, error: KafkaException, *rights: str, why: str = "") -> CommandError:
    """Build the error of a request.

    Args:
        doing: What the request does.
        error: Why it failed.
        rights: The rights that it needs, as `missing_right` takes them.
        why: The reason that the client's callback gave, if any.
    """
    reason = error.args[0]
    text = str(reason.str()) if isinstance(reason, KafkaError) else str(reason)
    # A broker may answer with an error code and no text.
    if text.endswith(": "):
        text += str(reason.name())
    do = ""
    if isinstance(reason, KafkaError):
        do = missing_right(reason, *rights) or ADVICE.get(reason.code(), "")
    return CommandError(f"{doing}: {why or text}", do)
