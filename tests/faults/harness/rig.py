"""One scenario: what is done on its stage, and the checks of what is left at its end."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from confluent_kafka import OFFSET_STORED, KafkaException

from lab.errors import LabError
from lab.lab import Lab
from tests.faults.harness import checks, stored
from tests.faults.harness.checks import Verdict
from tests.faults.harness.result import Result, broken
from tests.faults.harness.stage import Stage


class Rig(Stage):
    """A stage, the waits and the heal of what is done there, and the verdicts.

    Args:
        lab: Real Kafka and InfluxDB.
        result: Where verdicts and figures go.
        quick: Fewer records and shorter faults.
    """

    def __init__(self, lab: Lab, result: Result, *, quick: bool) -> None:
        super().__init__(lab, result, quick=quick)
        self._ends: dict[int, int] = {}
        self._healed: float | None = None
        self._victim: int | None = None

    def seconds(self, full: float, quick: float) -> float:
        """A span by the mode of the run."""
        return quick if self.quick else full

    def run_for(self, seconds: float) -> None:
        """Let load and workers run."""
        time.sleep(seconds)

    def until_written(self, since: float, partition: int | None = None, timeout_s: float = 30) -> float:
        """Wait for the first acknowledged write that began after `since`; gives the seconds it took."""

        def written() -> bool:
            return self.proxy.first_write(since, partition) is not None

        self.until(
            written, timeout_s, "a write" if partition is None else f"a write of partition {partition}"
        )
        return self.proxy.first_write(since, partition) or 0.0

    def healed(self, at: float | None = None, partition: int | None = None) -> None:
        """The fault is over now (or was, at a monotonic time): recovery is counted from here.

        Args:
            at: When it was over.
            partition: The partition whose first write counts, any when None.
        """
        self._healed = time.monotonic() if at is None else at
        self._victim = partition
        deadline = time.monotonic() + 30
        while True:
            try:
                self._ends = self.kafka.topics.log_ends(self.name)
            except (KafkaException, LabError):
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def figure(self, name: str, value: float | None) -> None:
        """Put a number into the result."""
        self.result.figures[name] = round(value, 3) if value is not None else None

    def expect(self, check: str, ok: bool, evidence: str) -> None:
        """A check of this scenario alone."""
        self.result.verdicts.append(Verdict(check, ok, evidence))

    def expect_same_processes(self, before: Iterable[int], after: Iterable[int]) -> None:
        """No worker exited and none was started: the process ids before and after are the same."""
        ids, ids_after = set(before), set(after)
        self.expect("same processes", ids == ids_after, f"{len(ids & ids_after)} of {len(ids)} still run")

    def top_up(self) -> None:
        """Send fast until Kafka has confirmed as many records as the scenario is to have."""
        missing = self.records - self.load.delivered
        if missing > 0:
            self.load.rate = max(self.load.rate, 8_000)
            self.load.wait(self.records, 60 + missing / 1_000)

    def pause_load(self) -> None:
        """Send no more for now, and wait until all that was sent is committed."""
        self.load.rate = 0
        self.settle()

    def settle(self) -> None:
        """Wait until all that was sent is in Kafka and committed; the load must not run."""
        self.load.wait(self.ledger.attempted, 30)
        self.drain()

    def finish(
        self, *, crashes: int = 0, repeats: int = 0, drain: bool = True, reasons: set[str] | None = None
    ) -> None:
        """Top up the load, drain, stop, make all checks, and fail where one does not hold.

        Args:
            crashes: Times a worker, or the membership of one, ended without a commit: each may repeat a
                batch.
            repeats: Further lines that may have been written twice, and why is said in the scenario.
            drain: False where the scenario ends with workers that are meant to wait.
            reasons: The only reasons dead letters may have, any when None.
        """
        self.top_up()
        self.load.stop()
        if drain:
            try:
                self.drain()
            except TimeoutError as error:
                self.result.error = str(error)[:2_000]
        last = [worker for pool in self.pools for worker in pool.vitals()]
        self.sampler.stop(last=True)
        for pool in self.pools:
            pool.stop()
        self.judge(last, crashes, repeats)
        if reasons is not None:
            counts = Counter(letter.reason for letter in self.letters)
            self.expect("reasons", set(counts) <= reasons, f"reasons of the dead letters: {dict(counts)}")
        problems = broken(self.result.verdicts)
        assert not problems, problems
        assert not self.result.error, self.result.error

    def judge(self, last: Sequence[checks.Vitals], crashes: int, repeats: int) -> None:
        """All checks, once nothing moves any more."""
        result = self.result
        self.dead_letters()
        stored_set = stored.collect(self.database.points(), self.ledger)
        unread = sum(1 for _ in stored.read_to_end(self.bootstrap, self.name, OFFSET_STORED, self.group))
        committed = self.kafka.topics.committed(self.group, self.name)
        acknowledged = self.proxy.acknowledged()
        # A write InfluxDB acknowledged and the worker never heard of is rightly repeated.
        unheard = sum(
            request.lines for request in self.proxy.requests if request.upstream == 204 != request.status
        )
        batch = max((request.lines for request in self.proxy.requests), default=0)
        first = [worker for pool in self.pools for worker in pool.first.values()]
        texts = {
            f"{pool.folder.name}/{name}": text for pool in self.pools for name, text in pool.texts().items()
        }
        extra = unheard + repeats + crashes * batch + sum(self.excluded.values())
        result.verdicts += [
            checks.no_loss(self.ledger, stored_set, self.letters, self.excluded),
            checks.no_invention(stored_set),
            checks.commit_never_leads(self.sampler.log),
            checks.drained(
                {number: offset or 0 for number, offset in committed.items()},
                self.kafka.topics.log_ends(self.name),
                unread,
            ),
            checks.no_duplicates(stored_set),
            checks.only_the_listed(self.ledger, self.letters),
            checks.alive(first, last, self.peak_mb, self.rss_mb),
            checks.accounted([state for pool in self.pools for state in pool.states()]),
            checks.amplification(acknowledged, stored_set, extra),
            *(checks.no_secret(secret, texts) for secret in self._secrets),
        ]
        self._figures(stored_set, acknowledged)

    def _figures(self, stored_set: stored.Stored, acknowledged: int) -> None:
        self.figure("acknowledged", self.ledger.acked)
        self.figure("stored", stored_set.points)
        self.figure("dead_letters", len(self.letters))
        self.figure("amplification", acknowledged / max(1, stored_set.distinct))
        self.figure("peak_mb", self.peak_mb)
        self.figure("rebalances", sum(pool.counter("rebalances") for pool in self.pools))
        self.figure("starts", sum(len(pool.spawned()) for pool in self.pools))
        if self._healed is not None:
            self.figure("first_write_s", self.proxy.first_write(self._healed, self._victim))
            self.figure("lag_zero_s", self.sampler.lag_zero(self._healed, self._ends))
        self.result.seconds = round(time.monotonic() - self._begun, 1)

    def drain(self) -> None:
        """Wait until the group has committed all there is now.

        Raises:
            TimeoutError: It did not within the deadline.
        """
        ends: dict[int, int] = {}
        seen: object = "nothing yet"

        def done() -> bool:
            nonlocal ends, seen
            try:
                # Not by the sampler's consumer: what its metadata once lacked it never asks for again.
                ends = ends or self.kafka.topics.log_ends(self.name)
                committed = self.sampler.committed()
            except (KafkaException, LabError) as error:
                seen = error
                return False
            seen = f"committed {committed} of {ends}"
            return all(committed.get(number, 0) >= end for number, end in ends.items())

        try:
            self.until(done, self.deadline_s, "the group to commit all there is")
        except TimeoutError as error:
            raise TimeoutError(f"{seen}; {error}") from error
