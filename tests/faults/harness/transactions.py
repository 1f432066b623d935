"""A load in transactions: most are committed, and some are aborted."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaException

from tests.faults.harness.ledger import SendLedger, SendStatus
from tests.faults.harness.load import TICK_S, Load

#: Seconds that a request of a transaction may take, on a busy machine.
REQUEST_S = 60.0

#: Records of one transaction. Kafka writes a marker for each partition of each.
LONGEST = 500


class TransactionalLoad(Load):
    """Sends as `Load` does, in transactions. Aborted records count as refused: no check requires them.

    Args:
        bootstrap: `host:port,…` of the brokers.
        topic: Topic with as many partitions as the ledger has books.
        ledger: Where every attempt and every outcome goes.
        rate: Records a second; may be changed while it runs, 0 pauses it.
        properties: More librdkafka properties (security).

    Attributes:
        aborted: Partition and sequence number of each record that was aborted.
        transactions: Number of transactions so far.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        ledger: SendLedger,
        rate: float = 2_000,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        identity = {"transactional.id": f"{topic}-load", "transaction.timeout.ms": 180_000}
        super().__init__(bootstrap, topic, ledger, rate, {**identity, **(properties or {})})
        self.aborted: set[tuple[int, int]] = set()
        self.transactions = 0
        self._sent: list[tuple[int, int, int]] = []
        self._producer.init_transactions(REQUEST_S)

    def _run(self) -> None:
        due, last, turn = 0.0, time.monotonic(), 0
        while not self._stop.is_set():
            now = time.monotonic()
            due = min(due + min(now - last, 1.0) * self.rate, LONGEST)
            last = now
            if due >= 1:
                self._producer.begin_transaction()
                while due >= 1:
                    due -= 1
                    self.send(self.partitions[turn % len(self.partitions)])
                    turn += 1
                self._end(commit=self._random.random() < 0.75)
            self._stop.wait(TICK_S)

    def _end(self, *, commit: bool) -> None:
        self._producer.flush(REQUEST_S)
        while True:
            try:
                if commit:
                    self._producer.commit_transaction(REQUEST_S)
                else:
                    self._producer.abort_transaction(REQUEST_S)
            except KafkaException as error:
                if error.args[0].retriable():
                    continue
                if not error.args[0].txn_requires_abort():
                    raise
                commit = False
            else:
                break
        self.transactions += 1
        sent, self._sent = self._sent, []
        with self._lock:
            for partition, seq, offset in sent:
                if commit:
                    self._ledger.deliver(partition, seq, offset)
                else:
                    self._ledger.fail(partition, seq, SendStatus.REFUSED)
                    self.aborted.add((partition, seq))
                # Both are answered: `wait` asks for no more.
                self._delivered += 1

    def _reporter(self, partition: int, seq: int) -> Callable[[Any, Any], None]:
        """Keep what Kafka reports until the transaction ends: only then is it in the log for good."""

        def report(error: Any, message: Any) -> None:
            if error is None:
                self._sent.append((partition, seq, message.offset()))

        return report
