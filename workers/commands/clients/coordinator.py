"""Finds a group's coordinator by a consumer, before the admin client needs it.

The admin client must not ask first: if no broker is the coordinator, its request ends only by its
own time-out, and the client is damaged after that: the process may abort ("Assertion `eonce->refcnt > 0'
failed", librdkafka's issue 4605) or hang at its exit. A consumer looks again until there is a coordinator.
"""

import logging

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.commands.clients.admin_request import COORDINATOR_S, NOT_READY, failure
from workers.commands.clients.committed_offsets import CommittedOffsets
from workers.commands.console import show_wait
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import creation_error, reader_properties


def _any_topic(settings: Settings) -> str:
    """Return a topic to ask for: the group's coordinator answers for any."""
    return next(
        (topic for topic in settings.topics if not topic.startswith("^")), settings.dead_letter_topic
    )


def find_coordinator(settings: Settings, group: str) -> None:
    """Wait until a broker is the group's coordinator. In a new cluster this makes Kafka choose one.

    Args:
        settings: How to reach the brokers.
        group: The consumer group. The consumer does not become a member.

    Raises:
        CommandError: There is none within COORDINATOR_S, or Kafka rejects the request.
    """
    quiet = logging.getLogger("tower.kafka.coordinator")
    quiet.setLevel(logging.CRITICAL)
    try:
        consumer = Consumer(reader_properties(settings) | {"group.id": group, "logger": quiet})
    except KafkaException as error:
        raise creation_error(error) from None
    try:
        with show_wait("the group's coordinator", COORDINATOR_S):
            CommittedOffsets(consumer).ask([TopicPartition(_any_topic(settings), 0)], COORDINATOR_S)
    except KafkaException as error:
        code = error.args[0].code()
        if code == KafkaError._TIMED_OUT:  # noqa: SLF001
            raise CommandError(
                f"no broker is the coordinator of group {group} after {COORDINATOR_S:g} s",
                "start the brokers that hold the topic __consumer_offsets; if there is no such topic, the "
                "brokers' offsets.topic.replication.factor is larger than their number",
            ) from None
        # Any other error comes from the coordinator, so it exists.
        if code not in {*NOT_READY, KafkaError.TOPIC_AUTHORIZATION_FAILED}:
            doing = f"cannot find the coordinator of group {group}"
            raise failure(doing, error, f"DESCRIBE on group {group}") from None
    finally:
        consumer.close()
