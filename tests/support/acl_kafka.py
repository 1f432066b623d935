"""A Kafka with ACLs, and users that may do what a test allows them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from confluent_kafka import admin

from lab.kafka.topics import REQUEST_S, TopicAdmin
from lab.system import ports
from lab.system.server_process import wait_until
from tests.faults.harness.cluster import Cluster, combined

#: The module exports its classes without saying so to a type checker.
kafka: Any = admin

LISTENER = "listener.name.sasl_plaintext.plain"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

#: Kafka's own name of the cluster as a resource; for the client, the cluster is a broker.
CLUSTER_RESOURCE = "kafka-cluster"

#: Kafka reads the names of users and their passwords at its start.
USERS = 60
PASSWORD = "CANARY-sasl"


@dataclass(frozen=True)
class Right:
    """One right: `READ on topic resource`.

    Args:
        operation: What it allows.
        resource: What it is on: `topic NAME`, `group NAME` or `the cluster`.
    """

    operation: str
    resource: str

    def __str__(self) -> str:
        return f"{self.operation} on {self.resource}"

    def binding(self, user: str) -> Any:
        """The ACL that gives it to a user."""
        kind, _, name = self.resource.partition(" ")
        if self.resource == "the cluster":
            kind, name = "broker", CLUSTER_RESOURCE
        return kafka.AclBinding(
            kafka.ResourceType[kind.upper()],
            name,
            kafka.ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            kafka.AclOperation[self.operation],
            kafka.AclPermissionType.ALLOW,
        )


class AclKafka:
    """One Kafka node, up inside the block. Its listener with passwords needs an ACL for everything.

    The plain listeners are for the node itself and for the test, and may do everything.

    Args:
        folder: Where its files are; its owner removes it.

    Attributes:
        topics: Kafka as an administrator sees it.
        plain: The listener for the test.
    """

    topics: TopicAdmin

    def __init__(self, folder: Path) -> None:
        plain, controller, port = ports.choose("localhost", 3)
        self._listener = f"localhost:{port}"
        self._free_users = [f"tower-{number}" for number in range(USERS)]
        passwords = " ".join(f'user_{user}="{PASSWORD}"' for user in self._free_users)
        properties = {
            "listeners": f"SASL_PLAINTEXT://{self._listener}",
            "advertised.listeners": f"SASL_PLAINTEXT://{self._listener}",
            "listener.security.protocol.map": "SASL_PLAINTEXT:SASL_PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            f"{LISTENER}.sasl.jaas.config": f"{LOGIN} required {passwords};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
        }
        self._cluster = Cluster(folder, [combined(0, plain, controller)], [()], [properties])

    def __enter__(self) -> Self:
        self._cluster.__enter__()
        self.topics, self.plain = self._cluster.topics, self._cluster.bootstrap_servers
        self._admin = kafka.AdminClient({"bootstrap.servers": self.plain, "log_level": 0})
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.__exit__()

    def user(self, rights: Collection[Right]) -> Mapping[str, str]:
        """Create a user with these rights and no others; return the settings to connect as this user."""
        user = self._free_users.pop()
        bindings = [right.binding(user) for right in rights]
        for future in self._admin.create_acls(bindings).values() if bindings else ():
            future.result(REQUEST_S)
        assert wait_until(lambda: self._rights_of(user) == len(bindings), REQUEST_S)
        return {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": self._listener,
            "TOWER_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "TOWER_KAFKA_SASL_MECHANISM": "PLAIN",
            "TOWER_KAFKA_SASL_USERNAME": user,
            "TOWER_KAFKA_SASL_PASSWORD": PASSWORD,
        }

    def _rights_of(self, user: str) -> int:
        everything = kafka.AclBindingFilter(
            kafka.ResourceType.ANY,
            None,
            kafka.ResourcePatternType.ANY,
            f"User:{user}",
            None,
            kafka.AclOperation.ANY,
            kafka.AclPermissionType.ANY,
        )
        return len(self._admin.describe_acls(everything).result(REQUEST_S))
