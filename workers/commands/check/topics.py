"""Checks of the topics: are they there, safe, and of the right size."""

from collections.abc import Iterator, Mapping

from workers.commands.check.result import Finding, fail, ok, warn
from workers.commands.clients.kafka_admin import KafkaAdmin, PartitionReplicas
from workers.commands.console import age
from workers.commands.dlq.dead_letter import OVERHEAD_BYTES
from workers.config.settings import Settings


def topic(kafka_admin: KafkaAdmin, settings: Settings, workers: int) -> Iterator[Finding]:
    """The topic the records come from."""
    name = settings.topic
    parts = kafka_admin.partitions(name)
    if not parts:
        yield fail(
            "topic",
            f"there is no topic {name}",
            "`python -m workers provision` makes it; or correct TOWER_TOPIC",
        )
        return
    yield from availability(name, parts, kafka_admin.config(name))
    yield from numbers(settings, list(parts), workers)
    allowed = kafka_admin.allowed_operations(name)
    if "READ" not in allowed:
        yield fail("topic", f"this user may not read {name}", "allow it READ on the topic")


def availability(
    name: str, parts: Mapping[int, PartitionReplicas], config: Mapping[str, str]
) -> Iterator[Finding]:
    """Leaders, copies, and how many of them a producer waits for."""
    headless = [str(number) for number, part in parts.items() if part.leader < 0]
    if headless:
        yield fail(
            f"topic {name}",
            f"without a leader: partition {', '.join(headless)}",
            "start the brokers that hold it; its records wait in Kafka",
        )
    copies = min(part.replicas for part in parts.values())
    in_sync = int(config.get("min.insync.replicas", "1"))
    text = f"{len(parts)} partitions, replication factor {copies}, min.insync.replicas {in_sync}"
    behind = [str(number) for number, part in parts.items() if part.in_sync < part.replicas]
    if any(part.in_sync < in_sync for part in parts.values()):
        yield fail(
            f"topic {name}",
            f"{text}; fewer copies in sync than that, so producers are refused",
            "start the brokers that hold the missing copies",
        )
    elif behind and not headless:
        yield warn(
            f"topic {name}",
            f"{text}; copies lag in partition {', '.join(behind)}",
            "start the missing brokers",
        )
    elif copies >= 3 and in_sync < 2:
        yield warn(
            f"topic {name}",
            f"{text}: one broker's disk holds the only sure copy of a new record",
            f"set min.insync.replicas to 2: `python -m workers provision` does it for {name}",
        )
    elif not headless:
        alone = " (one broker: its disk is the only copy)" if copies == 1 else ""
        yield ok(f"topic {name}", text + alone)


def numbers(settings: Settings, parts: list[int], workers: int) -> Iterator[Finding]:
    """Workers and identity against the number of partitions."""
    count = len(parts)
    if workers > count:
        yield warn(
            "workers",
            f"TOWER_WORKERS is {workers} for {count} partitions: {workers - count} stay idle",
            f"set TOWER_WORKERS={count}; or keep them as stand-by",
        )
    elif workers < count:
        yield warn(
            "workers",
            f"TOWER_WORKERS is {workers} for {count} partitions: some worker has several",
            f"set TOWER_WORKERS={count} for one each, unless more run on other machines",
        )
    else:
        yield ok("workers", f"TOWER_WORKERS is {workers}, one for each partition")
    room, highest = settings.identity_partitions, max(parts)
    if room > highest:
        yield ok("identity", f"TOWER_IDENTITY_PARTITIONS is {room}, above the highest partition, {highest}")
    else:
        yield fail(
            "identity",
            f"TOWER_IDENTITY_PARTITIONS is {room} and there is a partition {highest}: points of two "
            "partitions could overwrite each other, so the worker that gets it stops",
            f"set it to {highest + 1} or more before the first record of that partition is stored",
        )


def dead_letters(kafka_admin: KafkaAdmin, settings: Settings) -> Iterator[Finding]:
    """The topic that keeps what cannot be stored."""
    name = settings.dead_letter_topic
    check = f"topic {name}"
    parts = kafka_admin.partitions(name)
    if not parts:
        yield fail(
            check,
            "does not exist: the first bad record would make its partition wait",
            "`python -m workers provision` makes it",
        )
        return
    config = kafka_admin.config(name)
    largest = int(config.get("max.message.bytes", "0"))
    needed = int(kafka_admin.config(settings.topic).get("max.message.bytes", "0")) + OVERHEAD_BYTES
    kept_ms = int(config.get("retention.ms", "-1"))
    kept = "for ever" if kept_ms < 0 else f"for {age(kept_ms / 1000)}"
    text = f"takes {largest:,} bytes, kept {kept}"
    if "compact" in config.get("cleanup.policy", ""):
        yield fail(
            check,
            "its cleanup.policy is compact: Kafka refuses dead letters, which have no key",
            "set cleanup.policy=delete; `python -m workers provision` does it",
        )
    elif largest < needed:
        yield warn(
            check,
            f"{text}, and a record of {settings.topic} may be larger than that leaves room for: its "
            "partition would wait",
            f"set max.message.bytes to {needed:,} or more; `python -m workers provision` does it",
        )
    else:
        yield ok(check, text)
    if "WRITE" not in kafka_admin.allowed_operations(name):
        yield fail(check, "this user may not write to it", "allow it WRITE on the topic")
