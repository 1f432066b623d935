"""One Kafka node: its configuration, its process, and whether it serves."""

import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lab.errors import LabError
from lab.kafka.jars import Java
from lab.system.files import write_atomically
from lab.system.server_process import Server

#: Seconds after its last heartbeat until a dead broker's partitions get other leaders. Kafka's own
#: 9 s plus the election would miss the recovery that the fault suite holds the lab to.
BROKER_SESSION_S = 6
#: Partitions of __consumer_offsets. Kafka's 50 would be 150 replicas on this machine.
OFFSETS_PARTITIONS = 6
MEMORY = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError")
LOGGING = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    # 300 lines of configuration at every start: server.properties says it in 30.
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)


class Role(StrEnum):
    """The role of a node in the cluster."""

    BROKER = "broker"
    CONTROLLER = "controller"
    COMBINED = "combined"


@dataclass(frozen=True)
class NodeSpec:
    """A node of the plan.

    Args:
        id: Node id, unique in the cluster.
        role: Broker, controller or both.
        port: A broker's port for clients, or a controller's port.
        controller_port: Port of a combined node's controller.
        host: Name or address that it listens on and advertises, if not that of the others.
    """

    id: int
    role: Role
    port: int
    controller_port: int = 0
    host: str = ""

    @property
    def voter_port(self) -> int | None:
        """Its port in the controllers' quorum; None for a broker."""
        if self.role is Role.BROKER:
            return None
        return self.controller_port or self.port


def properties(spec: NodeSpec, specs: list[NodeSpec], host: str, data: Path) -> dict[str, str]:
    """Return a node's server.properties.

    Args:
        spec: The node.
        specs: All nodes of the cluster, this one among them.
        host: Name or address of the nodes that have no `host` of their own.
        data: Folder of its log segments.
    """
    roles = {Role.COMBINED: "broker,controller"}.get(spec.role, spec.role.value)
    brokers = sum(other.role is not Role.CONTROLLER for other in specs)
    copies = min(3, brokers)
    in_sync = min(2, copies)
    own = spec.host or host
    listeners = []
    if spec.role is not Role.CONTROLLER:
        listeners.append(f"PLAINTEXT://{own}:{spec.port}")
    if spec.voter_port is not None:
        listeners.append(f"CONTROLLER://{own}:{spec.voter_port}")
    voters = [f"{other.id}@{other.host or host}:{other.voter_port}" for other in specs if other.voter_port]
    common = {
        "process.roles": roles,
        "node.id": str(spec.id),
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listeners": ",".join(listeners),
        "log.dirs": str(data),
        "broker.session.timeout.ms": str(BROKER_SESSION_S * 1000),
        "broker.heartbeat.interval.ms": "1000",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(in_sync),
    }
    if spec.role is Role.CONTROLLER:
        return common
    return common | {
        "advertised.listeners": listeners[0],
        "inter.broker.listener.name": "PLAINTEXT",
        "offsets.topic.num.partitions": str(OFFSETS_PARTITIONS),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        # A topic that nobody made is a mistake to be seen, not a topic.
        "auto.create.topics.enable": "false",
        # Kafka waits 3 s for more members before the first rebalance of an empty group.
        "group.initial.rebalance.delay.ms": "0",
    }


def properties_text(values: Mapping[str, str]) -> str:
    """Return the text of a Java properties file; everything but ASCII is escaped as UTF-16."""

    def escaped(value: str) -> str:
        codes = [unit for (unit,) in struct.iter_unpack(">H", value.encode("utf-16-be"))]
        return "".join(
            chr(code) if " " <= chr(code) <= "~" and chr(code) != "\\" else f"\\u{code:04x}"
            for code in codes
        )

    return "".join(f"{name}={escaped(value)}\n" for name, value in values.items())


class Node(Server):
    """One Kafka node of the lab.

    Args:
        spec: This node.
        specs: All nodes of its cluster.
        folder: Folder of its files.
        java: Returns the Java to run it with; called only at a start.
        host: Name or address that it listens on and advertises, unless its spec has one.
        cluster: The cluster's id.
        prefix: Words before its command line, such as those that run it on another host.
        more: Further properties; they override those of `properties`.
    """

    def __init__(
        self,
        spec: NodeSpec,
        specs: list[NodeSpec],
        folder: Path,
        java: Callable[[], Java],
        *,
        host: str,
        cluster: str,
        prefix: Sequence[str] = (),
        more: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"Kafka node {spec.id} ({spec.role})", folder)
        self.spec = spec
        self.host = spec.host or host
        self._prefix = list(prefix)
        self._more = dict(more or {})
        self._specs = specs
        self._java = java
        self._cluster = cluster

    @classmethod
    def alone(cls, folder: Path, java: Java, host: str, port: int, controller: int) -> "Node":
        """Return the only node of a new cluster."""
        spec = NodeSpec(0, Role.COMBINED, port, controller)
        return cls(spec, [spec], folder, lambda: java, host=host, cluster="AAAAAAAAQACAAAAAAAAAAA")

    @property
    def ports(self) -> list[int]:
        """Its own and, of a combined node, its controller half's."""
        return [port for port in (self.spec.port, self.spec.controller_port) if port]

    @property
    def _config(self) -> Path:
        return self.folder / "server.properties"

    @property
    def formatted(self) -> bool:
        """Whether its data folder is formatted."""
        return (self.folder / "formatted").exists()

    def begin_format(self) -> subprocess.Popen[bytes]:
        """Write its configuration and start formatting its data folder, once in its life.

        Raises:
            LabError: Kafka cannot use the folder.
        """
        if "," in str(self.folder):
            raise LabError(
                f"Kafka stores nothing in a path with a comma: {self.folder}; choose another folder"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        # What a formatting that was cut off has left.
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        values = properties(self.spec, self._specs, self.host, self.folder / "data") | self._more
        write_atomically(self._config, properties_text(values))
        command = self._java().command(
            "kafka.tools.StorageTool",
            *("format", "--cluster-id", self._cluster, "--config", str(self._config)),
            options=("-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        )
        with (self.folder / "format.log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=self._java().environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end_format(self, child: subprocess.Popen[bytes], timeout_s: float) -> None:
        """Wait for the end of the formatting that `begin_format` started.

        Raises:
            LabError: It failed or took too long; no half-made folder stays.
        """
        try:
            code = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if code != 0:
            shutil.rmtree(self.folder / "data", ignore_errors=True)
            why = "took too long" if code is None else f"failed with exit code {code}"
            said = (self.folder / "format.log").read_text(errors="replace").splitlines()[-5:]
            raise LabError("\n    ".join([f"{self.name}: formatting {why}:", *said]))
        (self.folder / "formatted").touch()

    def start(self, options: tuple[str, ...] = ()) -> None:
        """Start it, unless it runs; does not wait until it serves."""
        if self.process() is not None:
            return
        # Compression libraries are unpacked there: a killed node would leave them in the system's folder.
        unpacked = f"-Djava.io.tmpdir={self.folder}"
        command = self._java().command(
            "kafka.Kafka", str(self._config), options=(*MEMORY, *LOGGING, unpacked, *options)
        )
        self.launch([*self._prefix, *command], self._java().environment())

    def serving(self, timeout_s: float = 1.0) -> bool:
        """Whether it answers a request: a paused process has open ports too, but does not answer.

        A broker answers from when the controllers have let it in.
        """
        port = self.spec.port
        try:
            with socket.create_connection((self.host, port), timeout_s) as connection:
                connection.settimeout(timeout_s)
                connection.sendall(API_VERSIONS)
                answer = connection.recv(8)
        except OSError:
            return False
        return len(answer) == 8 and answer[4:] == CORRELATION


CORRELATION = b"towr"
#: An ApiVersions request, version 0: key 18, version 0, correlation id, client id "tower-lab".
_BODY = struct.pack(">hh4sh", 18, 0, CORRELATION, 9) + b"tower-lab"
API_VERSIONS = struct.pack(">i", len(_BODY)) + _BODY
