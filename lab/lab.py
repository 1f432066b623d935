"""The lab: Kafka and InfluxDB in one data folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from lab import startup
from lab.errors import LabError
from lab.influxdb import binary
from lab.influxdb.server import InfluxdbServer
from lab.kafka import runtime
from lab.kafka.jars import Java
from lab.kafka.node import Node, Role
from lab.kafka.topics import TopicAdmin
from lab.provision import (
    BUCKET,
    DEAD_LETTER_TOPIC,
    ORG,
    TOPIC,
    V1_USER,
    LabProvisioner,
    Secrets,
    provision_topics,
)
from lab.system.files import locked, read_secret
from lab.system.progress import Progress
from lab.system.reaper import Reaper
from lab.system.server_process import Server, uninterrupted
from lab.topology import LabOptions, LabPlan, Topology

#: Seconds to wait for another command on the same data folder.
LOCK_S = 300.0


class Lab:
    """Real Kafka and real InfluxDB on this machine.

    As a context manager it is up inside the block. At the block's end it is stopped, and its data folder is
    removed if the block created it. If the program is killed, a reaper does this.

    Args:
        data: Folder for the lab's data.
        wanted: Topology, host and ports; None: as in the data folder, else the lab's default.
        progress: Shows what is waited for.
    """

    def __init__(
        self, data: Path, wanted: LabOptions | None = None, progress: Progress | None = None
    ) -> None:
        self.data = data.absolute()
        self._wanted = wanted or LabOptions()
        self._progress = progress or Progress()
        self._plan: LabPlan | None = None
        self._nodes: list[Node] = []
        self._influxdb: InfluxdbServer | None = None
        self._topics: TopicAdmin | None = None
        self._runtime: Java | None = None
        self._program: Path | None = None
        self._reaper: Reaper | None = None

    def __enter__(self) -> Self:
        if not self.data.exists():
            self._reaper = Reaper(self.data)
        return self.up()

    def __exit__(self, *_: object) -> None:
        with uninterrupted():
            self.down(purge=self._reaper is not None)
            if self._reaper is not None:
                self._reaper.leave()

    # --- up, down ---------------------------------------------------------------------------

    def up(self) -> Self:
        """Start the servers that do not run yet, wait until all of them answer, and provision them.

        Raises:
            LabError: A server did not start; the servers that this call started are stopped again.
        """
        with locked(self.data / "lock", LOCK_S, self._progress):
            fresh = not (self.data / "lab.json").exists()
            started: list[Server] = []
            try:
                self._java()
                self._influxd()
                if fresh:
                    LabPlan.make(self._wanted).save(self.data)
                self._open()
                startup.format_nodes(self._nodes, self._progress)
                startup.start([self.influxdb, *self._nodes], self.plan.host, started, self._progress)
                self.provision()
            except BaseException:
                with uninterrupted():
                    for server in started:
                        server.kill()
                    if fresh:
                        shutil.rmtree(self.data, ignore_errors=True)
                        self._forget()
                raise
        return self

    def running(self) -> bool:
        """Whether any of its servers runs."""
        if not (self.data / "lab.json").exists():
            return False
        return any(server.pid is not None for server in [*self.nodes, self.influxdb])

    def down(self, *, purge: bool = False) -> None:
        """Stop all servers; the next `up` uses their data.

        Args:
            purge: Kill the servers at once and remove the data folder.
        """
        if not (self.data / "lab.json").exists():
            return
        with locked(self.data / "lock", LOCK_S, self._progress):
            self._open()
            startup.stop(self.influxdb, self._nodes, self._progress, at_once=purge)
            if purge:
                shutil.rmtree(self.data)
                self._forget()

    def provision(self) -> None:
        """Create what the workers need in Kafka and InfluxDB, if it is missing."""
        self._open()
        with self._progress.step("provisioning") as step:
            step.note("InfluxDB")
            LabProvisioner(self.influxdb, self.secrets).run()
            step.note("topics")
            provision_topics(self.bootstrap_servers, self.topics.copies)
            for topic in (TOPIC, DEAD_LETTER_TOPIC):
                self.topics.wait_ready(topic)
            self.topics.protect_offsets()

    # --- its parts --------------------------------------------------------------------------

    @property
    def plan(self) -> LabPlan:
        """Topology and ports, as in the data folder."""
        self._open()
        if self._plan is None:
            raise LabError(f"no lab in {self.data}; start one with `python -m lab up`")
        return self._plan

    @property
    def nodes(self) -> list[Node]:
        """The Kafka nodes, by id."""
        self._open()
        return self._nodes

    def node(self, number: int) -> Node:
        """The Kafka node with this id."""
        for node in self.nodes:
            if node.spec.id == number:
                return node
        raise LabError(f"no node {number}; there are {[node.spec.id for node in self.nodes]}")

    @property
    def influxdb(self) -> InfluxdbServer:
        """The InfluxDB server."""
        self._open()
        if self._influxdb is None:
            raise LabError(f"no lab in {self.data}; start one with `python -m lab up`")
        return self._influxdb

    @property
    def secrets(self) -> Secrets:
        """The files of its secrets."""
        return Secrets(self.data / "secrets")

    @property
    def bootstrap_servers(self) -> str:
        """The brokers, for clients."""
        return self.plan.bootstrap_servers

    @property
    def topics(self) -> TopicAdmin:
        """Kafka as an administrator sees it."""
        if self._topics is None:
            brokers = sum(spec.role is not Role.CONTROLLER for spec in self.plan.nodes)
            self._topics = TopicAdmin(self.bootstrap_servers, min(3, brokers))
        return self._topics

    def create_bucket(self, name: str, retention_s: int = 0) -> str:
        """Create a bucket and a mapping of the same name; return a token that may only write to it."""
        return LabProvisioner(self.influxdb, self.secrets).bucket(name, retention_s)

    def worker_environment(self) -> dict[str, str]:
        """Return the workers' settings for this lab: names of files, no secrets."""
        return {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "TOWER_INFLUXDB_URL": self.influxdb.url,
            "TOWER_INFLUXDB_ORG": ORG,
            "TOWER_INFLUXDB_BUCKET": BUCKET,
            "TOWER_INFLUXDB_TOKEN_FILE": str(self.secrets.worker_token()),
            "TOWER_INFLUXDB_DATABASE": BUCKET,
            "TOWER_INFLUXDB_USER": V1_USER,
            "TOWER_INFLUXDB_PASSWORD_FILE": str(self.secrets.v1_password),
        }

    def query_rows(self, influxql: str, database: str = BUCKET) -> Iterator[dict[str, Any]]:
        """Query as the dashboard does: InfluxQL, v1 endpoint, user `tower`."""
        password = read_secret(self.secrets.v1_password) or ""
        return self.influxdb.rows(influxql, database, V1_USER, password)

    def flux_csv(self, flux: str) -> Iterator[str]:
        """Query in Flux as the administrator; yield the answer's CSV lines."""
        token = read_secret(self.secrets.admin_token) or ""
        return self.influxdb.flux_lines(flux, ORG, token)

    def java_command(self, main: str, *args: str) -> tuple[list[str], dict[str, str]]:
        """Return argv and environment of one of Kafka's tools.

        Args:
            main: Its class, such as `org.apache.kafka.tools.ConsoleProducer`.
            args: Its arguments.
        """
        java = self._java()
        return java.command(main, *args, options=("-Xmx128m",)), java.environment()

    # --- steps of up ------------------------------------------------------------------------

    def _java(self) -> Java:
        if self._runtime is None:
            plan = self._plan or LabPlan.load(self.data) or self._wanted
            quick = plan.topology is Topology.CLUSTER
            self._runtime = runtime.java(self._progress, quick=quick)
        return self._runtime

    def _influxd(self) -> Path:
        if self._program is None:
            self._program = binary.influxd(self._progress)
        return self._program

    def _open(self) -> None:
        """Read the plan in the data folder."""
        if self._plan is not None:
            return
        plan = LabPlan.load(self.data)
        if plan is None:
            raise LabError(f"no lab in {self.data}; start one with `python -m lab up`")
        plan.check(self._wanted, self.data)
        self._plan = plan
        self._nodes = [
            Node(
                spec,
                plan.nodes,
                self.data / f"kafka-{spec.id}",
                self._java,
                host=plan.host,
                cluster=plan.cluster,
            )
            for spec in plan.nodes
        ]
        self._influxdb = InfluxdbServer(
            self.data / "influxdb", self._influxd, plan.host, plan.influxdb_port
        )

    def _forget(self) -> None:
        self._plan = None
        self._topics = None
