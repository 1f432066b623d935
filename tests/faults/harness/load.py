"""The load: records sent at a steady rate by a thread, each one in the ledger."""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from tests.faults.harness.ledger import SendLedger, SendStatus, sample

#: Seconds a record may wait for Kafka before the producer gives it up. Longer than any fault of the
#: suite, so that giving up is rare; what is given up may still appear, and no check requires it.
MESSAGE_TIMEOUT_S = 120

#: Seconds between two looks at the clock: a rate is kept by sending what is due at each.
TICK_S = 0.01

#: Seconds a record's own time may be from Kafka's for the worker to believe it (TOWER_TIME_WINDOW_S).
BELIEVED_S = 86_400

#: The first second that can be a record's or Kafka's time.
YEAR_2000 = 946_684_800

#: Errors after which a record may yet be in the log.
UNCERTAIN = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._PURGE_INFLIGHT})

#: Gives the bytes of a further record that must become a dead letter, or None for an ordinary one.
Poison = Callable[[int, random.Random], bytes | None]

#: Gives other bytes for the bytes of a sample.
Change = Callable[[bytes, random.Random], bytes]


class Load:
    """A producer with acks=all and idempotence that writes to explicit partitions in turn.

    Args:
        bootstrap: `host:port,…` of the brokers.
        topic: Topic with as many partitions as the ledger has books.
        ledger: Where every attempt and every report goes.
        rate: Records a second; may be changed while it runs, 0 pauses it.
        properties: More librdkafka properties (security).
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        ledger: SendLedger,
        rate: float = 2_000,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        self.rate = rate
        #: Skew in seconds of the clock that the records tell.
        self.skew_s = 0
        #: Skew in seconds of the one that Kafka's timestamps tell, which is the sender's too.
        self.stamp_s = 0
        self.poison: Poison | None = None
        #: Changes the bytes of an ordinary sample, which must still become its point.
        self.change: Change | None = None
        self.partitions = list(range(len(ledger.books)))
        self._ledger = ledger
        self._topic = topic
        self._random = random.Random(ledger.seed)
        self._delivered = 0
        self._lock = ledger.lock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._properties = {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 20,
            "compression.type": "lz4",
            "message.timeout.ms": MESSAGE_TIMEOUT_S * 1000,
            "queue.buffering.max.messages": 1_000_000,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 0,
            **(properties or {}),
        }
        self._producer = Producer(self._properties)

    def learn(self, partitions: int, timeout_s: float) -> None:
        """Wait until the producer knows so many partitions, and send to all of them.

        Raises:
            TimeoutError: It does not.
        """
        deadline = time.monotonic() + timeout_s
        while (
            len(self._producer.list_topics(self._topic, timeout_s).topics[self._topic].partitions)
            < partitions
        ):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the producer does not know {partitions} partitions")
            time.sleep(0.1)
        self.partitions = list(range(partitions))

    def renew(self) -> None:
        """Take another producer: one whose topic was made anew has lost its place.

        Nothing may be under way.
        """
        self._producer = Producer(self._properties)

    @property
    def delivered(self) -> int:
        """Records Kafka has confirmed so far."""
        return self._delivered

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def send(
        self,
        partition: int,
        value: bytes | None = None,
        *,
        poison: bool = False,
        extra: Mapping[str, Any] | None = None,
    ) -> int:
        """Send one record now, the next sample of its partition unless `value` is given.

        Args:
            partition: Where to.
            value: Other bytes than the sample's.
            poison: Whether it must become a dead letter; without a value it is a tombstone.
            extra: Further fields of the sample.

        Returns:
            Its sequence number.
        """
        now = time.time_ns() // 10**6
        second, stamp = now // 1000 + self.skew_s, now + self.stamp_s * 1000
        # As docs/records.md has it: a time before 2000 is none, and Kafka's counts if they are far apart.
        is_own = second >= YEAR_2000 and (
            stamp // 1000 < YEAR_2000 or abs(self.skew_s - self.stamp_s) <= BELIEVED_S
        )
        is_timeless = not is_own and stamp // 1000 < YEAR_2000
        with self._lock:
            seq = self._ledger.attempt(
                partition, second if is_own else stamp // 1000, poison=poison or is_timeless
            )
            if value is None and not poison:
                value = sample(self._ledger.seed, partition, seq, second)
                value = self.change(value, self._random) if self.change else value
        if extra and value is not None:
            value = json.dumps({**json.loads(value), **extra}).encode()
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value,
                    partition=partition,
                    timestamp=stamp,
                    on_delivery=self._reporter(partition, seq),
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return seq

    def wait(self, delivered: int, timeout_s: float) -> None:
        """Wait until so many records are confirmed in total.

        Raises:
            TimeoutError: They were not; says how many were.
        """
        deadline = time.monotonic() + timeout_s
        while self._delivered < delivered:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self._delivered} of {delivered} records confirmed by Kafka in {timeout_s:g} s; "
                    "look at the brokers' logs"
                )
            time.sleep(0.02)

    def flush(self, timeout_s: float) -> None:
        """Wait until Kafka has answered for all that was sent.

        Raises:
            TimeoutError: It has not; says for how many.
        """
        left = self._producer.flush(timeout_s)
        if left:
            raise TimeoutError(f"Kafka has not answered for {left} records in {timeout_s:g} s")

    def stop(self, timeout_s: float = MESSAGE_TIMEOUT_S) -> None:
        """Send no more and wait for the reports still out; what has none stays pending."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        deadline = time.monotonic() + timeout_s
        while self._producer.flush(0.5) and time.monotonic() < deadline:
            pass

    def _run(self) -> None:
        due, last, turn = 0.0, time.monotonic(), 0
        while not self._stop.is_set():
            now = time.monotonic()
            # After a stall (a full queue) the load goes on at its rate instead of making up for it.
            due += min(now - last, 1.0) * self.rate
            last = now
            while due >= 1 and not self._stop.is_set():
                due -= 1
                partition = self.partitions[turn % len(self.partitions)]
                turn += 1
                value = self.poison(partition, self._random) if self.poison else None
                self.send(partition, value, poison=value is not None)
            with suppress(KafkaException):
                self._producer.poll(0)
            self._stop.wait(TICK_S)

    def _reporter(self, partition: int, seq: int) -> Callable[[Any, Any], None]:
        def report(error: Any, message: Any) -> None:
            with self._lock:
                if error is None:
                    self._ledger.deliver(partition, seq, message.offset())
                    self._delivered += 1
                elif error.code() in UNCERTAIN:
                    self._ledger.fail(partition, seq, SendStatus.TIMED_OUT)
                else:
                    self._ledger.fail(partition, seq, SendStatus.REFUSED)

        return report
