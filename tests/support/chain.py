"""One test's own chain: a topic, a dead-letter topic, a bucket and a pool, on the lab all tests share."""

import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from confluent_kafka import Consumer, Producer, TopicPartition

from lab.lab import Lab
from lab.senders.formats import Format, encode
from lab.system.files import read_secret
from tests.support.pool import TowerPool

#: Seconds within which a few thousand records must have gone all the way, on a busy machine.
DRAIN_S = 60.0


class Chain:
    """Everything between one producer and one bucket.

    Args:
        lab: Real Kafka and InfluxDB.
        folder: Where the pool lives.
        environment: Settings of the workers besides the chain's own.
        partitions: Partitions of the topic.
        workers: Number of workers.
    """

    def __init__(
        self,
        lab: Lab,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        partitions: int = 3,
        workers: int = 3,
    ) -> None:
        self.lab = lab
        self.partitions = partitions
        self.name = f"chain-{uuid.uuid4().hex[:8]}"
        lab.topics.create(self.name, partitions)
        lab.topics.create(f"{self.name}.dlq", 1)
        self.token = lab.create_bucket(self.name)
        self.environment = {
            **lab.worker_environment(),
            "TOWER_KAFKA_GROUP_ID": self.name,
            "TOWER_TOPIC": self.name,
            "TOWER_DEAD_LETTER_TOPIC": f"{self.name}.dlq",
            "TOWER_INFLUXDB_BUCKET": self.name,
            "TOWER_INFLUXDB_DATABASE": self.name,
            "TOWER_INFLUXDB_TOKEN": self.token,
            **(environment or {}),
        }
        if "TOWER_INFLUXDB_TOKEN_FILE" not in (environment or {}):
            del self.environment["TOWER_INFLUXDB_TOKEN_FILE"]
        self.pool = TowerPool(folder / self.name, self.environment, workers, partitions=partitions)
        #: Further pools with the same settings.
        self.others: list[TowerPool] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(self.pool.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def join(self) -> TowerPool:
        """Start a second pool with the same settings, beside the first; does not wait until it runs."""
        folder = self.pool.folder.with_name(f"{self.pool.folder.name}-{len(self.others) + 2}")
        other = TowerPool(folder, self.environment, self.pool.workers, partitions=self.partitions)
        self.others.append(other)
        self._stack.callback(other.stop)
        other.start(wait=False)
        return other

    def start_as_daemon(self) -> None:
        """Start the pool as an operator does, so that commands may stop and start it."""
        self._stack.callback(self.pool.operate, "down")
        subprocess.run(
            self.pool.command("supervisord"),
            cwd=self.pool.folder,
            env=self.pool.process_environment(),
            stdin=subprocess.DEVNULL,
            timeout=DRAIN_S,
            check=True,
        )

    def produce(
        self,
        values: Iterable[bytes | None],
        partition: int | None = None,
        topic: str | None = None,
        **how: Any,
    ) -> int:
        """Produce messages, each confirmed by Kafka, round robin or to one partition; their number."""
        producer = Producer({"bootstrap.servers": self.lab.bootstrap_servers, "linger.ms": 5})
        failures: list[str] = []
        count = 0
        for count, value in enumerate(values, 1):
            producer.produce(
                topic or self.name,
                value,
                partition=count % self.partitions if partition is None else partition,
                on_delivery=lambda error, _: failures.append(error.str()) if error else None,
                **how,
            )
            producer.poll(0)
        producer.flush(30)
        assert not failures, failures[:3]
        return count

    def write(self, lines: list[str]) -> None:
        """Write points as an administrator, past Kafka and the workers."""
        admin_token = read_secret(self.lab.secrets.admin_token) or ""
        url = f"{self.lab.influxdb.url}/api/v2/write?org=GIST&bucket={self.name}"
        headers = {"Authorization": f"Token {admin_token}"}
        request = Request(url, "\n".join(lines).encode(), headers)  # noqa: S310 - http, on loopback
        urlopen(request, timeout=60).close()  # noqa: S310

    def drain(self, timeout_s: float = DRAIN_S) -> None:
        """Wait until the group has committed everything the topic holds."""
        ends = self.lab.topics.log_ends(self.name)

        def drained() -> bool:
            committed = self.lab.topics.committed(self.name, self.name)
            return all((committed.get(number) or 0) >= end for number, end in ends.items())

        self.pool.until(drained, timeout_s, f"{self.name} to be drained")

    def rows(self, columns: str = '"seq"', group_by: str = "") -> list[dict[str, Any]]:
        """Points of this chain's bucket, asked as the dashboard asks."""
        # Names this test made itself.
        query = f'SELECT {columns} FROM "{self.name}"."autogen"."labs" WHERE time > 0 {group_by}'  # noqa: S608
        return list(self.lab.query_rows(query, self.name))

    def sequences(self) -> list[int]:
        """The `seq` of every point, with repetitions if there are any."""
        return [int(row["seq"]) for row in self.rows() if row["seq"] is not None]

    def dead_letters(self) -> Iterator[tuple[bytes | None, dict[str, str]]]:
        """Value and headers of every dead letter."""
        topic = f"{self.name}.dlq"
        end = self.lab.topics.log_ends(topic)[0]
        consumer = Consumer(
            {"bootstrap.servers": self.lab.bootstrap_servers, "group.id": f"{topic}-reader"}
        )
        consumer.assign([TopicPartition(topic, 0, 0)])
        try:
            read = 0
            while read < end:
                message = consumer.poll(10)
                assert message is not None
                assert message.error() is None
                read = (message.offset() or 0) + 1
                pairs: Any = message.headers() or []
                headers = {key: (value or b"").decode() for key, value in pairs}
                yield message.value(), headers
        finally:
            consumer.close()


def record(seq: int, at: float | None = None, *, timed: bool = True, **more: Any) -> bytes:
    """The lab's record from one of five devices, with a sequence number to find it by.

    Args:
        seq: Its number.
        at: Its time in seconds since the epoch, now by default.
        timed: Whether it has a time at all.
        more: Further fields.
    """
    fields = {
        "tx_bytes": 0,
        "rx_bytes": 0,
        "tx_drops": 0,
        "rx_drops": 0,
        "tx_errors": 0,
        "rx_errors": 0,
        "cpu_load": "0.33",
        "free_ram": 22_000_000 + seq,
        "disk_util": 7,
        "deviceId": f"pi-{seq % 5}",
        "seq": seq,
        **more,
    }
    return encode(fields, Format.JSON, (at or time.time()) if timed else None)
