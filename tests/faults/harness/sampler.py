"""The online watch: twice a second, what is committed and then what is stored, and how the workers are."""

import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.faults.harness.checks import CommitLog
from tests.faults.harness.ledger import SendLedger, SendStatus
from tests.faults.harness.stored import Database, DeadLetter

#: Seconds between two samples.
INTERVAL_S = 0.5

#: Seconds Kafka or InfluxDB may take to answer a sample; without an answer it is skipped, not judged.
ANSWER_S = 3.0


class Commit(NamedTuple):
    """Committed offsets at one moment of the monotonic clock."""

    at: float
    offsets: Mapping[int, int]


class Sampler:
    """Reads the committed offsets first and the stored points after them, over and over.

    Args:
        bootstrap: Brokers.
        group: The workers' group, which the sampler never joins.
        topic: The workers' topic.
        ledger: What was sent.
        database: What is stored.
        dead: Gives the dead letters so far; asked only about what is not stored.
        look: Called at every sample, for the vital signs of the workers.
        properties: More librdkafka properties (security).
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topic: str,
        *,
        ledger: SendLedger,
        database: Database,
        dead: Callable[[], list[DeadLetter]],
        look: Callable[[], object] = lambda: None,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        self.log = CommitLog()
        self.commits: list[Commit] = []
        self.interval_s = INTERVAL_S
        self._ledger = ledger
        self._database = database
        self._dead = dead
        self._look = look
        self._numbers = [TopicPartition(topic, number) for number in range(len(ledger.books))]
        #: By partition: the next sequence number to look at, and earlier ones that no sample has seen
        #: stored: their delivery report was still out, or InfluxDB did not answer.
        self._next = [0] * len(ledger.books)
        self._open: list[set[int]] = [set() for _ in ledger.books]
        self._excluded: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "reconnect.backoff.max.ms": 1_000,
                # 900,000 ms: what a broker just started did not know yet would be believed so long.
                "metadata.max.age.ms": 3_000,
                "log_level": 0,
                **(properties or {}),
            }
        )

    def start(self) -> None:
        """Begin to sample."""
        self._thread.start()

    def grow(self, topic: str, partitions: int) -> None:
        """Look at more partitions from now on."""
        new = range(len(self._numbers), partitions)
        self._next += [0 for _ in new]
        self._open += [set() for _ in new]
        # Last: the thread looks at the others by these.
        self._numbers = [*self._numbers, *(TopicPartition(topic, number) for number in new)]

    def stop(self, *, last: bool = False) -> None:
        """Take no more samples.

        Args:
            last: But one more, of all that is committed by now.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if last:
            self.sample()
        self._consumer.close()

    def committed(self, timeout_s: float = ANSWER_S) -> dict[int, int]:
        """Committed offset by partition, without the partitions that have none.

        Raises:
            KafkaException: No answer in time.
        """
        committed_offsets = self._consumer.committed(self._numbers, timeout=timeout_s)
        for committed_offset in committed_offsets:
            if committed_offset.error is not None:
                raise KafkaException(committed_offset.error)
        return {
            committed_offset.partition: committed_offset.offset
            for committed_offset in committed_offsets
            if committed_offset.offset >= 0
        }

    def lag_zero(self, since: float, ends: Mapping[int, int]) -> float | None:
        """Seconds from `since` until all that was produced by then was committed, None if it never was."""
        for commit in self.commits[bisect_left(self.commits, since, key=lambda commit: commit.at) :]:
            if all(commit.offsets.get(number, 0) >= end for number, end in ends.items()):
                return commit.at - since
        return None

    def forget(self, below: Mapping[int, int]) -> None:
        """Ask no more for records below these offsets: their bucket is gone."""
        self._excluded = dict(below)

    def sample(self) -> None:
        """One look: committed offsets, then the points that they claim."""
        try:
            committed = self.committed()
            self.commits.append(Commit(time.monotonic(), committed))
            claimed = {number: self._claimed(number, end) for number, end in committed.items()}
            missing = self._missing({number: seqs for number, seqs in claimed.items() if seqs})
        except (KafkaException, OSError):
            self.log.skipped += 1
            return
        self.log.samples += 1
        for number, seqs in claimed.items():
            self._open[number] -= seqs
        for number, seqs in missing.items():
            if seqs:
                self.log.leads.append(
                    f"partition {number}: committed {committed[number]}, but {len(seqs)} records below it, "
                    f"the first seq {min(seqs)}, were not stored"
                )

    def _run(self) -> None:
        while not self._stop.wait(self.interval_s):
            self.sample()
            # The vital signs are those of processes that come and go while they are looked at.
            with suppress(OSError):
                self._look()

    def _claimed(self, number: int, committed: int) -> set[int]:
        """Sequence numbers below a committed offset that no sample has seen stored yet."""
        offsets, open_ = self._ledger.books[number].offsets, self._open[number]
        seq = self._next[number]
        while seq < len(offsets) and offsets[seq] < committed:
            if offsets[seq] == SendStatus.PENDING:
                # Nothing after it can be told yet, unless Kafka confirmed a later one below the commit.
                if not any(0 <= offset < committed for offset in offsets[seq + 1 : seq + 1_000]):
                    break
                open_.add(seq)
            elif offsets[seq] >= 0:
                open_.add(seq)
            seq += 1
        self._next[number] = seq
        least = self._excluded.get(number, 0)
        return {seq for seq in open_ if least <= offsets[seq] < committed}

    def _missing(self, claimed: Mapping[int, set[int]]) -> dict[int, set[int]]:
        if not claimed:
            return {}
        seconds = [self._ledger.books[number].seconds[seq] for number in claimed for seq in claimed[number]]
        missing = {number: set(seqs) for number, seqs in claimed.items()}
        for point in self._database.points(min(seconds), max(seconds) + 1):
            if point.part in missing:
                missing[point.part].discard(point.seq)
        if any(missing.values()):
            by_place = {(letter.partition, letter.offset) for letter in self._dead()}
            for number, seqs in missing.items():
                offsets = self._ledger.books[number].offsets
                seqs -= {seq for seq in seqs if (number, offsets[seq]) in by_place}
        return missing
