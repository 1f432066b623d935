"""The right that this user lacks if a Kafka with ACLs rejects a request."""

from confluent_kafka import KafkaError

#: What the missing right is on, by error code, as the names of rights have it.
RESOURCES = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: " on topic ",
    KafkaError.GROUP_AUTHORIZATION_FAILED: " on group ",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: " on the cluster",
}


def missing_right(error: KafkaError, *rights: str) -> str:
    """Return what to do if Kafka says that a right is missing; empty if it says something else.

    Args:
        error: Kafka's error.
        rights: What the request needs: "READ on topic resource", "READ on group tower". At most one of
            them is on a topic, one on a group and one on the cluster.
    """
    resource = RESOURCES.get(error.code())
    missing = next((right for right in rights if resource is not None and resource in right), "")
    return f"give this user the right {missing}" if missing else ""


def rejection(error: KafkaError, *rights: str) -> str:
    """Return Kafka's error and, if a right is missing, what to do.

    Args:
        error: Kafka's error.
        rights: As for `missing_right`.
    """
    do = missing_right(error, *rights)
    return f"{error.str()}; {do}" if do else str(error.str())


def producer_rights(topic: str) -> tuple[str, str]:
    """Return the rights of a producer that stores each record once.

    Kafka rejects its first request with an error about the cluster if the user may write to no topic.
    """
    return (
        f"WRITE on topic {topic}",
        f"WRITE on topic {topic} (before Kafka 2.8: IDEMPOTENT_WRITE on the cluster)",
    )
