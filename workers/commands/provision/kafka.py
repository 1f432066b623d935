"""The topics of the records and of the dead letters, made or mended."""

from collections.abc import Iterator

from workers.commands.clients.kafka_admin import Cluster
from workers.commands.dlq.dead_letter import BESIDES_BYTES
from workers.commands.provision.action import Done, Step
from workers.config.settings import Settings
from workers.errors import CommandError

#: Copies of each partition, where there are so many brokers: the lab's number.
COPIES = 3

#: Bytes that the dead letters' topic takes at least; their producer itself has no limit (kafka.py).
LARGEST_LETTER_BYTES = 20_971_520

#: Milliseconds that dead letters are kept: a month to look at them and send them back.
KEPT_MS = 30 * 86_400_000


def topics(cluster: Cluster, settings: Settings, partitions: int, copies: int | None) -> Iterator[Step]:
    """Make both topics; one that is there keeps its partitions and records.

    Args:
        cluster: Kafka.
        settings: Names of the topics.
        partitions: Of the topic of the records, where it is made.
        copies: Replication factor, None for three or as many as there are brokers.

    Raises:
        CommandError: Kafka refuses a step, or there are fewer brokers than copies.
    """
    brokers = len(cluster.brokers())
    wanted = copies or min(COPIES, brokers)
    if wanted > brokers:
        raise CommandError(f"--replication {wanted} needs {wanted} brokers, and there are {brokers}")
    sure = {"min.insync.replicas": in_sync(wanted)}
    yield _topic(cluster, settings.topic, partitions, wanted, sure)
    largest = int(cluster.config(settings.topic).get("max.message.bytes", "0"))
    kept = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(max(LARGEST_LETTER_BYTES, largest + BESIDES_BYTES)),
        "retention.ms": str(KEPT_MS),
    }
    yield _topic(cluster, settings.dead_letter_topic, 1, wanted, sure | kept)


def _topic(cluster: Cluster, name: str, partitions: int, copies: int, config: dict[str, str]) -> Step:
    made = cluster.create(name, partitions, copies, config)
    if made:
        return Step(f"topic {name}", Done.MADE, _size(partitions, copies))
    parts = cluster.partitions(name)
    copies = min((part.replicas for part in parts.values()), default=0)
    found = cluster.config(name)
    amiss = mend(found, config | {"min.insync.replicas": in_sync(copies)})
    if amiss:
        cluster.configure(name, amiss)
        told = ", ".join(f"{key}={value}" for key, value in amiss.items())
        return Step(f"topic {name}", Done.CHANGED, told)
    return Step(f"topic {name}", Done.THERE, _size(len(parts), copies))


def _size(partitions: int, copies: int) -> str:
    return f"{partitions} partition{'' if partitions == 1 else 's'}, replication factor {copies}"


def in_sync(copies: int) -> str:
    """Copies that must have a record before its producer is told so: two of three, so that one may fail."""
    return "2" if copies >= 3 else "1"


def mend(found: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """Settings of a topic that would lose or hold up records; what a person chose otherwise stays.

    Args:
        found: The topic's settings.
        wanted: Those it would be made with.
    """
    amiss: dict[str, str] = {}
    for key in ("min.insync.replicas", "max.message.bytes"):
        if key in wanted and int(found.get(key, "0")) < int(wanted[key]):
            amiss[key] = wanted[key]
    if wanted.get("cleanup.policy") == "delete" and "compact" in found.get("cleanup.policy", ""):
        amiss["cleanup.policy"] = "delete"
    return amiss
