"""What Kafka's admin API says about partitions and consumer groups."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PartitionReplicas:
    """One partition: node id of its leader (-1 if none), number of replicas, number of them in sync."""

    leader: int
    replicas: int
    in_sync: int


@dataclass(frozen=True)
class GroupMember:
    """One member of a group and its assigned partitions, as (topic, number)."""

    id: str
    host: str
    partitions: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Group:
    """A consumer group. One that does not exist has no members."""

    state: str
    members: tuple[GroupMember, ...]
