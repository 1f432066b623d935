"""Checks of the way to Kafka: brokers, the addresses they advertise, group."""

from collections.abc import Callable, Iterator, Mapping

from workers.commands.check.result import Finding, fail, ok, warn
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.tcp_probe import Address, Unreachable, addresses, ip_address, probe
from workers.config.settings import Settings
from workers.errors import CommandError

Probe = Callable[[list[Address]], Mapping[Address, Unreachable | None]]


def bootstrap(settings: Settings, probe_servers: Probe = probe) -> Finding:
    """Whether one of the servers the workers are told of takes a connection."""
    tried = probe_servers(addresses(str(settings.kafka["bootstrap.servers"])))
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
    settings: Settings, brokers: Mapping[int, Address], probe_servers: Probe = probe
) -> Iterator[Finding]:
    """Whether the addresses that the brokers give to their clients work from here."""
    tried = probe_servers(list(brokers.values()))
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
        address = ip_address(next(iter(given))) if len(given) == 1 else "<its address>"
        yield fail(
            "advertised listeners",
            f"broker {number} says it is reached at {each}, but {each.host} does not resolve here: "
            f"{failure.why}",
            f'add the line "{address} {each.host}" to /etc/hosts, or correct its advertised.listeners',
        )


def group(kafka_admin: KafkaAdmin, settings: Settings, alive: list[int]) -> Finding:
    """The consumer group and where it stands."""
    name, check = settings.group, "consumer group"
    found = kafka_admin.group(name)
    foreign = sorted({topic for each in found.members for topic, _ in each.partitions} - {settings.topic})
    if foreign:
        return warn(
            check,
            f"members of {name} also read {', '.join(foreign)}",
            "give that program a group of its own, or TOWER_KAFKA_GROUP_ID another name",
        )
    starts, committed = (
        kafka_admin.start_offsets(settings.topic),
        kafka_admin.committed(name, settings.topic),
    )
    gone = [number for number, offset in committed.items() if offset < starts.get(number, 0)]
    if gone:
        which = ", ".join(map(str, gone))
        return fail(
            check,
            f"{name} stands before the first record that Kafka still has, in partition {which}",
            "stop the pool and choose where to go on: `python -m workers replay --from earliest "
            f"--partition {gone[0]}`",
        )
    ends = kafka_admin.end_offsets(settings.topic)
    lag = sum(end - committed.get(number, starts.get(number, 0)) for number, end in ends.items())
    members = f"{len(found.members)} members" if found.members else "no members, the pool is not running"
    if alive and not found.members:
        return warn(
            check,
            f"{name} has no members, but worker {', '.join(map(str, alive))} runs here",
            "see its log in TOWER_RUN_DIR; it may have another group or other brokers than this command",
        )
    return ok(check, f"{name}: {members}, lag {lag}")


def connect(settings: Settings) -> KafkaAdmin | Finding:
    """Connect to Kafka; a failed check if it does not answer."""
    try:
        kafka_admin = KafkaAdmin(settings, verified=False)
        kafka_admin.brokers()
    except CommandError as error:
        return fail(
            "kafka brokers",
            error.problem,
            "a server that takes connections but does not answer may want TLS or SASL: see the "
            "TOWER_KAFKA_SECURITY_PROTOCOL and TOWER_KAFKA_SASL_ options",
        )
    return kafka_admin
