"""Kafka as the operator's commands see it: topics, their ends, the group and its offsets."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    admin,
)

from workers.commands.clients.admin_request import REQUEST_S, failure, finish, settled
from workers.commands.clients.coordinator import find_coordinator
from workers.commands.clients.tcp_probe import Address, addresses, reach
from workers.commands.console import seen
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import client_properties, settings_error

#: The client exports its classes without saying so to a type checker.
kafka: Any = admin

#: Seconds for the first words with a server that takes connections: TLS and SASL fail at once, but the
#: client tries again in silence.
FIRST_S = 5.0


@dataclass(frozen=True)
class Part:
    """One partition: node id of its leader (-1 without), replicas, and those of them in sync."""

    leader: int
    replicas: int
    in_sync: int


@dataclass(frozen=True)
class Member:
    """One member of a group and the partitions it has, as (topic, number)."""

    id: str
    host: str
    partitions: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Group:
    """A consumer group; one that never was has no members."""

    state: str
    members: tuple[Member, ...]


class KafkaAdmin:
    """Asks and changes Kafka for the operator. Every request is bounded.

    Args:
        settings: The way to the brokers.
        verified: False skips looking whether the brokers are reached at the addresses they advertise;
            without it, each request to one that is not would run into its own time-out.

    Raises:
        SettingsError: librdkafka refuses a property.
        CommandError: No broker is reached, at its bootstrap address or at its advertised one.
    """

    def __init__(self, settings: Settings, *, verified: bool = True) -> None:
        servers = addresses(str(settings.kafka["bootstrap.servers"]))
        _reach(servers, "start Kafka, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS")
        quiet = logging.getLogger("tower.kafka.admin")
        # What the client logs by itself is told by the errors of its requests, once.
        quiet.setLevel(logging.CRITICAL)
        self._why = ""
        self._settings = settings
        #: Groups whose coordinator was found.
        self._coordinated: set[str] = set()
        made = client_properties(settings) | {"error_cb": self._on_error}
        try:
            self._admin = kafka.AdminClient(made, logger=quiet)
        except KafkaException as error:
            raise settings_error(error) from None
        if verified:
            do = "`python -m workers check` tells what to do about it"
            _reach(self.brokers().values(), do)

    def brokers(self) -> dict[int, Address]:
        """Where each broker says it is reached: its advertised listener, by node id."""
        found = self._metadata().brokers
        return {number: Address(each.host, each.port) for number, each in sorted(found.items())}

    def partitions(self, topic: str) -> dict[int, Part]:
        """The topic's partitions by number; empty where there is no such topic."""
        found = self._metadata().topics.get(topic)
        if found is None or found.error is not None:
            return {}
        return {
            number: Part(int(each.leader), len(each.replicas), len(each.isrs))
            for number, each in sorted(found.partitions.items())
        }

    def numbers(self, topic: str) -> list[int]:
        """Numbers of the topic's partitions.

        Raises:
            CommandError: There is no such topic.
        """
        found = list(self.partitions(topic))
        if not found:
            raise CommandError(f"there is no topic {topic}", "`python -m workers provision` makes it")
        return found

    def allowed(self, topic: str) -> set[str]:
        """What this user may do with the topic (READ, WRITE, …); everything where nobody checks."""
        (future,) = self._admin.describe_topics(
            TopicCollection([topic]), include_authorized_operations=True, request_timeout=REQUEST_S
        ).values()
        found = finish(future, f"reading the rights on {topic}").authorized_operations
        return {each.name for each in found or []}

    def config(self, topic: str) -> dict[str, str]:
        """The topic's settings, also those it has by default."""
        return self._config(kafka.ResourceType.TOPIC, topic)

    def broker_config(self) -> dict[str, str]:
        """The settings of one broker."""
        return self._config(kafka.ResourceType.BROKER, str(next(iter(self.brokers()))))

    def starts(self, topic: str) -> dict[int, int]:
        """First offset that is still there, by partition."""
        return self._offsets(topic, kafka.OffsetSpec.earliest())

    def ends(self, topic: str) -> dict[int, int]:
        """Offset that the next record will get, by partition."""
        return self._offsets(topic, kafka.OffsetSpec.latest())

    def since(self, topic: str, milliseconds: int) -> dict[int, int]:
        """Offset of the first record of that time or later, -1 where there is none."""
        return self._offsets(topic, kafka.OffsetSpec.for_timestamp(milliseconds))

    def group(self, group: str) -> Group:
        """The group's state and members."""
        self._find_coordinator(group)
        found = settled(
            lambda: self._admin.describe_consumer_groups([group], request_timeout=REQUEST_S)[group],
            f"looking at group {group}",
        )
        members = tuple(
            Member(
                each.group_instance_id or each.member_id,
                str(each.host).lstrip("/"),
                tuple(sorted((part.topic, part.partition) for part in each.assignment.topic_partitions)),
            )
            for each in found.members
        )
        return Group(found.state.name.lower(), members)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Offsets the group has committed, by partition; one without is left out."""
        wanted = [TopicPartition(topic, number) for number in self.numbers(topic)]
        request = ConsumerGroupTopicPartitions(group, wanted)
        self._find_coordinator(group)
        answer = settled(
            lambda: self._admin.list_consumer_group_offsets([request], request_timeout=REQUEST_S)[group],
            f"reading the committed offsets of group {group}",
        )
        return {each.partition: each.offset for each in answer.topic_partitions if each.offset >= 0}

    def move(self, group: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Commit offsets in the name of a group that has no members.

        Raises:
            CommandError: Kafka refuses one; a group with members is refused as a whole.
        """
        wanted = [TopicPartition(topic, number, offset) for number, offset in offsets.items()]
        request = ConsumerGroupTopicPartitions(group, wanted)
        self._find_coordinator(group)
        future = self._admin.alter_consumer_group_offsets([request], request_timeout=REQUEST_S)[group]
        answer = finish(future, f"moving group {group}")
        for each in answer.topic_partitions:
            if each.error is not None:
                raise CommandError(
                    f"moving group {group} on {topic}[{each.partition}]: {each.error.str()}",
                    "stop the pool (`supervisorctl -c supervisor.conf shutdown`) and try again",
                )

    def create(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> bool:
        """Make a topic; False where it is there already, which stays as it is."""
        new = kafka.NewTopic(topic, partitions, replication, config=dict(config))
        (future,) = self._admin.create_topics([new], request_timeout=REQUEST_S).values()
        exists = KafkaError.TOPIC_ALREADY_EXISTS
        return bool(finish(future, f"making the topic {topic}", {exists}) != exists)

    def configure(self, topic: str, config: Mapping[str, str]) -> None:
        """Change some of a topic's settings; the others stay."""
        entries = [
            kafka.ConfigEntry(name, value, incremental_operation=kafka.AlterConfigOpType.SET)
            for name, value in config.items()
        ]
        resource = kafka.ConfigResource(kafka.ResourceType.TOPIC, topic, incremental_configs=entries)
        (future,) = self._admin.incremental_alter_configs([resource], request_timeout=REQUEST_S).values()
        finish(future, f"changing the settings of {topic}")

    def _config(self, kind: Any, name: str) -> dict[str, str]:
        resource = kafka.ConfigResource(kind, name)
        (future,) = self._admin.describe_configs([resource], request_timeout=REQUEST_S).values()
        found = finish(future, f"reading the settings of {name}")
        return {key: entry.value for key, entry in found.items() if entry.value is not None}

    def _find_coordinator(self, group: str) -> None:
        """Have the group's coordinator found, once."""
        if group not in self._coordinated:
            find_coordinator(self._settings, group)
            self._coordinated.add(group)

    def _metadata(self) -> Any:
        try:
            # Of all topics: naming one would have a broker make it where it does so by itself.
            with seen("Kafka's answer", FIRST_S):
                return self._admin.list_topics(timeout=FIRST_S)
        except KafkaException as error:
            # Why a connection failed comes by callbacks, and those by poll.
            self._admin.poll(0)
            raise failure("asking Kafka for its topics", error, self._why) from None

    def _on_error(self, error: KafkaError) -> None:
        # "All brokers are down" follows on each reason and names none.
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._why = error.str()

    def _offsets(self, topic: str, spec: Any) -> dict[int, int]:
        wanted = {TopicPartition(topic, number): spec for number in self.numbers(topic)}
        futures = self._admin.list_offsets(wanted, request_timeout=REQUEST_S)
        return {
            part.partition: int(finish(future, f"reading the offsets of {topic}").offset)
            for part, future in futures.items()
        }


def _reach(wanted: Iterable[Address], do: str) -> None:
    """Return where one of the servers takes a connection.

    Raises:
        CommandError: None does.
    """
    tried = reach(wanted)
    if not tried or all(tried.values()):
        whys = "; ".join(f"{each}: {failure.why}" for each, failure in tried.items() if failure)
        raise CommandError(f"no broker is reached ({whys or 'none is named'})", do)
