"""Sends this machine's record once a second, as the lab's Pi and its Fluentd do."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lab.errors import LabError
from lab.senders.expected import ExpectedPoint
from lab.senders.formats import Format, encode
from lab.system.server_process import uninterrupted

#: Seconds after which an undelivered record is given up, as Fluentd's output does.
DELIVERY_S = 30.0


class Sender:
    """Sends message values and counts the delivered ones.

    Args:
        bootstrap: `host:port` of the brokers, separated by commas.
        topic: The topic.
        delivered: Called with (tag, partition, offset) of each value that all replicas in sync have.

    Attributes:
        delivered_count: Values that Kafka acknowledged.
        failed: Values that it did not acknowledge in time.
        reason: The last error, empty if there was none.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        delivered: Callable[[Any, int, int], None] | None = None,
    ) -> None:
        self._topic = topic
        self._delivered = delivered
        self.delivered_count = 0
        self.failed = 0
        self.reason = ""
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 20,
                # Each record to a random partition, as Fluentd does; librdkafka would stay with
                # one for a while.
                "sticky.partitioning.linger.ms": 0,
                "delivery.timeout.ms": int(DELIVERY_S * 1000),
                "request.timeout.ms": 5000,
                "log_level": 2,
                "error_cb": self._note,
            }
        )

    def send(self, value: bytes, tag: Any = None) -> None:
        """Queue one value; waits while the queue is full."""

        def report(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self.failed += 1
                self.reason = error.str()
                return
            self.delivered_count += 1
            if self._delivered is not None:
                self._delivered(tag, message.partition() or 0, message.offset() or 0)

        deadline = time.monotonic() + DELIVERY_S
        while True:
            try:
                with uninterrupted():
                    self._producer.produce(self._topic, value, on_delivery=report)
                    self._producer.poll(0)
            except BufferError:
                if time.monotonic() > deadline:
                    raise LabError(f"Kafka takes no records: {self.reason}") from None
                self.poll(0.1)
            except KafkaException as error:
                raise LabError(f"sending to {self._topic}: {error.args[0].str()}") from error
            else:
                return

    def poll(self, seconds: float = 0.0) -> None:
        """Serve delivery reports for this many seconds."""
        # A signal that arrives while the client calls `report` would come out of the client as
        # another error than what its handler raises.
        with uninterrupted():
            self._producer.poll(seconds)

    def finish(self) -> None:
        """Wait until every record is delivered.

        Raises:
            LabError: Some records were not delivered.
        """
        deadline = time.monotonic() + DELIVERY_S + 5
        while len(self._producer) and time.monotonic() < deadline:
            self.poll(0.1)
        left = len(self._producer)
        if left or self.failed:
            raise LabError(
                f"{left + self.failed} records did not arrive in {self._topic}: "
                f"{self.reason or 'no answer'}; is Kafka up? see `python -m lab status`"
            )

    def _note(self, error: KafkaError) -> None:
        self.reason = error.str()


@dataclass
class Feed:
    """One record a second from each device.

    Args:
        sender: Sends the records.
        sample: Returns the values, once a second for all devices.
        form: Format of the records.
        devices: Values of the field `deviceId`; none: one record without it, as the lab's Pi sends.
        numbered: Number each device's records in the field `seq`.

    Attributes:
        last: The last record, as it was sent.
    """

    sender: Sender
    sample: Callable[[], Mapping[str, Any]]
    form: Format = Format.JSON
    devices: tuple[str, ...] = ()
    numbered: bool = False
    last: bytes = b""
    _sent: dict[str, int] = field(default_factory=dict)

    def send_round(self) -> None:
        """Sample once and send one record for each device."""
        now = time.time()
        values = self.sample()
        for device in self.devices or ("",):
            number = self._sent.get(device, 0)
            self._sent[device] = number + 1
            record: dict[str, Any] = dict(values)
            if device:
                record["deviceId"] = device
            if self.numbered:
                record["seq"] = number
            self.last = encode(record, self.form, now)
            # A record without a number is identified by its second.
            self.sender.send(self.last, ExpectedPoint(device, number if self.numbered else int(now)))

    def run(self, count: int, interval_s: float, tell: Callable[[str], None]) -> None:
        """Send `count` rounds, one each `interval_s` seconds.

        Args:
            count: Number of rounds; 0: no end.
            interval_s: Seconds between the starts of two rounds; no round is skipped.
            tell: Called with a line on the progress after each round.
        """
        began = time.monotonic()
        done = 0
        while not count or done < count:
            self.send_round()
            done += 1
            wait = began + done * interval_s - time.monotonic()
            if count and done == count:
                break
            self.sender.poll(max(0.0, wait))
            wait = began + done * interval_s - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            tell(f"{self.sender.delivered_count} records delivered to Kafka" + self._trouble())
        self.sender.finish()

    def _trouble(self) -> str:
        waiting = sum(self._sent.values()) - self.sender.delivered_count
        return f", {waiting} not yet: {self.sender.reason}" if waiting > 1 else ""
