"""Checks of the topics: do they exist, are they replicated, are their limits large enough."""

from collections.abc import Collection, Iterator, Mapping

from workers.commands.check.result import CheckResult, fail, ok, warn
from workers.commands.clients.descriptions import PartitionReplicas
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.console import age
from workers.commands.dlq.dead_letter import OVERHEAD_BYTES
from workers.config.settings import Settings
from workers.records.point_time import PARTITIONS


def topic(kafka_admin: KafkaAdmin, settings: Settings, workers: int) -> Iterator[CheckResult]:
    """Check the record topic."""
    name = settings.topic
    parts = kafka_admin.partitions(name)
    if not parts:
        yield fail(
            "topic",
            f"there is no topic {name}",
            "create it with `tower provision`, or correct TOWER_TOPIC",
        )
        return
    yield from availability(name, parts, kafka_admin.config(name))
    yield from numbers(settings, list(parts), workers)
    allowed = kafka_admin.allowed_operations(name)
    if "READ" not in allowed:
        yield fail("topic", f"this user may not read {name}", f"give it the right READ on topic {name}")


def availability(
    name: str, parts: Mapping[int, PartitionReplicas], config: Mapping[str, str]
) -> Iterator[CheckResult]:
    """Check leaders, copies, and the number of copies that a producer waits for."""
    leaderless = [str(number) for number, part in parts.items() if part.leader < 0]
    if leaderless:
        yield fail(
            f"topic {name}",
            f"without a leader: partition {', '.join(leaderless)}",
            "start the brokers that hold it; its records stay in Kafka until then",
        )
    copies = min(part.replicas for part in parts.values())
    in_sync = int(config.get("min.insync.replicas", "1"))
    text = f"{len(parts)} partitions, replication factor {copies}, min.insync.replicas {in_sync}"
    behind = [str(number) for number, part in parts.items() if part.in_sync < part.replicas]
    if any(part.in_sync < in_sync for part in parts.values()):
        yield fail(
            f"topic {name}",
            f"{text}; fewer copies are in sync than that, so Kafka rejects new records",
            "start the brokers that hold the missing copies",
        )
    elif behind and not leaderless:
        yield warn(
            f"topic {name}",
            f"{text}; copies lag in partition {', '.join(behind)}",
            "start the missing brokers",
        )
    elif copies >= 3 and in_sync < 2:
        yield warn(
            f"topic {name}",
            f"{text}: only one broker is sure to have a new record",
            "set min.insync.replicas to 2; `tower provision` does it",
        )
    elif not leaderless:
        alone = " (there is no second copy)" if copies == 1 else ""
        yield ok(f"topic {name}", text + alone)


def numbers(settings: Settings, parts: list[int], workers: int) -> Iterator[CheckResult]:
    """Check TOWER_WORKERS and TOWER_IDENTITY against the number of partitions."""
    count = len(parts)
    if workers > count:
        yield warn(
            "workers",
            f"TOWER_WORKERS is {workers} for {count} partitions: {workers - count} stay idle",
            f"set TOWER_WORKERS={count}, or keep them as standby",
        )
    elif workers < count:
        yield warn(
            "workers",
            f"TOWER_WORKERS is {workers} for {count} partitions: a worker has several of them",
            f"set TOWER_WORKERS={count} for one partition each, unless more workers run on other machines",
        )
    else:
        yield ok("workers", f"TOWER_WORKERS is {workers}, one for each partition")
    highest = max(parts)
    if highest >= PARTITIONS and any(route.identity != "record" for route in settings.routes):
        yield fail(
            "identity",
            f"there is a partition {highest}, and Tower has room for {PARTITIONS:,}: records of the others "
            "become dead letters",
            "set TOWER_IDENTITY=record if the records have nanoseconds of their own (docs/records.md)",
        )


def dead_letters(
    kafka_admin: KafkaAdmin, settings: Settings, topics: Collection[str]
) -> Iterator[CheckResult]:
    """Check the dead-letter topic, which must accept what the record topics accept."""
    name = settings.dead_letter_topic
    check = f"topic {name}"
    parts = kafka_admin.partitions(name)
    if not parts:
        yield fail(
            check,
            "does not exist: the first bad record would block its partition",
            "create it with `tower provision`",
        )
        return
    config = kafka_admin.config(name)
    largest = int(config.get("max.message.bytes", "0"))
    accepted = {name: int(kafka_admin.config(name).get("max.message.bytes", "0")) for name in topics}
    widest = max(topics, key=accepted.__getitem__)
    needed = accepted[widest] + OVERHEAD_BYTES
    kept_ms = int(config.get("retention.ms", "-1"))
    retention = "for ever" if kept_ms < 0 else f"for {age(kept_ms / 1000)}"
    text = f"accepts {largest:,} bytes, keeps them {retention}"
    if "compact" in config.get("cleanup.policy", ""):
        yield fail(
            check,
            "its cleanup.policy is compact: Kafka rejects dead letters, because they have no key",
            "set cleanup.policy=delete; `tower provision` does it",
        )
    elif largest < needed:
        yield warn(
            check,
            f"{text}, but {widest} accepts larger records: a bad one would block its partition",
            f"set max.message.bytes to {needed:,} or more; `tower provision` does it",
        )
    else:
        yield ok(check, text)
    if "WRITE" not in kafka_admin.allowed_operations(name):
        yield fail(check, "this user may not write to it", f"give it the right WRITE on topic {name}")
