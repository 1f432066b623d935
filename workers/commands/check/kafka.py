"""Checks of the brokers, the addresses they advertise, and the consumer group."""

from collections.abc import Callable, Collection, Iterator, Mapping

from workers.commands.check.result import CheckResult, fail, ok, warn
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.tcp_probe import Address, Unreachable, addresses, ip_address, probe
from workers.config.settings import Settings
from workers.errors import CommandError

Probe = Callable[[list[Address]], Mapping[Address, Unreachable | None]]


def bootstrap(settings: Settings, probe_servers: Probe = probe) -> CheckResult:
    """Check that a bootstrap server accepts a connection."""
    results = probe_servers(addresses(str(settings.kafka["bootstrap.servers"])))
    failures = {server: failure for server, failure in results.items() if failure}
    reasons = "; ".join(f"{server}: {failure.why}" for server, failure in failures.items())
    if not results or len(failures) == len(results):
        return fail(
            "kafka brokers",
            f"none can be reached ({reasons})",
            "start Kafka, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS",
        )
    if failures:
        return warn(
            "kafka brokers",
            f"{len(results) - len(failures)} of {len(results)} can be reached ({reasons})",
            "start the others, or remove them from TOWER_KAFKA_BOOTSTRAP_SERVERS",
        )
    return ok("kafka brokers", f"reached: {', '.join(map(str, results))}")


def listeners(
    settings: Settings, brokers: Mapping[int, Address], probe_servers: Probe = probe
) -> Iterator[CheckResult]:
    """Check that the addresses that the brokers advertise can be reached from here."""
    results = probe_servers(list(brokers.values()))
    failures = {node: failure for node, address in brokers.items() if (failure := results.get(address))}
    if not failures:
        reached = ", ".join(f"{node} at {address}" for node, address in brokers.items())
        yield ok("advertised listeners", f"reached: {reached}")
    bootstrap_hosts = {server.host for server in addresses(str(settings.kafka["bootstrap.servers"]))}
    for node, failure in failures.items():
        listener = brokers[node]
        if failure.resolved:
            yield fail(
                "advertised listeners",
                f"broker {node} advertises {listener}, which cannot be reached: {failure.why}",
                "start the broker, open that port, or correct its advertised.listeners",
            )
            continue
        hosts = list(bootstrap_hosts)
        address = ip_address(hosts[0]) if len(hosts) == 1 else "<its address>"
        yield fail(
            "advertised listeners",
            f"broker {node} advertises {listener}, but {listener.host} does not resolve here: "
            f"{failure.why}",
            f'add the line "{address} {listener.host}" to /etc/hosts, or correct its advertised.listeners',
        )


def group(
    kafka_admin: KafkaAdmin, settings: Settings, running: list[int], topics: Collection[str]
) -> CheckResult:
    """Check the consumer group, its members and its offsets in the settings' topic.

    Args:
        kafka_admin: Kafka.
        settings: The settings of one topic.
        running: The workers of this machine.
        topics: All topics that the group may read.
    """
    name, check = settings.group, "consumer group"
    members = kafka_admin.group(name).members
    assigned = {topic for member in members for topic, _ in member.partitions}
    foreign = sorted(assigned.difference(topics))
    if foreign:
        return warn(
            check,
            f"members of {name} also read {', '.join(foreign)}",
            "give the other program another group, or change TOWER_KAFKA_GROUP_ID",
        )
    starts, committed = (
        kafka_admin.start_offsets(settings.topic),
        kafka_admin.committed(name, settings.topic),
    )
    expired = [number for number, offset in committed.items() if offset < starts.get(number, 0)]
    if expired:
        partitions = ", ".join(map(str, expired))
        return fail(
            check,
            f"Kafka has deleted records that {name} has not read, in partition {partitions}",
            "stop the pool and choose where to continue: `python -m workers replay --from earliest "
            f"--partition {expired[0]}`",
        )
    ends = kafka_admin.end_offsets(settings.topic)
    lag = sum(end - committed.get(number, starts.get(number, 0)) for number, end in ends.items())
    count = f"{len(members)} members" if members else "no members, the pool is not running"
    if running and not members:
        return warn(
            check,
            f"{name} has no members, but worker {', '.join(map(str, running))} runs here",
            "see its log in TOWER_RUN_DIR; it may use another group or other brokers than this command",
        )
    return ok(check, f"{name}: {count}, lag {lag}")


def connect(settings: Settings) -> KafkaAdmin | CheckResult:
    """Connect to Kafka; a failed check if it does not answer."""
    try:
        kafka_admin = KafkaAdmin(settings, verified=False)
        kafka_admin.brokers()
    except CommandError as error:
        # What librdkafka says if a TLS handshake fails at a server that does not use TLS.
        if "PLAINTEXT broker" in error.problem:
            remedy = "set TOWER_KAFKA_SECURITY_PROTOCOL=plaintext, or the port of a listener with TLS"
            return fail("kafka brokers", error.problem, remedy)
        return fail(
            "kafka brokers",
            error.problem,
            "a server that accepts connections but does not answer may need TLS or SASL: see the "
            "settings TOWER_KAFKA_SECURITY_PROTOCOL and TOWER_KAFKA_SASL_…",
        )
    return kafka_admin
