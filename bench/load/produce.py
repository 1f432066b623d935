"""Fills a topic with synthetic records, as fast as Kafka takes them or at a rate."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from confluent_kafka import KafkaException, Producer

from bench.load.record import RecordShape
from lab.errors import LabError, SlowError

#: Records that are generated and handed over at once.
CHUNK = 30_000
#: Seconds without any progress after which Kafka is given up.
STUCK_S = 60.0
#: Seconds between two portions of a paced run: how far a record may be from its intended moment.
SLICE_S = 0.001


@dataclass(frozen=True)
class Target:
    """Where records go.

    Args:
        bootstrap: The brokers.
        topic: An existing topic.
        partitions: Its partitions, which take turns: record n goes to partition n modulo this.
        keyed: Let Kafka's hash of the device's name choose the partition instead, as with a message key.
    """

    bootstrap: str
    topic: str
    partitions: int
    keyed: bool = False


class LoadProducer:
    """A producer of one shape of records.

    Args:
        target: Where to.
        shape: What.
        linger_ms: Milliseconds that librdkafka waits for more records to send along.
    """

    def __init__(self, target: Target, shape: RecordShape, linger_ms: float = 20) -> None:
        self._target = target
        self._shape = shape
        self._failed: list[str] = []
        self._properties: dict[str, Any] = {
            "bootstrap.servers": target.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": linger_ms,
            "batch.num.messages": 10_000,
            "batch.size": 500_000,
            "queue.buffering.max.messages": 10 * CHUNK,
            "compression.type": "lz4",
            # Reports of success would cost more than the records.
            "delivery.report.only.error": True,
            "log_level": 2,
        }

    @cached_property
    def _producer(self) -> Producer:
        return Producer(self._properties)

    def hold(self) -> None:
        """Keep what is produced from now on from being read, until `release`: one Kafka transaction.

        Consumers that read only what is committed, as Tower and all of librdkafka's do by default, then
        find all of it at once.
        """
        self._properties |= {
            "transactional.id": f"{self._target.topic}-load",
            "transaction.timeout.ms": 900_000,
        }
        with self._errors("beginning a transaction"):
            self._producer.init_transactions(STUCK_S)
            self._producer.begin_transaction()

    def release(self) -> None:
        """Let consumers have what was held."""
        with self._errors("committing the transaction"):
            self._producer.commit_transaction(STUCK_S)

    def fill(self, first: int, count: int, tell: Callable[[str], None] = lambda _: None) -> float:
        """Produce records as fast as Kafka takes them.

        Args:
            first: Number of the first.
            count: Number of records.
            tell: Gets a few words on how far it is.

        Returns:
            Seconds it took.

        Raises:
            LabError: Kafka refused some, or stopped taking them.
        """
        began = time.monotonic()
        for start in range(first, first + count, CHUNK):
            self.send(start, min(CHUNK, first + count - start))
            tell(f"{start - first:,} of {count:,} records")
        self.finish()
        return time.monotonic() - began

    def pace(
        self,
        first: int,
        rate: float,
        count: int,
        *,
        began: float | None = None,
        until: Callable[[], bool] = lambda: False,
    ) -> int:
        """Produce at a rate, each record at its moment: a late one is sent at once, none is left out.

        Args:
            first: Number of the first.
            rate: Records a second.
            count: Number of records.
            began: `time.monotonic()` at which the first is due; now, where it is not given.
            until: Ends it earlier when it says so.

        Returns:
            Number of records produced.
        """
        origin, sent = time.monotonic() if began is None else began, 0
        while sent < count and not until():
            due = min(count, int((time.monotonic() - origin) * rate) + 1)
            if due > sent:
                self.send(first + sent, due - sent)
                sent = due
            self._producer.poll(0)
            time.sleep(SLICE_S)
        return sent

    def send(self, first: int, count: int) -> None:
        """Hand records to the client; waits while its queue is full."""
        values = self._shape.values(first, count)
        partitions = self._target.partitions
        if self._target.keyed:
            device = self._shape.device
            pairs = enumerate(values, first)
            self._hand_over([{"value": value, "key": device(seq)} for seq, value in pairs], None)
            return
        for number in range(min(partitions, count)):
            self._hand_over(
                [{"value": value} for value in self._shape.messages(values[number::partitions])],
                (first + number) % partitions,
            )

    def finish(self) -> None:
        """Wait until Kafka has every record.

        Raises:
            LabError: It has not.
        """
        deadline, left = time.monotonic() + STUCK_S, len(self._producer)
        while left:
            now = self._producer.flush(1.0)
            if now < left:
                deadline, left = time.monotonic() + STUCK_S, now
            elif time.monotonic() > deadline:
                raise SlowError(f"Kafka took no record for {STUCK_S:.0f} s; {left} are left")
        if self._failed:
            raise LabError(f"Kafka refused {len(self._failed)} records: {self._failed[0]}")

    def _hand_over(self, messages: list[dict[str, Any]], partition: int | None) -> None:
        deadline = time.monotonic() + STUCK_S
        where: dict[str, Any] = {} if partition is None else {"partition": partition}
        while messages:
            with self._errors("producing"), suppress(BufferError):
                self._producer.produce_batch(
                    self._target.topic, messages, on_delivery=self._report, **where
                )
            messages = [message for message in messages if message.pop("_error", None) is not None]
            if messages:
                if time.monotonic() > deadline:
                    raise SlowError(f"Kafka took no record for {STUCK_S:.0f} s; see `python -m lab status`")
                self._producer.poll(0.05)

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise LabError(f"{doing} for {self._target.topic}: {error.args[0].str()}") from error

    def _report(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed.append(error.str())
