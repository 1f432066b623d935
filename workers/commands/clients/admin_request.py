"""Requests to Kafka's administrators' interface: results, and errors that say what to do next."""

from collections.abc import Callable, Collection
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from workers.commands.console import Wait, seen
from workers.errors import CommandError

#: Seconds that one request may take.
REQUEST_S = 10.0

#: Seconds until a group's coordinator must be found and ready. A new cluster makes the topic of committed
#: offsets first: three brokers on a busy machine were seen to take 12.
COORDINATOR_S = 20.0

#: Seconds between two requests to a coordinator that is not ready.
SETTLE_S = 0.2

#: The group's coordinator is being chosen or is still loading.
UNSETTLED = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}

ADVICE = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "allow this user to use the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "allow this user to use the group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "this needs a user that may administer the cluster",
    KafkaError.INVALID_REPLICATION_FACTOR: "there are fewer brokers than copies; see --replication",
    KafkaError.POLICY_VIOLATION: "a policy of the brokers forbids it; ask who runs them",
    KafkaError._TRANSPORT: "`python -m workers check` tells which broker is not reached",  # noqa: SLF001
    KafkaError._TIMED_OUT: "`python -m workers check` tells which broker is not reached",  # noqa: SLF001
} | dict.fromkeys(UNSETTLED, "Kafka chooses the group's coordinator: try again in a minute")


def settled(ask: Callable[[], Any], doing: str) -> Any:
    """Ask a group's coordinator, again and again until it is ready; the result.

    Args:
        ask: Sends the request and returns its future.
        doing: What the request is for, for the error.

    Raises:
        CommandError: Kafka refuses it, or the coordinator is not ready within COORDINATOR_S.
    """
    wait = Wait("the group's coordinator", COORDINATOR_S)
    while True:
        answer = finish(ask(), doing, () if wait.is_over else UNSETTLED)
        if not isinstance(answer, int):
            return answer
        wait.pause(SETTLE_S)


def finish(future: Any, doing: str, harmless: Collection[int] = ()) -> Any:
    """Wait for a request's result; an error code in `harmless` is no error and is the result itself.

    Raises:
        CommandError: Kafka refuses the request or does not answer.
    """
    try:
        with seen("Kafka's answer", REQUEST_S * 2):
            return future.result(timeout=REQUEST_S * 2)
    except KafkaException as error:
        if error.args[0].code() in harmless:
            return error.args[0].code()
        raise failure(doing, error) from None
    except TimeoutError:
        do = ADVICE[KafkaError._TIMED_OUT]  # noqa: SLF001
        raise CommandError(f"{doing}: no answer from Kafka", do) from None


def failure(doing: str, error: KafkaException, why: str = "") -> CommandError:
    """Make the error of a request; `why` is the client's own reason, if it has given one."""
    reason = error.args[0]
    text = str(reason.str()) if isinstance(reason, KafkaError) else str(reason)
    # A broker may answer with a number alone.
    if text.endswith(": "):
        text += str(reason.name())
    do = ADVICE.get(reason.code() if isinstance(reason, KafkaError) else 0, "")
    return CommandError(f"{doing}: {why or text}", do)
