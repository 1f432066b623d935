"""What is said if a Kafka with ACLs rejects a request."""

import pytest
from confluent_kafka import KafkaError

from workers.kafka.rights import missing_right, producer_rights, rejection

TOPIC, GROUP = "READ on topic group", "DESCRIBE on group topic"


@pytest.mark.parametrize(
    ("code", "right"),
    [
        pytest.param(KafkaError.TOPIC_AUTHORIZATION_FAILED, TOPIC, id="topic"),
        pytest.param(KafkaError.GROUP_AUTHORIZATION_FAILED, GROUP, id="group"),
    ],
)
def test_the_right_on_what_kafka_names_is_named(code: int, right: str) -> None:
    assert missing_right(KafkaError(code), GROUP, TOPIC) == f"give this user the right {right}"


@pytest.mark.parametrize("code", [KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError._TRANSPORT])
def test_no_right_is_named_for_another_error(code: int) -> None:
    error = KafkaError(code, "why")

    assert missing_right(error, TOPIC, GROUP) == ""
    assert rejection(error, TOPIC, GROUP) == "why"


@pytest.mark.parametrize(
    "code", [KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED]
)
def test_a_producer_without_a_right_is_told_to_get_the_one_on_its_topic(code: int) -> None:
    text = rejection(KafkaError(code, "why"), *producer_rights("labs.dlq"))

    assert text.startswith("why; give this user the right WRITE on topic labs.dlq")
