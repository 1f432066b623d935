"""The consumer group and the offsets of its topics, as Kafka reports them."""

from collections.abc import Mapping
from dataclasses import dataclass

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.types import Partition, PartitionKey


@dataclass(frozen=True)
class GroupOffsets:
    """The group and the topics' offsets, by partition; `problem` if Kafka does not answer."""

    ends: Mapping[PartitionKey, int]
    committed: Mapping[PartitionKey, int]
    starts: Mapping[PartitionKey, int]
    owners: Mapping[PartitionKey, str]
    members: int | None
    problem: str = ""


def _by_key(has_several_topics: bool, offsets: Mapping[str, Mapping[int, int]]) -> dict[PartitionKey, int]:
    return {
        Partition(topic, number).key(has_several_topics): offset
        for topic, by_number in offsets.items()
        for number, offset in by_number.items()
    }


def read_offsets(settings: Settings) -> GroupOffsets:
    """Read the group and the topic's offsets. If Kafka does not answer, that is a problem and no error."""
    try:
        kafka_admin = KafkaAdmin(settings)
        several, name = settings.has_several_topics, settings.group
        topics = kafka_admin.matching_topics(settings)
        ends = _by_key(several, {topic: kafka_admin.end_offsets(topic) for topic in topics})
        starts = _by_key(several, {topic: kafka_admin.start_offsets(topic) for topic in topics})
        committed = _by_key(several, {topic: kafka_admin.committed(name, topic) for topic in topics})
        group = kafka_admin.group(name)
    except CommandError as error:
        return GroupOffsets({}, {}, {}, {}, None, str(error))
    owners = {
        Partition(topic, number).key(several): f"{member.id} on {member.host}"
        for member in group.members
        for topic, number in member.partitions
        if topic in topics
    }
    return GroupOffsets(ends, committed, starts, owners, len(group.members))
