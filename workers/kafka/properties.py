"""Kafka's client as Tower configures it: defaults, the user's properties, and what a promise rests on."""

import re
import socket
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from workers.config.secret import Secret
from workers.config.settings import FIXED_KAFKA, KAFKA_PREFIX, Settings
from workers.errors import SettingsError

#: Unless a setting says otherwise; each comment tells librdkafka's default and why it does not serve.
COMMON: Mapping[str, str | int] = {
    # 10,000 ms: a broker that is back is found within a second.
    "reconnect.backoff.max.ms": 1_000,
    # 300,000 ms: a moved leader is otherwise learnt of by errors alone.
    "topic.metadata.refresh.interval.ms": 30_000,
    # 60,000 ms: a broker that is frozen answers neither fetches nor the question who leads now, so that its
    # partitions would wait for half a minute or more. A slow link must bring one fetch in this time.
    "socket.timeout.ms": 15_000,
    # false: a connection that a firewall dropped silently would be noticed by a time-out only.
    "socket.keepalive.enable": "true",
    # rdkafka: the brokers' logs and quotas should name the program.
    "client.id": "tower",
}
CONSUMER: Mapping[str, str | int] = {
    # 65,536 KiB: a worker would hold that much prefetched through an outage.
    "queued.max.messages.kbytes": 1_024,
    # 1,048,576 bytes: a fetched piece stays in memory until its last message is handed out. Kafka sends a
    # larger record all the same.
    "fetch.message.max.bytes": 262_144,
    # 1,000 ms: with a small queue the fetcher would sleep most of the time at full speed. To look for room
    # every 20 ms would cost 1 ms a second, most of what a worker costs while it waits.
    "fetch.queue.backoff.ms": 50,
    # 500 ms: a partition whose leader has moved is fetched from the new one sooner.
    "fetch.error.backoff.ms": 100,
}
#: For the classic protocol only: KIP-848 refuses it at construction, the broker decides there.
CLASSIC: Mapping[str, str | int] = {
    # 45,000 ms: a worker that is gone for good gives its partitions up sooner; but the group must outlive
    # the move of its coordinator from a killed broker, which takes 9 s to be noticed and a few more.
    "session.timeout.ms": 15_000,
}
PRODUCER: Mapping[str, str | int] = {
    # false: a retried dead letter would otherwise stand twice.
    "enable.idempotence": "true",
    # 300,000 ms: the worker tries again itself, and says so.
    "message.timeout.ms": 30_000,
    # 1,000,000 bytes: a dead letter is a whole record and its headers. The most there is, so that only the
    # topic limits it (by what it takes compressed), and whoever raises that need not restart anything.
    "message.max.bytes": 1_000_000_000,
    # 100,000 messages: a flood of poison must not hold more than one batch and its bytes.
    "queue.buffering.max.messages": 200_000,
    "compression.type": "lz4",
}

#: What concerns the way to the brokers, for every other client than the group's member.
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

#: The name of a property in a sentence of librdkafka.
_PROPERTY = re.compile(r"[a-z]+(?:\.[a-z]+)+")

#: What a person can do about an error; for all others the worker goes on trying.
ADVICE = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: "the topic does not exist; create it, the worker waits",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "this user may not read the topic; allow it, the worker waits",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "this user may not use the group; allow it, the worker waits",
    KafkaError._ALL_BROKERS_DOWN: "no broker answers; check TOWER_KAFKA_BOOTSTRAP_SERVERS and that the "  # noqa: SLF001
    "names the brokers advertise resolve here",
    KafkaError._RESOLVE: "a broker's name does not resolve here; add it to /etc/hosts or DNS",  # noqa: SLF001
    KafkaError._AUTHENTICATION: "check TOWER_KAFKA_SASL_USERNAME and TOWER_KAFKA_SASL_PASSWORD; files are "  # noqa: SLF001
    "read again, the worker goes on trying",
    KafkaError._SSL: "check the dates and names of the brokers' certificates, and "  # noqa: SLF001
    "TOWER_KAFKA_SSL_CA_LOCATION; files are read again, the worker goes on trying",
}

#: Errors that other credentials, or another authority to trust, may end.
CREDENTIAL_ERRORS = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001
)


def _user_properties(settings: Settings) -> dict[str, Any]:
    return {
        key: value.reveal() if isinstance(value, Secret) else value for key, value in settings.kafka.items()
    }


def consumer_properties(settings: Settings) -> dict[str, Any]:
    """Librdkafka properties of the group's member."""
    given = _user_properties(settings)
    classic = str(given.get("group.protocol", "classic")).lower() == "classic"
    made = {**COMMON, **CONSUMER, **(CLASSIC if classic else {}), **given, **FIXED_KAFKA}
    if classic and settings.worker is not None:
        # Static membership: a worker that is killed and started again finds its partition waiting, and no
        # other worker is disturbed. Under KIP-848 a killed static member would be locked out for 45 s.
        host = socket.gethostname()
        made.setdefault("group.instance.id", f"{settings.group}-{host}-{settings.worker}")
    return made


def is_incremental(made: Mapping[str, Any]) -> bool:
    """True where partitions come and go one by one: KIP-848, or the cooperative assignor."""
    if str(made.get("group.protocol", "classic")).lower() == "consumer":
        return True
    return "cooperative" in str(made.get("partition.assignment.strategy", ""))


def client_properties(settings: Settings) -> dict[str, Any]:
    """Librdkafka properties of any other client: the same brokers, by the same way."""
    given = {key: value for key, value in _user_properties(settings).items() if key.startswith(SHARED)}
    return {**COMMON, **given}


def producer_properties(settings: Settings) -> dict[str, Any]:
    """Librdkafka properties of the dead letters' producer."""
    return {**PRODUCER, **client_properties(settings)}


def reader_properties(settings: Settings) -> dict[str, Any]:
    """Librdkafka properties of a consumer that reads where it is told to and is no member of the group."""
    return {
        **CONSUMER,
        **client_properties(settings),
        **FIXED_KAFKA,
        # The end of a range is known by offset, and by this event where the last offset holds no record.
        "enable.partition.eof": "true",
    }


def settings_error(error: KafkaException) -> SettingsError:
    """Librdkafka's complaint about a property, in the name of the option that set it."""
    text = " ".join(str(error.args[0].str()).split())
    # Where it quotes a value as well, the property stands behind this word.
    found = _PROPERTY.search(text.partition("property ")[2]) or _PROPERTY.search(text)
    key = found[0] if found else ""
    return SettingsError(KAFKA_PREFIX + key.upper().replace(".", "_"), f"Kafka's client says: {text}")
