"""Three Kafka nodes of a scenario's own, for what cannot be done to the lab's."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from lab import startup
from lab.errors import LabError
from lab.kafka import runtime
from lab.kafka.node import Node, NodeSpec, Role, properties
from lab.kafka.topics import OFFSETS, TopicAdmin
from lab.system.progress import Progress
from lab.system.server_process import wait_until

#: Any will do: nothing else knows of the cluster.
CLUSTER = "AAAAAAAAQACAAAAAAAAAAA"

#: Seconds until all three serve, and until their replicas are in sync again.
SERVE_S = 90.0

#: Properties that hold a list, to which a scenario's are added.
LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")


class Cluster:
    """Three nodes, each broker and controller, in a folder that its owner removes.

    Args:
        folder: Where their files are.
        specs: What they are.
        prefixes: For each the words before its command line.
        more: For each its further properties; `listeners` is added to what it has.
    """

    def __init__(
        self,
        folder: Path,
        specs: Sequence[NodeSpec],
        prefixes: Sequence[Sequence[str]] = ((), (), ()),
        more: Sequence[Mapping[str, str]] = ({}, {}, {}),
    ) -> None:
        self._progress = Progress(quiet=True)
        everyone = list(specs)
        self.nodes: list[Node] = []
        for spec, prefix, extra in zip(specs, prefixes, more, strict=True):
            place = folder / f"kafka-{spec.id}"
            plain = properties(spec, everyone, "localhost", place / "data")
            added = {
                name: f"{plain[name]},{value}" if name in LISTS else value for name, value in extra.items()
            }
            self.nodes.append(
                Node(
                    spec,
                    everyone,
                    place,
                    lambda: runtime.java(self._progress),
                    host="localhost",
                    cluster=CLUSTER,
                    prefix=prefix,
                    more=added,
                )
            )

    def __enter__(self) -> Self:
        try:
            startup.format_nodes(self.nodes, self._progress)
            for node in self.nodes:
                node.start()
            self.until_serving()
            self.topics = TopicAdmin(self.bootstrap_servers, len(self.nodes))
            self.topics.protect_offsets()
            self.until_in_sync()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            with suppress(LabError):
                node.kill()

    @property
    def bootstrap_servers(self) -> str:
        """Where whoever is not under test reaches the brokers."""
        return ",".join(f"{node.host}:{node.spec.port}" for node in self.nodes)

    def node(self, number: int) -> Node:
        """The node with this id."""
        return next(node for node in self.nodes if node.spec.id == number)

    def until_serving(self) -> None:
        """Wait until every node answers.

        Raises:
            TimeoutError: One does not; has the end of its log.
        """
        if not wait_until(lambda: all(node.serving() for node in self.nodes), SERVE_S):
            silent = [f"{node.name}: {node.log_tail()}" for node in self.nodes if not node.serving()]
            raise TimeoutError(f"after {SERVE_S:g} s these do not serve: {silent}")

    def until_in_sync(self, *topics: str) -> None:
        """Wait until every replica of the topics and of the committed offsets is in sync.

        Raises:
            TimeoutError: One is not.
        """
        for topic in (OFFSETS, *topics):
            if not wait_until(lambda topic=topic: self._in_sync(topic), SERVE_S):  # type: ignore[misc]
                raise TimeoutError(f"replicas of {topic} are not in sync after {SERVE_S:g} s")

    def _in_sync(self, topic: str) -> bool:
        try:
            return self.topics.all_in_sync(topic)
        except LabError:  # its client still waits for an answer that was lost
            return False

    def restart(self, topic: str) -> None:
        """Stop and start one node after the other, each in sync again before the next."""
        for node in self.nodes:
            node.stop()
            node.start()
            self.until_serving()
            self.until_in_sync(topic)


def combined(number: int, port: int, controller: int, host: str = "") -> NodeSpec:
    """A node that is broker and controller."""
    return NodeSpec(number, Role.COMBINED, port, controller, host)
