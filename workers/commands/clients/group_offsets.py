"""The consumer group and the offsets of its topic, as Kafka reports them."""

from collections.abc import Mapping
from dataclasses import dataclass

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.config.settings import Settings
from workers.errors import CommandError


@dataclass(frozen=True)
class GroupOffsets:
    """The group and the topic's offsets, by partition; `problem` if Kafka does not answer."""

    ends: Mapping[int, int]
    committed: Mapping[int, int]
    starts: Mapping[int, int]
    owners: Mapping[int, str]
    members: int | None
    problem: str = ""


def read_offsets(settings: Settings) -> GroupOffsets:
    """Read the group and the topic's offsets. If Kafka does not answer, that is a problem and no error."""
    try:
        kafka_admin = KafkaAdmin(settings)
        topic, name = settings.topic, settings.group
        ends, starts = kafka_admin.end_offsets(topic), kafka_admin.start_offsets(topic)
        committed = kafka_admin.committed(name, topic)
        group = kafka_admin.group(name)
    except CommandError as error:
        return GroupOffsets({}, {}, {}, {}, None, str(error))
    owners = {
        number: f"{member.id} on {member.host}"
        for member in group.members
        for assigned_topic, number in member.partitions
        if assigned_topic == topic
    }
    return GroupOffsets(ends, committed, starts, owners, len(group.members))
