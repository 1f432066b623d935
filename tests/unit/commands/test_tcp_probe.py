"""Whether servers are reached, and what check says where they are not."""

import socket
import socketserver
import threading
import time

import pytest

from workers.commands.check import kafka
from workers.commands.check.result import CheckResult, Level
from workers.commands.clients.kafka_admin import FIRST_ANSWER_S
from workers.commands.clients.tcp_probe import (
    BrokerAddress,
    Unreachable,
    accepts_tls,
    addresses,
    attempt,
    ip_address,
    probe,
)
from workers.config.settings import Settings, load

#: Seconds after which a busy server closes a connection.
BUSY_S = 1.2


def settings(**more: str) -> Settings:
    return load({"TOWER_INFLUXDB_TOKEN": "x", **more})


@pytest.mark.parametrize(
    ("servers", "expected"),
    [
        ("localhost:9090,nuc:9091", [("localhost", 9090), ("nuc", 9091)]),
        ("nuc", [("nuc", 9092)]),
        (" nuc:1 , ,pi:2", [("nuc", 1), ("pi", 2)]),
        ("[::1]:9090", [("::1", 9090)]),
        ("[::1]", [("::1", 9092)]),
        ("SSL://nuc:9093", [("nuc", 9093)]),
        ("", []),
    ],
)
def test_bootstrap_servers_are_taken_apart(servers: str, expected: list[tuple[str, int]]) -> None:
    assert addresses(servers) == [BrokerAddress(*address) for address in expected]


def test_a_name_that_does_not_resolve_and_a_closed_port_are_told_apart() -> None:
    unknown = attempt(BrokerAddress("no-such-host.invalid", 1))
    closed = attempt(BrokerAddress("127.0.0.1", 1))

    assert unknown is not None
    assert not unknown.resolved
    assert closed is not None
    assert closed.resolved
    assert "refused" in closed.why


def test_an_address_that_never_answers_costs_the_time_out_and_no_more() -> None:
    forever = threading.Event()

    def hang(_: BrokerAddress) -> Unreachable | None:
        forever.wait(5)
        return None

    results = probe([BrokerAddress("a", 1), BrokerAddress("b", 1)], hang, timeout_s=0.05)
    forever.set()

    assert [failure.why for failure in results.values() if failure] == ["no answer within 0.05 s"] * 2


def test_a_broker_that_advertises_a_name_unknown_here_is_explained_with_etc_hosts() -> None:
    nuc = BrokerAddress("nuc", 9090)
    results = list(
        kafka.listeners(
            settings(TOWER_KAFKA_BOOTSTRAP_SERVERS="10.0.0.2:9090"),
            {3: nuc},
            lambda _: {nuc: Unreachable(False, "Name or service not known")},
        )
    )

    assert [result.level for result in results] == [Level.FAIL]
    assert "nuc does not resolve here" in results[0].text
    assert "10.0.0.2" in results[0].next
    assert "/etc/hosts" in results[0].next


def test_a_broker_that_resolves_and_refuses_is_no_matter_of_etc_hosts() -> None:
    nuc = BrokerAddress("nuc", 9090)
    results = list(
        kafka.listeners(settings(), {3: nuc}, lambda _: {nuc: Unreachable(True, "Connection refused")})
    )

    assert [result.level for result in results] == [Level.FAIL]
    assert "/etc/hosts" not in results[0].next


@pytest.mark.parametrize(
    ("down", "level"), [(0, Level.OK), (1, Level.WARN), (2, Level.WARN), (3, Level.FAIL)]
)
def test_some_brokers_down_is_a_warning_and_all_is_a_failure(down: int, level: Level) -> None:
    def tried(wanted: list[BrokerAddress]) -> dict[BrokerAddress, Unreachable | None]:
        return {
            address: Unreachable(True, "refused") if place < down else None
            for place, address in enumerate(wanted)
        }

    assert kafka.bootstrap(settings(), tried).level is level


def test_a_server_without_tls_is_not_taken_for_one_with_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = BrokerAddress("127.0.0.1", server.getsockname()[1])

        def close_it() -> None:
            server.accept()[0].close()

        reader = threading.Thread(target=close_it)
        reader.start()

        assert not accepts_tls(address)

        reader.join()
    assert not accepts_tls(address)


class Busy(socketserver.BaseRequestHandler):
    """A broker without TLS: it closes a connection that begins with a TLS handshake, but not at once."""

    def handle(self) -> None:
        if self.request.recv(1):
            time.sleep(BUSY_S)


def test_a_reason_that_will_not_go_away_ends_the_wait_for_a_broker_whenever_it_comes() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Busy) as server:
        # Its end does not wait for the connections that the client has made since.
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        config = settings(TOWER_KAFKA_BOOTSTRAP_SERVERS=address, TOWER_KAFKA_SECURITY_PROTOCOL="ssl")
        begun = time.monotonic()

        result = kafka.connect(config)

        assert time.monotonic() - begun < FIRST_ANSWER_S
        server.shutdown()
    assert isinstance(result, CheckResult)
    assert "TOWER_KAFKA_SECURITY_PROTOCOL=plaintext" in result.next


def test_the_address_for_etc_hosts_is_one_that_accepts_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ip_address(BrokerAddress("localhost", server.getsockname()[1])) == "127.0.0.1"

    assert ip_address(BrokerAddress("nohost.invalid", 9092)) == "nohost.invalid"
