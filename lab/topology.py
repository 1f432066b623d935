"""What a lab consists of: its nodes and their ports, remembered in its data folder."""

import base64
import json
import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from lab.errors import LabError
from lab.kafka.node import NodeSpec, Role
from lab.system import ports
from lab.system.files import write_atomically

KAFKA_PORT = 9090
CONTROLLER_PORT = 19090
INFLUXDB_PORT = 8086
#: Shape of lab.json; another number is another version's.
FORMAT = 1


class Topology(StrEnum):
    """How many Kafka nodes."""

    #: One node that is broker and controller.
    SINGLE = "single"
    #: Three controllers, ids 0 to 2, and three brokers, ids 3 to 5, as in the lab's text.
    CLUSTER = "cluster"


@dataclass(frozen=True)
class LabOptions:
    """What the caller asks for. None: as it was, or the lab's default. Port 0: a free one.

    Args:
        topology: Single or cluster.
        host: Name or address that the servers listen on and are reached by.
        kafka_port: Of the first broker; the others follow it.
        controller_port: Of the first controller; the others follow it.
        influxdb_port: Of InfluxDB.
    """

    topology: Topology | None = None
    host: str | None = None
    kafka_port: int | None = None
    controller_port: int | None = None
    influxdb_port: int | None = None

    @classmethod
    def free_ports(cls, topology: Topology = Topology.SINGLE, host: str | None = None) -> Self:
        """A lab beside any others."""
        return cls(topology, host, 0, 0, 0)


@dataclass(frozen=True)
class LabPlan:
    """A lab that was decided on."""

    topology: Topology
    host: str
    cluster: str
    nodes: list[NodeSpec]
    influxdb_port: int

    @property
    def bootstrap_servers(self) -> str:
        """The brokers, for clients."""
        brokers = [node for node in self.nodes if node.role is not Role.CONTROLLER]
        return ",".join(f"{self.host}:{node.port}" for node in brokers)

    @classmethod
    def make(cls, wanted: LabOptions) -> Self:
        """Decide on ids and ports.

        Raises:
            BusyError: No free ports.
        """
        topology = wanted.topology or Topology.SINGLE
        host = wanted.host or "localhost"
        per_role = 1 if topology is Topology.SINGLE else 3
        free = ports.choose(host, 2 * per_role + 1)
        brokers = _following(wanted.kafka_port, KAFKA_PORT, free[:per_role])
        controllers = _following(wanted.controller_port, CONTROLLER_PORT, free[per_role:-1])
        (influxdb,) = _following(wanted.influxdb_port, INFLUXDB_PORT, free[-1:])
        if topology is Topology.SINGLE:
            # Id 3, so that node 3 is a broker in either topology.
            nodes = [NodeSpec(3, Role.COMBINED, brokers[0], controllers[0])]
        else:
            nodes = [NodeSpec(n, Role.CONTROLLER, port) for n, port in enumerate(controllers)]
            nodes += [NodeSpec(n, Role.BROKER, port) for n, port in enumerate(brokers, start=3)]
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Kafka's tools would take a leading dash for an option.
        return cls(topology, host, cluster.replace("-", "A", 1), nodes, influxdb)

    @classmethod
    def load(cls, data: Path) -> Self | None:
        """The plan in a data folder; None if there is none.

        Raises:
            LabError: It is not readable.
        """
        path = data / "lab.json"
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise LabError(f"{path} is not readable; remove {data} and run `up` again") from error
        if content.pop("format", None) != FORMAT:
            raise LabError(f"{path} is of another version; remove {data} and run `up` again")
        nodes = [NodeSpec(**node | {"role": Role(node["role"])}) for node in content.pop("nodes")]
        return cls(**content | {"nodes": nodes, "topology": Topology(content["topology"])})

    def save(self, data: Path) -> None:
        """Remember it in the data folder."""
        text = json.dumps({"format": FORMAT} | asdict(self), indent=2)
        write_atomically(data / "lab.json", text + "\n")

    def check(self, wanted: LabOptions, data: Path) -> None:
        """Refuse what this lab is not.

        Raises:
            LabError: Naming what differs.
        """
        first = {role: node for node in reversed(self.nodes) for role in [node.role]}
        broker = first.get(Role.COMBINED) or first[Role.BROKER]
        controller = first.get(Role.COMBINED) or first[Role.CONTROLLER]
        pairs = {
            "topology": (wanted.topology, self.topology),
            "host": (wanted.host, self.host),
            "Kafka port": (wanted.kafka_port or None, broker.port),
            "controller port": (wanted.controller_port or None, controller.voter_port),
            "InfluxDB port": (wanted.influxdb_port or None, self.influxdb_port),
        }
        for name, (asked, has) in pairs.items():
            if asked is not None and asked != has:
                raise LabError(
                    f"the lab in {data} has {name} {has}, not {asked}; leave the option out, name "
                    "another folder with --data, or remove it with `python -m lab down --purge`"
                )


def _following(asked: int | None, default: int, free: list[int]) -> list[int]:
    if asked == 0:
        return free
    first = default if asked is None else asked
    return [first + n for n in range(len(free))]
