"""Creates the topics of the records and of the dead letters, or repairs their settings."""

from collections.abc import Iterator

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.dlq.dead_letter import OVERHEAD_BYTES
from workers.commands.provision.action import Action, ActionResult
from workers.config.settings import Settings

#: Copies of each partition if there are that many brokers: the lab's number.
COPIES = 3

#: Least max.message.bytes of the dead-letter topic. The producer of dead letters has a higher limit
#: (see workers/kafka/properties.py).
DEAD_LETTER_BYTES = 20_971_520

#: Milliseconds for which Kafka keeps dead letters: a month to inspect them and send them back.
DEAD_LETTER_RETENTION_MS = 30 * 86_400_000


def provision_topics(
    kafka_admin: KafkaAdmin, settings: Settings, partitions: int, replication: int | None
) -> Iterator[Action]:
    """Create both topics; one that exists keeps its partitions and records.

    Args:
        kafka_admin: Kafka.
        settings: Names of the topics.
        partitions: Number of partitions of the record topic, if it is created.
        replication: Copies of each partition, None for three or the number of brokers if that is less.

    Raises:
        CommandError: Kafka rejects an action.
    """
    copies = replication or min(COPIES, len(kafka_admin.brokers()))
    durability = {"min.insync.replicas": min_in_sync(copies)}
    largest_message = 0
    for topic in settings.topics:
        # The topics of a pattern are created by those who write to them.
        if not topic.startswith("^"):
            yield _provision_topic(kafka_admin, topic, partitions, copies, durability)
            largest_message = max(
                largest_message, int(kafka_admin.config(topic).get("max.message.bytes", "0"))
            )
    config = durability | dead_letter_config(largest_message)
    yield _provision_topic(kafka_admin, settings.dead_letter_topic, 1, copies, config)


def dead_letter_config(largest_message: int) -> dict[str, str]:
    """Build the dead-letter topic's settings.

    Args:
        largest_message: Bytes that the record topic accepts. A dead letter is a whole record with its
            headers, so it has to fit in the dead-letter topic too.
    """
    return {
        "cleanup.policy": "delete",
        "max.message.bytes": str(max(DEAD_LETTER_BYTES, largest_message + OVERHEAD_BYTES)),
        "retention.ms": str(DEAD_LETTER_RETENTION_MS),
    }


def min_in_sync(copies: int) -> str:
    """Copies that must have a record before its producer gets a confirmation.

    It is two of three, so that one broker may fail.
    """
    return "2" if copies >= 3 else "1"


def repairs(config: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """Settings of an existing topic that would lose or delay records, with the values they should have.

    Other settings stay as somebody chose them.

    Args:
        config: The topic's settings.
        wanted: The settings it would be created with.
    """
    changes: dict[str, str] = {}
    for key in ("min.insync.replicas", "max.message.bytes"):
        if key in wanted and int(config.get(key, "0")) < int(wanted[key]):
            changes[key] = wanted[key]
    if wanted.get("cleanup.policy") == "delete" and "compact" in config.get("cleanup.policy", ""):
        changes["cleanup.policy"] = "delete"
    return changes


def _provision_topic(
    kafka_admin: KafkaAdmin, name: str, partitions: int, copies: int, wanted: dict[str, str]
) -> Action:
    what = f"topic {name}"
    if kafka_admin.create(name, partitions, copies, wanted):
        return Action(what, ActionResult.CREATED, _size(partitions, copies))
    existing = kafka_admin.partitions(name)
    copies = min((partition.replicas for partition in existing.values()), default=0)
    changes = repairs(kafka_admin.config(name), wanted | {"min.insync.replicas": min_in_sync(copies)})
    if changes:
        kafka_admin.configure(name, changes)
        text = ", ".join(f"{key}={value}" for key, value in changes.items())
        return Action(what, ActionResult.CHANGED, text)
    return Action(what, ActionResult.UNCHANGED, _size(len(existing), copies))


def _size(partitions: int, copies: int) -> str:
    return f"{partitions} partition{'' if partitions == 1 else 's'}, replication factor {copies}"
