"""The lab's topics and groups as an administrator of Kafka sees them."""

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
    admin,
)

from lab.errors import LabError, SlowError
from lab.system.server_process import wait_until

#: The module exports its classes without saying so to a type checker.
kafka: Any = admin
OFFSETS = "__consumer_offsets"
#: Seconds that one request to Kafka may take.
REQUEST_S = 10.0


class TopicAdmin:
    """Creates, deletes and describes topics, partitions and consumer groups.

    Args:
        bootstrap: `host:port` of the brokers, separated by commas.
        copies: Number of replicas of a new topic.
    """

    def __init__(self, bootstrap: str, copies: int) -> None:
        self._client: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "log_level": 2,
            # Tests that kill brokers wait for the next leader.
            "reconnect.backoff.max.ms": 500,
            "topic.metadata.refresh.interval.ms": 1000,
        }
        self._admin = kafka.AdminClient(self._client, logger=None)
        self.copies = copies

    @property
    def in_sync(self) -> int:
        """Replicas that must have a record before it is acknowledged."""
        return min(2, self.copies)

    def create(
        self,
        name: str,
        partitions: int = 3,
        replication: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        """Create a topic, if it is missing, and wait until every partition has a leader.

        Raises:
            LabError: Kafka rejects it.
            SlowError: A partition has no leader in time.
        """
        copies = replication or self.copies
        settings = {"min.insync.replicas": str(min(2, copies))} | dict(config or {})
        topic = kafka.NewTopic(name, partitions, copies, config=settings)
        _finish(
            self._admin.create_topics([topic], operation_timeout=REQUEST_S)[name],
            f"creating the topic {name}",
            KafkaError.TOPIC_ALREADY_EXISTS,
        )
        self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until every partition of the topic has a leader.

        Raises:
            SlowError: A partition has no leader in time.
        """
        # One broker's answer is not enough, see _partitions.
        if not wait_until(lambda: all(self.ready(name) for _ in range(5)), 30.0):
            raise SlowError(f"topic {name}: not every partition has a leader after 30 s")

    def delete(self, name: str) -> None:
        """Delete a topic, if it exists, and wait until it is gone."""
        _finish(
            self._admin.delete_topics([name], operation_timeout=REQUEST_S)[name],
            f"deleting the topic {name}",
            KafkaError.UNKNOWN_TOPIC_OR_PART,
        )
        if not wait_until(lambda: name not in self.names(), 30.0):
            raise SlowError(f"topic {name} still exists 30 s after it was deleted")

    def names(self) -> set[str]:
        """Return the name of every topic, internal ones too."""
        return set(self._metadata().topics)

    def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions; 0 if the topic does not exist."""
        return len(self._partitions(topic))

    def ready(self, topic: str) -> bool:
        """Whether each partition of the topic has a leader."""
        partitions = self._partitions(topic, tries=1)
        return bool(partitions) and all(partition.leader >= 0 for partition in partitions.values())

    def leader(self, topic: str, partition: int) -> int:
        """Return the node id of the partition's leader; -1 if it has none."""
        metadata = self._partitions(topic).get(partition)
        return -1 if metadata is None else int(metadata.leader)

    def in_sync_replicas(self, topic: str) -> dict[int, list[int]]:
        """Return the node ids of the replicas in sync, by partition."""
        partitions = self._partitions(topic)
        return {number: list(partition.isrs) for number, partition in sorted(partitions.items())}

    def all_in_sync(self, topic: str) -> bool:
        """Whether all replicas of all the topic's partitions are in sync, and each has a leader."""
        partitions = self._partitions(topic)
        return bool(partitions) and all(
            partition.leader >= 0 and set(partition.isrs) == set(partition.replicas)
            for partition in partitions.values()
        )

    def log_starts(self, topic: str) -> dict[int, int]:
        """Return the first offset that still exists, by partition."""
        return self._offsets(topic, kafka.OffsetSpec.earliest())

    def log_ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record, by partition."""
        return self._offsets(topic, kafka.OffsetSpec.latest())

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions, and wait until each has a leader."""
        more = kafka.NewPartitions(topic, partitions)
        future = self._admin.create_partitions([more], operation_timeout=REQUEST_S)[topic]
        _finish(future, f"adding partitions to {topic}")
        if not wait_until(lambda: len(self._partitions(topic)) == partitions and self.ready(topic), 30.0):
            raise SlowError(f"topic {topic} has no leader for each of its partitions after 30 s")

    def delete_records(self, topic: str, ends: Mapping[int, int]) -> None:
        """Delete all records before these offsets, by partition, as retention does."""
        wanted = [TopicPartition(topic, number, end) for number, end in ends.items()]
        for future in self._admin.delete_records(wanted, request_timeout=REQUEST_S).values():
            _finish(future, f"deleting records of {topic}")

    def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """Return the group's committed offset, by partition; None if there is none."""
        partitions = [TopicPartition(topic, number) for number in range(self.partitions(topic))]
        request = ConsumerGroupTopicPartitions(group, partitions)
        answer = _finish(
            self._admin.list_consumer_group_offsets([request], request_timeout=REQUEST_S)[group],
            f"reading the committed offsets of group {group}",
        )
        return {
            partition.partition: partition.offset if partition.offset >= 0 else None
            for partition in answer.topic_partitions
        }

    def members(self, group: str) -> dict[str, list[tuple[str, int]]]:
        """Return the (topic, partition) pairs of each member, by member id."""
        description = self._group(group)
        return {
            member.member_id: sorted(
                (part.topic, part.partition) for part in member.assignment.topic_partitions
            )
            for member in description.members
        }

    def coordinator(self, group: str) -> int:
        """Return the node id of the group's coordinator."""
        return int(self._group(group).coordinator.id)

    def protect_offsets(self, timeout_s: float = 30.0) -> None:
        """Create __consumer_offsets, with the same min.insync.replicas as the other topics.

        Kafka creates it for the first group and does not use the brokers' min.insync.replicas for it.
        """
        # Not with the admin client: describing a group while its coordinator is being created can abort the
        # process (librdkafka's assertion `eonce->refcnt > 0`).
        member = Consumer(self._client | {"group.id": "tower-lab-warm-up"})

        def has_leaders() -> bool:
            try:
                member.committed([TopicPartition(OFFSETS, 0)], timeout=REQUEST_S)
            except KafkaException:
                return False
            return self.ready(OFFSETS)

        try:
            if not wait_until(has_leaders, timeout_s, 0.2):
                raise SlowError(f"{OFFSETS} has no leaders after {timeout_s:.0f} s")
        finally:
            member.close()
        self.configure(OFFSETS, {"min.insync.replicas": str(self.in_sync)})

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Change settings of a topic; the others stay as they are.

        Raises:
            LabError: Kafka rejects them.
        """
        entries = [
            kafka.ConfigEntry(name, value, incremental_operation=kafka.AlterConfigOpType.SET)
            for name, value in settings.items()
        ]
        resource = kafka.ConfigResource(kafka.ResourceType.TOPIC, topic, incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            _finish(future, f"changing settings of {topic}")

    def config(self, topic: str) -> dict[str, str | None]:
        """Return the topic's settings, defaults included."""
        resource = kafka.ConfigResource(kafka.ResourceType.TOPIC, topic)
        (future,) = self._admin.describe_configs([resource]).values()
        entries = _finish(future, f"reading the settings of {topic}")
        return {name: entry.value for name, entry in entries.items()}

    def _group(self, group: str) -> Any:
        future = self._admin.describe_consumer_groups([group], request_timeout=REQUEST_S)[group]
        return _finish(future, f"describing group {group}")

    def _partitions(self, topic: str, tries: int = 5) -> dict[int, Any]:
        """Return the metadata of a topic's partitions; empty if the topic does not exist.

        The broker that answers may not have the metadata of a new topic yet: a topic counts as missing only
        after several answers without it.
        """
        for _ in range(tries):
            metadata = self._metadata(topic).topics.get(topic)
            if metadata is not None and metadata.error is None:
                return dict(metadata.partitions)
            time.sleep(0.05)
        return {}

    def _metadata(self, topic: str | None = None) -> Any:
        try:
            if topic is None:
                return self._admin.list_topics(timeout=REQUEST_S)
            return self._admin.list_topics(topic, timeout=REQUEST_S)
        except KafkaException as error:
            raise LabError(f"asking Kafka for its topics: {_reason(error)}") from error

    def _offsets(self, topic: str, spec: Any) -> dict[int, int]:
        requests = {TopicPartition(topic, number): spec for number in range(self.partitions(topic))}
        if not requests:
            raise LabError(f"there is no topic {topic}")
        # Leaders may be moving: a retry has fresh metadata.
        deadline = time.monotonic() + REQUEST_S
        while True:
            try:
                futures = self._admin.list_offsets(requests, request_timeout=REQUEST_S)
                return {
                    part.partition: int(_finish(future, f"reading the offsets of {topic}").offset)
                    for part, future in futures.items()
                }
            except LabError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)


def _finish(future: Any, doing: str, *harmless: int) -> Any:
    """Return the future's result; None after an error whose code is in `harmless`."""
    try:
        return future.result(timeout=REQUEST_S * 2)
    except KafkaException as error:
        if error.args[0].code() in harmless:
            return None
        raise LabError(f"{doing}: {_reason(error)}") from error
    except TimeoutError as error:
        raise SlowError(f"{doing}: no answer from Kafka; see `python -m lab status`") from error


def _reason(error: KafkaException) -> str:
    cause = error.args[0]
    return str(cause.str()) if isinstance(cause, KafkaError) else str(cause)
