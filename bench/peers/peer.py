"""The peers: how each is installed and started for one topic and one bucket."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import psutil
from confluent_kafka import Consumer, TopicPartition

from bench.harness.bucket import Bucket
from bench.harness.rig import Rig
from bench.load.produce import Target
from bench.load.record import Unit
from bench.peers import build
from lab.provision import ORG, V1_USER
from lab.senders.formats import FLUME_NAMES
from lab.system.files import read_secret, write_secret
from lab.system.progress import Progress
from lab.system.server_process import Server, environment

#: The field `time` in the words of Go's library.
GO_TIMES = {Unit.SECOND: "2006-01-02T15:04:05-0700", Unit.MILLISECOND: "2006-01-02T15:04:05.000-0700"}


@dataclass(frozen=True)
class Job:
    """What a peer has to do.

    Args:
        rig: The lab to measure in, and what is created there.
        target: Topic to read.
        bucket: Bucket to write.
        group: Its consumer group, new for each run.
        folder: For its files.
        unit: Of the records' own times.
    """

    rig: Rig
    target: Target
    bucket: Bucket
    group: str
    folder: Path
    unit: Unit

    def environment(self) -> dict[str, str]:
        """The job in the words that the settings of the peers use."""
        return environment(
            BOOTSTRAP_SERVERS=self.target.bootstrap,
            TOPIC=self.target.topic,
            GROUP=self.group,
            INFLUXDB_URL=self.rig.lab.influxdb.url,
            INFLUXDB_TOKEN=self.bucket.token,
            ORG=ORG,
            BUCKET=self.bucket.name,
            # As a person would write it into the program: the points' names of the record's fields.
            FIELDS=json.dumps({**FLUME_NAMES, "seq": "seq"}),
            PRECISION=self.unit.value,
            TIME_FORMAT=GO_TIMES[self.unit],
        )


class Peer(Protocol):
    """A program that moves records from Kafka to InfluxDB."""

    name: str

    def prepare(self, progress: Progress) -> None:
        """Install it.

        Raises:
            LabError: It cannot be; says why.
        """

    def command(self, job: Job) -> tuple[Sequence[str], Mapping[str, str]]:
        """Argv and environment."""


class Telegraf:
    """Telegraf with one of the settings in bench/peers.

    Args:
        settings: `tuned` or `defaults`.
    """

    def __init__(self, settings: str) -> None:
        self.name = f"Telegraf {build.TELEGRAF}, {settings}"
        self._settings = settings
        self._program = ""

    def prepare(self, progress: Progress) -> None:
        """Build it."""
        self._program = str(build.telegraf(progress))

    def command(self, job: Job) -> tuple[Sequence[str], Mapping[str, str]]:
        """Argv and environment."""
        config = str(_file(f"telegraf-{self._settings}.conf"))
        return [self._program, "--config", config], job.environment()


class Tutorial:
    """The examples of both clients, put together."""

    name = "tutorial code"

    def prepare(self, progress: Progress) -> None:
        """It is here already."""

    def command(self, job: Job) -> tuple[Sequence[str], Mapping[str, str]]:
        """Argv and environment."""
        return [sys.executable, str(_file("tutorial.py"))], job.environment()


class KafkaInfluxdb:
    """The direct predecessor, from the Python package index."""

    name = f"kafka-influxdb {build.KAFKA_INFLUXDB}"

    def __init__(self) -> None:
        self._python = ""

    def prepare(self, progress: Progress) -> None:
        """Install it."""
        self._python = str(build.kafka_influxdb(progress))

    def command(self, job: Job) -> tuple[Sequence[str], Mapping[str, str]]:
        """Argv and environment; its settings, with the password, are a file of the job's."""
        kafka = job.target.bootstrap.split(",")[0]
        influxdb = urlsplit(job.rig.lab.influxdb.url)
        words = {
            "kafka_host": kafka.rpartition(":")[0],
            "kafka_port": kafka.rpartition(":")[2],
            "topic": job.target.topic,
            "group": job.group,
            "influxdb_host": influxdb.hostname,
            "influxdb_port": influxdb.port,
            "bucket": job.bucket.name,
            "precision": job.unit.value,
            "v1_user": V1_USER,
            "v1_password": read_secret(job.rig.lab.secrets.v1_password),
        }
        config = job.folder / "kafka_influxdb.yaml"
        write_secret(config, _file("kafka_influxdb.yaml").read_text().format(**words))
        # It always begins at the end of a topic, unless its group has been elsewhere already.
        _begin(job)
        main = str(_file("kafka_influxdb_main.py"))
        return [self._python, main, "--configfile", str(config)], job.environment()


#: In the order in which they are compared.
PEERS: dict[str, Peer] = {
    "telegraf": Telegraf("tuned"),
    "telegraf-defaults": Telegraf("defaults"),
    "tutorial": Tutorial(),
    "kafka-influxdb": KafkaInfluxdb(),
}


class Runner(Server):
    """A peer's process.

    Args:
        peer: Which.
        job: What it has to do.
    """

    def __init__(self, peer: Peer, job: Job) -> None:
        super().__init__(peer.name, job.folder)
        self._peer = peer
        self._job = job

    def start(self) -> None:
        """Start it."""
        argv, env = self._peer.command(self._job)
        self.launch(list(argv), env)

    def serving(self, timeout_s: float = 1.0) -> bool:  # noqa: ARG002 - it has no port to ask
        """Whether it runs."""
        return self.process() is not None

    def processes(self) -> list[psutil.Process]:
        """It and its children."""
        process = self.process()
        try:
            return [] if process is None else [process, *process.children(recursive=True)]
        except psutil.Error:
            return []


def _begin(job: Job) -> None:
    """Commit the beginning of each partition for the job's group."""
    consumer = Consumer(
        {"bootstrap.servers": job.target.bootstrap, "group.id": job.group, "enable.auto.commit": False}
    )
    try:
        begin = [TopicPartition(job.target.topic, number, 0) for number in range(job.target.partitions)]
        consumer.commit(offsets=begin, asynchronous=False)
    finally:
        consumer.close()


def _file(name: str) -> Path:
    return Path(str(resources.files("bench.peers").joinpath(name)))
