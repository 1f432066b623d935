"""Kafka's admin API for the operator's commands: topics, offsets, the consumer group."""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    admin,
)

from workers.commands.clients.admin_request import (
    REQUEST_S,
    ask_about_new_topic,
    ask_coordinator,
    failure,
    finish,
    in_background,
)
from workers.commands.clients.coordinator import find_coordinator
from workers.commands.clients.descriptions import Group, GroupMember, PartitionReplicas
from workers.commands.clients.tcp_probe import BrokerAddress, addresses, require_reachable
from workers.commands.console import show_wait
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import client_properties, creation_error
from workers.kafka.rights import missing_right

#: The library exports these classes, but not to a type checker.
kafka: Any = admin

#: Seconds for the first answer of a broker that accepts connections. TLS and SASL fail at once, but the
#: client retries silently.
FIRST_ANSWER_S = 3.0

#: Seconds between two looks at whether a broker has answered.
POLL_S = 0.05


class KafkaAdmin:
    """Client of one Kafka cluster. Every request has a time-out.

    Args:
        settings: How to reach the brokers.
        verified: Whether to test first that a broker can be reached at its advertised address. Without
            this test, each request to an unreachable broker costs a time-out.

    Raises:
        SettingsError: librdkafka rejects a property.
        CommandError: No broker can be reached at its bootstrap address, or none at its advertised address.
    """

    def __init__(self, settings: Settings, *, verified: bool = True) -> None:
        servers = addresses(str(settings.kafka["bootstrap.servers"]))
        require_reachable(servers, "start Kafka, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS")
        quiet = logging.getLogger("tower.kafka.admin")
        # The errors of the requests report what the client would log.
        quiet.setLevel(logging.CRITICAL)
        self._why = ""
        self._settings = settings
        #: Groups whose coordinator is known.
        self._coordinated: set[str] = set()
        #: Topics that this client has created.
        self._created: set[str] = set()
        properties = client_properties(settings) | {"error_cb": self._on_error}
        try:
            self._admin = kafka.AdminClient(properties, logger=quiet)
        except KafkaException as error:
            raise creation_error(error) from None
        if verified:
            do = "`tower check` shows what to do"
            require_reachable(self.brokers().values(), do)

    def wait_for_broker(self, is_lasting: Callable[[str], bool]) -> None:
        """Wait until a broker answers.

        Args:
            is_lasting: Whether a failed connection's reason, in the client's words, will not go away. The
                client itself tries again until the time is up.

        Raises:
            CommandError: None answers; with the client's reason, if it has one.
        """
        answer, why = in_background(self._list_topics), ""
        with show_wait("Kafka's answer", FIRST_ANSWER_S):
            while not answer.done():
                self._admin.poll(POLL_S)
                if self._why != why:
                    why = self._why
                    if is_lasting(why):
                        raise CommandError(f"no broker answers: {why}")
        answer.result()

    def brokers(self) -> dict[int, BrokerAddress]:
        """Return each broker's advertised address, by node id."""
        brokers = self._metadata().brokers
        return {node: BrokerAddress(broker.host, broker.port) for node, broker in sorted(brokers.items())}

    def partitions(self, topic: str) -> dict[int, PartitionReplicas]:
        """Return the topic's partitions by number; empty if there is no such topic.

        Raises:
            CommandError: This user may not see the topic.
        """
        metadata = self._metadata().topics.get(topic)
        if metadata is None or metadata.error is not None:
            # Kafka leaves a topic out of the list if this user may not see it.
            self._describe(topic, harmless={KafkaError.UNKNOWN_TOPIC_OR_PART})
            return {}
        return {
            number: PartitionReplicas(int(partition.leader), len(partition.replicas), len(partition.isrs))
            for number, partition in sorted(metadata.partitions.items())
        }

    def matching_topics(self, settings: Settings) -> list[str]:
        """Return the topics of all routes: those with a name, and those that exist and match a pattern."""
        names = [topic for topic in settings.topics if not topic.startswith("^")]
        if len(names) == len(settings.topics):
            return names
        found = {
            topic
            for topic in self._metadata().topics
            if any(route.matches(topic) for route in settings.routes)
        }
        return sorted(found.union(names))

    def partition_numbers(self, topic: str) -> list[int]:
        """Return the numbers of the topic's partitions.

        Raises:
            CommandError: There is no such topic.
        """
        numbers = list(self.partitions(topic))
        if not numbers:
            raise CommandError(f"there is no topic {topic}", "`tower provision` creates it")
        return numbers

    def allowed_operations(self, topic: str) -> set[str]:
        """Return what this user may do with the topic (READ, WRITE, …); everything if Kafka has no ACLs."""
        return {operation.name for operation in self._describe(topic).authorized_operations or []}

    def config(self, topic: str) -> dict[str, str]:
        """Return the topic's settings, including defaults."""
        return self._config(kafka.ResourceType.TOPIC, topic)

    def broker_config(self) -> dict[str, str]:
        """Return the settings of one broker."""
        return self._config(kafka.ResourceType.BROKER, str(next(iter(self.brokers()))))

    def start_offsets(self, topic: str) -> dict[int, int]:
        """Return the first offset that Kafka still has, by partition."""
        return self._offsets(topic, kafka.OffsetSpec.earliest())

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the offset that the next message will get, by partition."""
        return self._offsets(topic, kafka.OffsetSpec.latest())

    def offsets_since(self, topic: str, milliseconds: int) -> dict[int, int]:
        """Return the offset of the first message of that time or later, -1 if there is none."""
        return self._offsets(topic, kafka.OffsetSpec.for_timestamp(milliseconds))

    def group(self, group: str) -> Group:
        """Return the group's state and members."""
        self._find_coordinator(group)
        description = ask_coordinator(
            lambda: self._admin.describe_consumer_groups([group], request_timeout=REQUEST_S)[group],
            f"cannot describe group {group}",
            f"DESCRIBE on group {group}",
        )
        members = tuple(
            GroupMember(
                member.group_instance_id or member.member_id,
                str(member.host).lstrip("/"),
                tuple(
                    sorted(
                        (assigned.topic, assigned.partition)
                        for assigned in member.assignment.topic_partitions
                    )
                ),
            )
            for member in description.members
        )
        return Group(description.state.name.lower(), members)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the group's committed offsets, by partition; omits partitions without one."""
        wanted = [TopicPartition(topic, number) for number in self.partition_numbers(topic)]
        request = ConsumerGroupTopicPartitions(group, wanted)
        self._find_coordinator(group)
        answer = ask_coordinator(
            lambda: self._admin.list_consumer_group_offsets([request], request_timeout=REQUEST_S)[group],
            f"cannot read the committed offsets of group {group}",
            f"DESCRIBE on group {group}",
        )
        return {part.partition: part.offset for part in answer.topic_partitions if part.offset >= 0}

    def reset_offsets(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit offsets for a group that has no members.

        Raises:
            CommandError: Kafka rejects an offset, or the group has members.
        """
        wanted = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        request = ConsumerGroupTopicPartitions(group, wanted)
        self._find_coordinator(group)
        future = self._admin.alter_consumer_group_offsets([request], request_timeout=REQUEST_S)[group]
        rights = f"READ on topic {topic}", f"READ on group {group}"
        answer = finish(future, f"cannot reset the offsets of group {group}", *rights)
        for partition in answer.topic_partitions:
            if partition.error is not None:
                raise CommandError(
                    f"cannot reset the offset of group {group} on {topic}[{partition.partition}]: "
                    f"{partition.error.str()}",
                    missing_right(partition.error, *rights) or "stop the pool (`tower down`) and try again",
                )

    def delete_records(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Delete a topic's messages before an offset, by partition. Kafka cannot undo it."""
        wanted = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        for future in self._admin.delete_records(wanted, request_timeout=REQUEST_S).values():
            finish(future, f"cannot delete messages of {topic}", f"DELETE on topic {topic}")

    def create(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> bool:
        """Create a topic; False if it exists already, which changes nothing."""
        new = kafka.NewTopic(topic, partitions, replication, config=dict(config))
        (future,) = self._admin.create_topics([new], request_timeout=REQUEST_S).values()
        exists = KafkaError.TOPIC_ALREADY_EXISTS
        doing, right = f"cannot create the topic {topic}", f"CREATE on topic {topic}"
        if finish(future, doing, right, harmless={exists}) == exists:
            return False
        self._created.add(topic)
        return True

    def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Change some of a topic's settings; the others stay as they are."""
        entries = [
            kafka.ConfigEntry(name, value, incremental_operation=kafka.AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = kafka.ConfigResource(kafka.ResourceType.TOPIC, topic, incremental_configs=entries)
        (future,) = self._admin.incremental_alter_configs([resource], request_timeout=REQUEST_S).values()
        finish(future, f"cannot change the settings of {topic}", f"ALTER_CONFIGS on topic {topic}")

    def _config(self, kind: Any, name: str) -> dict[str, str]:
        resource = kafka.ConfigResource(kind, name)

        def ask() -> Any:
            (future,) = self._admin.describe_configs([resource], request_timeout=REQUEST_S).values()
            return future

        doing = f"cannot read the settings of {kind.name.lower()} {name}"
        rights = f"DESCRIBE_CONFIGS on topic {name}", "DESCRIBE_CONFIGS on the cluster"
        is_new = name in self._created
        entries = ask_about_new_topic(ask, doing, *rights) if is_new else finish(ask(), doing, *rights)
        return {key: entry.value for key, entry in entries.items() if entry.value is not None}

    def _find_coordinator(self, group: str) -> None:
        """Find the group's coordinator, once."""
        if group not in self._coordinated:
            find_coordinator(self._settings, group)
            self._coordinated.add(group)

    def _metadata(self) -> Any:
        with show_wait("Kafka's answer", FIRST_ANSWER_S):
            return self._list_topics()

    def _list_topics(self) -> Any:
        try:
            # Of all topics: asking for one by name could make a broker create it.
            return self._admin.list_topics(timeout=FIRST_ANSWER_S)
        except KafkaException as error:
            # The reason of a failed connection comes by callback, and callbacks run in poll.
            self._admin.poll(0)
            raise failure("cannot read the list of topics", error, why=self._why) from None

    def _describe(self, topic: str, harmless: Collection[int] = ()) -> Any:
        """Describe a topic with what this user may do; `harmless` as for `finish`."""
        (future,) = self._admin.describe_topics(
            TopicCollection([topic]), include_authorized_operations=True, request_timeout=REQUEST_S
        ).values()
        right = f"DESCRIBE on topic {topic}"
        return finish(future, f"cannot look at the topic {topic}", right, harmless=harmless)

    def _on_error(self, error: KafkaError) -> None:
        # "All brokers are down" follows each reason and names none.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._why = error.str()

    def _offsets(self, topic: str, spec: Any) -> dict[int, int]:
        wanted = {TopicPartition(topic, number): spec for number in self.partition_numbers(topic)}
        futures = self._admin.list_offsets(wanted, request_timeout=REQUEST_S)
        doing, right = f"cannot read the offsets of {topic}", f"DESCRIBE on topic {topic}"
        return {
            part.partition: int(finish(future, doing, right).offset) for part, future in futures.items()
        }
