"""A cluster that lets workers in by TLS and password alone, and what happens to both."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import admin

from lab.system import ports
from tests.faults.harness.certificates import Authority
from tests.faults.harness.cluster import Cluster, combined

#: The module exports its classes without saying so to a type checker.
kafka: Any = admin

USER = "tower"

#: Milliseconds after which a broker asks for the password again: without that a connection outlives it.
REAUTHENTICATE_MS = 5_000

#: Rounds of SCRAM's hash: Kafka's least number.
ROUNDS = 4_096

#: Seconds Kafka may take to change its mind.
ALTER_S = 20.0

LISTENER = "listener.name.sasl_ssl"


@dataclass
class Secured:
    """The cluster. Its plain listeners are for its own nodes and for whoever is not under test.

    Args:
        cluster: Three nodes.
        authority: Signs what the brokers show.
        folder: Has the brokers' keystores.
        ports: Of the listeners for the workers.
    """

    cluster: Cluster
    authority: Authority
    folder: Path
    ports: list[int]

    @property
    def bootstrap_servers(self) -> str:
        """Where the workers reach the brokers."""
        return ",".join(f"localhost:{port}" for port in self.ports)

    def set_password(self, password: str) -> None:
        """From now on the workers' user has this password and no other."""
        scram = kafka.ScramCredentialInfo(kafka.ScramMechanism.SCRAM_SHA_512, ROUNDS)
        upsert = kafka.UserScramCredentialUpsertion(USER, scram, password.encode())
        client = self._client()
        for future in client.alter_user_scram_credentials([upsert]).values():
            future.result(ALTER_S)

    def issue(self, issue: Callable[[Path], None]) -> None:
        """Give each broker a certificate; it shows it when it is told to or restarted."""
        for node in self.cluster.nodes:
            issue(keystore(self.folder, node.spec.id))

    def reload(self) -> None:
        """Let the brokers show the certificates they were given, without a restart."""
        client = self._client()
        for node in self.cluster.nodes:
            entry = kafka.ConfigEntry(
                f"{LISTENER}.ssl.keystore.location",
                str(keystore(self.folder, node.spec.id)),
                incremental_operation=kafka.AlterConfigOpType.SET,
            )
            broker = kafka.ConfigResource(
                kafka.ResourceType.BROKER, str(node.spec.id), incremental_configs=[entry]
            )
            for future in client.incremental_alter_configs([broker]).values():
                future.result(ALTER_S)

    def _client(self) -> Any:
        """An administrator's client, whose answers come only while it is kept."""
        return kafka.AdminClient({"bootstrap.servers": self.cluster.bootstrap_servers, "log_level": 0})


def keystore(folder: Path, number: int) -> Path:
    """The file of a broker's key and certificate."""
    return folder / f"broker-{number}.pem"


@contextmanager
def secured(folder: Path) -> Iterator[Secured]:
    """The cluster while the block runs.

    Args:
        folder: Where all of it lives.
    """
    authority = Authority(folder / "authority", "tower-faults")
    chosen = ports.choose("localhost", 9)
    plain, controllers, secure = chosen[:3], chosen[3:6], chosen[6:]
    more = []
    for number, port in enumerate(secure):
        authority.issue(keystore(folder, number))
        more.append(
            {
                "listeners": f"SASL_SSL://localhost:{port}",
                "advertised.listeners": f"SASL_SSL://localhost:{port}",
                "listener.security.protocol.map": "SASL_SSL:SASL_SSL",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                f"{LISTENER}.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                f"{LISTENER}.connections.max.reauth.ms": str(REAUTHENTICATE_MS),
                f"{LISTENER}.ssl.keystore.type": "PEM",
                f"{LISTENER}.ssl.keystore.location": str(keystore(folder, number)),
                # Without these a running broker takes no certificate for another name.
                "ssl.allow.dn.changes": "true",
                "ssl.allow.san.changes": "true",
            }
        )
    specs = [combined(number, plain[number], controllers[number]) for number in range(3)]
    with Cluster(folder, specs, more=more) as cluster:
        yield Secured(cluster, authority, folder, secure)
