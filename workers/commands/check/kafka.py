"""Checks of the brokers, the addresses they advertise, and the consumer group."""

from collections.abc import Callable, Collection, Iterator, Mapping

from workers.commands.check.result import CheckResult, fail, ok, warn
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.tcp_probe import (
    BrokerAddress,
    Unreachable,
    accepts_tls,
    addresses,
    ip_address,
    probe,
)
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.replay_command import replay_command
from workers.types import Partition

#: Parts of what librdkafka says about a failed TLS handshake, with what to do.
TLS_REMEDIES = {
    "PLAINTEXT broker": "set TOWER_KAFKA_SECURITY_PROTOCOL=plaintext, or the port of a listener with TLS",
    "certificate could not be verified": "set TOWER_KAFKA_SSL_CA_LOCATION to the certificate of the "
    "authority that issued the broker's",
}

USE_TLS = (
    "set TOWER_KAFKA_SECURITY_PROTOCOL=ssl (with a password: sasl_ssl), or the port of a listener "
    "without TLS"
)

MAY_NEED_TLS = (
    "a server that accepts connections but does not answer may need TLS or SASL: see the settings "
    "TOWER_KAFKA_SECURITY_PROTOCOL and TOWER_KAFKA_SASL_…"
)

Probe = Callable[[list[BrokerAddress]], Mapping[BrokerAddress, Unreachable | None]]


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
    settings: Settings, brokers: Mapping[int, BrokerAddress], probe_servers: Probe = probe
) -> Iterator[CheckResult]:
    """Check that the addresses that the brokers advertise can be reached from here."""
    results = probe_servers(list(brokers.values()))
    failures = {node: failure for node, address in brokers.items() if (failure := results.get(address))}
    if not failures:
        reached = ", ".join(f"{node} at {address}" for node, address in brokers.items())
        yield ok("advertised listeners", f"reached: {reached}")
    bootstrap_servers = addresses(str(settings.kafka["bootstrap.servers"]))
    for node, failure in failures.items():
        listener = brokers[node]
        if failure.resolved:
            yield fail(
                "advertised listeners",
                f"broker {node} advertises {listener}, which cannot be reached: {failure.why}",
                "start the broker, open that port, or correct its advertised.listeners",
            )
            continue
        only_host = len({server.host for server in bootstrap_servers}) == 1
        address = ip_address(bootstrap_servers[0]) if only_host else "<its address>"
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
            "stop the pool and choose where to continue: "
            f"`{replay_command(str(Partition(settings.topic, expired[0])))}`",
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
    except CommandError as error:
        return fail("kafka brokers", error.problem, error.do)
    try:
        # With several servers, another one may answer yet.
        is_only = len(addresses(str(settings.kafka["bootstrap.servers"]))) == 1
        kafka_admin.wait_for_broker(lambda why: is_only and bool(tls_remedy(settings, why)))
    except CommandError as error:
        return fail("kafka brokers", error.problem, tls_remedy(settings, error.problem) or MAY_NEED_TLS)
    return kafka_admin


def tls_remedy(settings: Settings, problem: str) -> str:
    """Return what to do about a mistake in the settings of TLS; empty if there is none.

    Args:
        settings: How to reach the brokers.
        problem: What Kafka's client says.
    """
    uses_tls = "ssl" in str(settings.kafka.get("security.protocol", "")).lower()
    # The client says only that the connection was closed.
    if not uses_tls:
        servers = addresses(str(settings.kafka["bootstrap.servers"]))
        with_tls = [str(server) for server in servers if accepts_tls(server)]
        return f"{', '.join(with_tls)} uses TLS: {USE_TLS}" if with_tls else ""
    return next((remedy for part, remedy in TLS_REMEDIES.items() if part in problem), "")
