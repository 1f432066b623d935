"""Checks of the way to Kafka: brokers, topics, group."""

from collections.abc import Callable, Iterator, Mapping

from workers.commands.cluster import Cluster, Part
from workers.commands.finding import Finding, fail, ok, warn
from workers.commands.reach import Address, Unreachable, addresses, reach
from workers.commands.show import age
from workers.errors import CommandError
from workers.settings import Settings

#: Bytes of a dead letter besides its record: headers, and what Kafka puts around both.
LETTER_BYTES = 2_048

Reach = Callable[[list[Address]], Mapping[Address, Unreachable | None]]


def bootstrap(settings: Settings, reach_: Reach = reach) -> Finding:
    """Whether one of the servers the workers are told of takes a connection."""
    tried = reach_(addresses(str(settings.kafka["bootstrap.servers"])))
    missed = {each: failure for each, failure in tried.items() if failure}
    names = "; ".join(f"{each}: {failure.why}" for each, failure in missed.items())
    if not tried or len(missed) == len(tried):
        return fail(
            "kafka brokers",
            f"none is reached ({names})",
            "start Kafka, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS",
        )
    if missed:
        return warn(
            "kafka brokers",
            f"{len(tried) - len(missed)} of {len(tried)} are reached ({names})",
            "start the others, or take them out of TOWER_KAFKA_BOOTSTRAP_SERVERS",
        )
    return ok("kafka brokers", f"reached: {', '.join(map(str, tried))}")


def listeners(
    settings: Settings, brokers: Mapping[int, Address], reach_: Reach = reach
) -> Iterator[Finding]:
    """Whether the addresses that the brokers give to their clients work from here."""
    tried = reach_(list(brokers.values()))
    wrong = {number: each for number, each in brokers.items() if tried.get(each)}
    if not wrong:
        told = ", ".join(f"{number} at {each}" for number, each in brokers.items())
        yield ok("advertised listeners", f"reached: {told}")
    given = {each.host for each in addresses(str(settings.kafka["bootstrap.servers"]))}
    for number, each in wrong.items():
        failure = tried[each]
        assert failure is not None  # noqa: S101 - what `wrong` holds
        if failure.resolved:
            yield fail(
                "advertised listeners",
                f"broker {number} says it is reached at {each}, which fails: {failure.why}",
                "start it, open that port, or correct its advertised.listeners",
            )
            continue
        host = next(iter(given)) if len(given) == 1 else "<address of that broker>"
        yield fail(
            "advertised listeners",
            f"broker {number} says it is reached at {each}, but {each.host} does not resolve here: "
            f"{failure.why}",
            f"add a line with the address of {host} and the name {each.host} to /etc/hosts, or correct the "
            "broker's advertised.listeners",
        )


def topic(cluster: Cluster, settings: Settings, workers: int) -> Iterator[Finding]:
    """The topic the records come from."""
    name = settings.topic
    parts = cluster.partitions(name)
    if not parts:
        yield fail(
            "topic",
            f"there is no topic {name}",
            "`python -m workers provision` makes it; or correct TOWER_TOPIC",
        )
        return
    yield from availability(name, parts, cluster.config(name))
    yield from numbers(settings, list(parts), workers)
    allowed = cluster.allowed(name)
    if "READ" not in allowed:
        yield fail("topic", f"this user may not read {name}", "allow it READ on the topic")


def availability(name: str, parts: Mapping[int, Part], config: Mapping[str, str]) -> Iterator[Finding]:
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


def dead_letters(cluster: Cluster, settings: Settings) -> Iterator[Finding]:
    """The topic that keeps what cannot be stored."""
    name = settings.dead_letter_topic
    check = f"topic {name}"
    parts = cluster.partitions(name)
    if not parts:
        yield fail(
            check,
            "does not exist: the first bad record would make its partition wait",
            "`python -m workers provision` makes it",
        )
        return
    config = cluster.config(name)
    largest = int(config.get("max.message.bytes", "0"))
    needed = int(cluster.config(settings.topic).get("max.message.bytes", "0")) + LETTER_BYTES
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
    if "WRITE" not in cluster.allowed(name):
        yield fail(check, "this user may not write to it", "allow it WRITE on the topic")


def group(cluster: Cluster, settings: Settings, alive: list[int]) -> Finding:
    """The consumer group and where it stands."""
    name, check = settings.group, "consumer group"
    found = cluster.group(name)
    foreign = sorted({topic for each in found.members for topic, _ in each.partitions} - {settings.topic})
    if foreign:
        return warn(
            check,
            f"members of {name} also read {', '.join(foreign)}",
            "give that program a group of its own, or TOWER_KAFKA_GROUP_ID another name",
        )
    starts, committed = cluster.starts(settings.topic), cluster.committed(name, settings.topic)
    gone = [number for number, offset in committed.items() if offset < starts.get(number, 0)]
    if gone:
        which = ", ".join(map(str, gone))
        return fail(
            check,
            f"{name} stands before the first record that Kafka still has, in partition {which}",
            "stop the pool and choose where to go on: `python -m workers replay --from earliest "
            f"--partition {gone[0]}`",
        )
    ends = cluster.ends(settings.topic)
    lag = sum(end - committed.get(number, starts.get(number, 0)) for number, end in ends.items())
    members = f"{len(found.members)} members" if found.members else "no members, the pool is not running"
    if alive and not found.members:
        return warn(
            check,
            f"{name} has no members, but worker {', '.join(map(str, alive))} runs here",
            "see its log in TOWER_RUN_DIR; it may have another group or other brokers than this command",
        )
    return ok(check, f"{name}: {members}, lag {lag}")


def connect(settings: Settings) -> Cluster | Finding:
    """A cluster to ask, or why there is none."""
    try:
        cluster = Cluster(settings)
        cluster.brokers()
    except CommandError as error:
        return fail(
            "kafka brokers",
            str(error),
            "a server that takes connections but does not answer may want TLS or SASL: see the "
            "TOWER_KAFKA_SECURITY_PROTOCOL and TOWER_KAFKA_SASL_ options",
        )
    return cluster
