"""Fills a topic with synthetic records, as fast as Kafka takes them or at a rate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, Producer

from lab.errors import LabError, SlowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.record import Shape

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
        bootstrap: the brokers.
        topic: an existing topic.
        partitions: its partitions, which take turns: record n goes to partition n modulo this.
        keyed: let Kafka's hash of the device's name choose the partition instead, as with a message key.
    """

    bootstrap: str
    topic: str
    partitions: int
    keyed: bool = False


class Load:
    """A producer of one shape of records.

    Args:
        target: where to.
        shape: what.
        linger_ms: milliseconds that librdkafka waits for more records to send along.
    """

    def __init__(self, target: Target, shape: Shape, linger_ms: int = 20) -> None:
        self._target = target
        self._shape = shape
        self._failed: list[str] = []
        self._producer = Producer(
            {
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
        )

    def fill(self, first: int, count: int, tell: Callable[[str], None] = lambda _: None) -> float:
        """Produce records as fast as Kafka takes them.

        Args:
            first: number of the first.
            count: how many.
            tell: gets a few words on how far it is.

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
        self, first: int, rate: float, seconds: float, until: Callable[[], bool] = lambda: False
    ) -> int:
        """Produce at a rate, each record at its moment: a late one is sent at once, none is left out.

        Args:
            first: number of the first.
            rate: records a second.
            seconds: for so long.
            until: ends it earlier when it says so.

        Returns:
            Number of records produced.
        """
        began, sent = time.monotonic(), 0
        total = int(rate * seconds)
        while sent < total and not until():
            due = min(total, int((time.monotonic() - began) * rate) + 1)
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
                [{"value": value} for value in values[number::partitions]], (first + number) % partitions
            )

    def finish(self) -> None:
        """Wait until Kafka has every record.

        Raises:
            LabError: it has not.
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
            try:
                self._producer.produce_batch(
                    self._target.topic, messages, on_delivery=self._report, **where
                )
            except BufferError:
                pass
            except KafkaException as error:
                raise LabError(f"producing to {self._target.topic}: {error.args[0].str()}") from error
            messages = [each for each in messages if each.pop("_error", None) is not None]
            if messages:
                if time.monotonic() > deadline:
                    raise SlowError(f"Kafka took no record for {STUCK_S:.0f} s; see `python -m lab status`")
                self._producer.poll(0.05)

    def _report(self, error: Any, _: Any) -> None:
        if error is not None:
            self._failed.append(error.str())
