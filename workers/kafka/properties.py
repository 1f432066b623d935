"""Properties of Kafka's clients: Tower's defaults, the user's properties, and the fixed ones."""

import re
import socket
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from workers.config.kafka_properties import FIXED_KAFKA, KAFKA_PREFIX
from workers.config.secret import Secret
from workers.config.settings import Settings
from workers.errors import LacksResources, SettingsError
from workers.kafka.rights import missing_right

#: Defaults that a setting can change. Each comment gives librdkafka's default and why Tower differs.
COMMON: Mapping[str, str | int] = {
    # 10,000 ms: a restarted broker is found within a second.
    "reconnect.backoff.max.ms": 1_000,
    # 300,000 ms: without this a new leader is found only after an error.
    "topic.metadata.refresh.interval.ms": 30_000,
    # 60,000 ms: a frozen broker answers neither fetches nor metadata requests, so its partitions would wait
    # for half a minute or more. A slow link must transfer one fetch in this time.
    "socket.timeout.ms": 15_000,
    # false: a connection that a firewall drops silently would be noticed only by a time-out.
    "socket.keepalive.enable": "true",
    # rdkafka: the brokers' logs and quotas show the program's name.
    "client.id": "tower",
}
CONSUMER: Mapping[str, str | int] = {
    # 65,536 KiB: a worker would keep that much in memory during an outage.
    "queued.max.messages.kbytes": 1_024,
    # 1,048,576 bytes: a fetch stays in memory until its last message is consumed. Kafka sends a larger
    # record nevertheless.
    "fetch.message.max.bytes": 262_144,
    # 1,000 ms: with a small queue the fetcher would sleep most of the time at full speed. Polling every
    # 20 ms would cost 1 ms a second, most of what an idle worker costs.
    "fetch.queue.backoff.ms": 50,
    # 500 ms: after a change of leader, fetching continues sooner.
    "fetch.error.backoff.ms": 100,
}
#: For the classic protocol only. A client of KIP-848 rejects it, because the broker decides.
CLASSIC: Mapping[str, str | int] = {
    # 45,000 ms: the partitions of a dead worker are reassigned sooner. But the session must outlast the
    # move of the group coordinator from a killed broker: 9 s until it is noticed, and a few seconds more.
    "session.timeout.ms": 15_000,
}
PRODUCER: Mapping[str, str | int] = {
    # false: a retried dead letter could otherwise be stored twice.
    "enable.idempotence": "true",
    # 300,000 ms: the worker retries itself, and logs it.
    "message.timeout.ms": 30_000,
    # 1,000,000 bytes: a dead letter is a whole record with headers. The largest possible value, so that
    # only the topic sets a limit (on the compressed size), and raising that needs no restart.
    "message.max.bytes": 1_000_000_000,
    # 100,000 messages: must hold all records of one batch.
    "queue.buffering.max.messages": 200_000,
    "compression.type": "lz4",
}

#: Prefixes of properties about the connection to the brokers, which all clients share.
SHARED = (
    "bootstrap.servers",
    "security.",
    "ssl.",
    "enable.ssl.",
    "enable.sasl.",
    "https.",
    "sasl.",
    "socket.",
    "broker.",
    "client.",
    "reconnect.",
)

#: The name of a property in an error text of librdkafka.
_PROPERTY = re.compile(r"[a-z]+(?:\.[a-z]+)+")
_UNKNOWN = re.compile(r'No such configuration property: "([^"]*)"')

#: What happens after an error that `ADVICE` does not list.
RETRYING = "The worker retries. If this repeats, check the brokers and their logs"

#: What an operator can do about an error.
ADVICE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "Topic {topic} does not exist. Create it; the worker waits for it",
    KafkaError._ALL_BROKERS_DOWN: "No broker answers. Check TOWER_KAFKA_BOOTSTRAP_SERVERS, and that this "  # noqa: SLF001
    "machine resolves the names that the brokers advertise",
    KafkaError._RESOLVE: "A broker's name does not resolve. Add it to /etc/hosts or DNS",  # noqa: SLF001
    KafkaError._AUTHENTICATION: "Check TOWER_KAFKA_SASL_USERNAME and TOWER_KAFKA_SASL_PASSWORD. The "  # noqa: SLF001
    "worker retries and reads changed files again",
    KafkaError._SSL: "Check the dates and names of the brokers' certificates, and "  # noqa: SLF001
    "TOWER_KAFKA_SSL_CA_LOCATION. The worker retries and reads changed files again",
}

#: Errors that new credentials, or another trusted authority, may end.
CREDENTIAL_ERRORS = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001
)


def advice(error: KafkaError, topic: str, *rights: str) -> str:
    """Return what an operator can do about an error.

    Args:
        error: An error that a client reports.
        topic: The topic that the client uses.
        rights: The rights that the client needs, as `missing_right` takes them.
    """
    do = missing_right(error, *rights)
    if do:
        return f"{do[0].upper()}{do[1:]}; the worker retries"
    return ADVICE.get(error.code(), RETRYING).format(topic=topic)


def _user_properties(settings: Settings) -> dict[str, Any]:
    return {
        key: value.reveal() if isinstance(value, Secret) else value for key, value in settings.kafka.items()
    }


def consumer_properties(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties of the group's member."""
    user_properties = _user_properties(settings)
    classic = str(user_properties.get("group.protocol", "classic")).lower() == "classic"
    properties = {
        **COMMON,
        **CONSUMER,
        **(CLASSIC if classic else {}),
        **user_properties,
        **FIXED_KAFKA,
        # The end of a partition is reported: reading stands there, also behind offsets without a record.
        "enable.partition.eof": "true",
    }
    if classic and settings.worker is not None:
        # Static membership: a killed worker gets its partition back when it restarts, without a rebalance.
        # Not with KIP-848, where a killed static member would be locked out for 45 s.
        host = socket.gethostname()
        properties.setdefault("group.instance.id", f"{settings.group}-{host}-{settings.worker}")
    return properties


def is_incremental(properties: Mapping[str, Any]) -> bool:
    """Return whether partitions are assigned one by one: with KIP-848 or the cooperative assignor."""
    if str(properties.get("group.protocol", "classic")).lower() == "consumer":
        return True
    return "cooperative" in str(properties.get("partition.assignment.strategy", ""))


def client_properties(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties of any other client: the same connection to the same brokers."""
    user_properties = _user_properties(settings)
    return dict(COMMON) | {key: value for key, value in user_properties.items() if key.startswith(SHARED)}


def producer_properties(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties of the dead letters' producer."""
    return {**PRODUCER, **client_properties(settings)}


def reader_properties(settings: Settings) -> dict[str, Any]:
    """Return librdkafka's properties of a consumer that reads given offsets outside the group."""
    return {
        **CONSUMER,
        **client_properties(settings),
        **FIXED_KAFKA,
        # A range ends at its last offset, or at this event if that offset holds no record.
        "enable.partition.eof": "true",
    }


def creation_error(error: KafkaException) -> SettingsError | LacksResources:
    """Return why a client cannot be created: a setting, unless the machine lacks threads or memory.

    That passes. A worker that ended because of a setting would not be started again.

    Args:
        error: What librdkafka says. If it rejects a property, the result names its setting.
    """
    text = " ".join(str(error.args[0].str()).split())
    if error.args[0].code() == KafkaError._CRIT_SYS_RESOURCE:  # noqa: SLF001
        return LacksResources(text)
    # If the text quotes a value as well, the property follows this word. An unknown one may have no dot.
    match = (
        _UNKNOWN.search(text) or _PROPERTY.search(text.partition("property ")[2]) or _PROPERTY.search(text)
    )
    key = match[match.lastindex or 0] if match else ""
    return SettingsError(KAFKA_PREFIX + key.upper().replace(".", "_"), f"Kafka's client rejects it: {text}")
