"""The path of one record, from consume to commit."""

import json
import logging
import signal
from collections.abc import Callable
from typing import Any

from workers.batch import Batch
from workers.committer import Committer
from workers.config.settings import Settings
from workers.errors import DrainExpired
from workers.parts import Parts
from workers.report import Report
from workers.state import WorkerState
from workers.types import Partition

#: Seconds of failed writes after which partitions are paused. A pause discards prefetched messages, so
#: pausing for a shorter failure costs more than it saves.
PAUSE_AFTER_S = 1.0

#: Seconds without an answer to a write after which a worker counts as waiting.
SLOW_WRITE_S = 5.0

#: Longest time in seconds that one `consume` or `poll_paused` blocks. A signal is noticed within this time.
SLICE_S = 0.25


class Loop:
    """One worker: consumes, writes, and commits what is written.

    Args:
        settings: The worker's settings.
        parts: What the loop works with.
        feed_watchdog: Called in each round.
        clock: Monotonic seconds.
        sleep: Waits for a number of seconds.
    """

    def __init__(
        self,
        settings: Settings,
        parts: Parts,
        feed_watchdog: Callable[[], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._feed_watchdog = feed_watchdog
        self._clock = clock
        self._sleep = sleep
        self._log = logging.getLogger("tower.loop")
        self._batch = Batch()
        self._delivering = False
        self._trouble_since: float | None = None
        #: When the write began that InfluxDB has not answered yet, or earlier.
        self._write_began = 0.0
        self._signal = 0
        #: Records of a message, as the last ones had them.
        self._per_message = 1.0
        self._state = parts.state
        self._drain = parts.drain
        self._converter = parts.converter
        self._writer = parts.writer
        self._delivery = parts.delivery(self.wait, self._note_write)
        self._dead_letters = parts.dead_letters(self.wait)
        self._consumer = parts.consumer(self._flush_revoked)
        self._content = Report(parts, self._delivery, self._dead_letters, self._consumer)
        #: Times of the oldest records of the last batch that was stored after the last report.
        self._stored_oldest: dict[Partition, int] = {}
        self._committer = Committer(self._consumer, settings.commit_idle_s, clock)

    def run(self) -> None:
        """Move records until `stop` is called, then finish the batch in hand within TOWER_DRAIN_S."""
        self._state.enter(WorkerState.RUNNING)
        if self._converter.why_not_native:
            self._log.warning(
                "The C kernel is not used, so records are converted in Python: %s",
                self._converter.why_not_native,
            )
        try:
            while not self._drain.stopping:
                # 1. consume; then 2. decode, 3. encode, 4. batch. The messages have no name here, so that
                # they are freed early. The first messages of a batch are taken at once: its age begins
                # with them.
                gather = self._batch.first_at is not None
                self._convert(
                    self._consumer.consume(self._free_messages(), self._poll_timeout(), gather=gather)
                )
                if self._is_due():
                    self._flush()
                else:
                    self._committer.repeat(self._batch.next_offsets)
                self._report()
            self._state.enter(WorkerState.STOPPING)
            self._flush()
        except DrainExpired as error:
            # Raised by `Drain.check` only: while the worker waits, never between two lines.
            records = sum(self._batch.records.values())
            if records:
                self._log.warning(
                    "The batch is not finished (%s): %d records are dropped uncommitted and are read again",
                    error,
                    records,
                )
            self._drop(set(self._batch.next_offsets))
        finally:
            self._drain.close()
        self._close()

    def _flush(self) -> None:
        """Write the batch in hand; then, and only then, commit it."""
        batch = self._batch
        self._delivering = True
        self._write_began = self._clock()
        try:
            # 5. write: returns when InfluxDB has answered 204 for each line, or the line is a dead letter
            self._delivery.deliver(batch, self._drain.remaining(self._settings.influxdb_timeout_s))
            self._dead_letters.store(batch.dead_letters)
        finally:
            self._delivering = False
        # 6. commit: a partition that was revoked meanwhile is no longer in the batch
        self._committer.commit(batch, self._drain.is_final)
        self._count_stored(batch)
        self._batch = Batch()
        self._end_trouble()

    def _convert(self, messages: list[Any]) -> None:
        if not messages:
            return
        batch = self._batch
        records_before = batch.records.copy()
        if batch.first_at is None:
            batch.first_at = self._clock()
        left = self._converter.convert(messages, batch, self._is_overfull)
        if left:
            # They are read again after this batch. To keep them would let a commit pass them.
            self._consumer.put_back(left)
        batch.note_oldest(messages)
        consumed = batch.records - records_before
        self._state.consumed.update(consumed)
        per_message = consumed.total() / (len(messages) - len(left))
        self._per_message = max(1.0, per_message, self._per_message / 2)

    def _count_stored(self, batch: Batch) -> None:
        """Count the records of a batch that is stored."""
        dead_lettered = batch.dead_by_partition()
        self._state.dead_lettered.update(dead_lettered)
        self._state.written.update(batch.records - dead_lettered)
        self._stored_oldest = batch.oldest_ms

    def _is_due(self) -> bool:
        settings = self._settings
        return self._batch.is_due(
            self._clock(), settings.batch_lines, settings.batch_bytes, settings.batch_age_ms / 1000
        )

    def _is_overfull(self, batch: Batch) -> bool:
        """Return whether a batch has twice what makes it due: a message may hold many records."""
        return batch.is_full(2 * self._settings.batch_lines, 2 * self._settings.batch_bytes)

    def _free_messages(self) -> int:
        """Return how many messages still fit in the batch.

        By its lines, by the mean size of a line, and by the records that a message has had lately.
        """
        settings, batch = self._settings, self._batch
        free = settings.batch_lines - len(batch.lines)
        if batch.lines:
            mean_size = batch.size / len(batch.lines)
            free = min(free, int((settings.batch_bytes - batch.size) / mean_size) + 1)
        return max(1, int(free / self._per_message))

    def _poll_timeout(self) -> float:
        """Return the seconds until the batch in hand is old enough, at most `SLICE_S`."""
        if self._batch.first_at is None:
            return SLICE_S
        age_s = self._settings.batch_age_ms / 1000
        return max(0.0, min(SLICE_S, self._batch.first_at + age_s - self._clock()))

    def wait(self, seconds: float, why: str) -> None:
        """Wait for InfluxDB or the dead-letter topic, and stay a member of the group meanwhile.

        Args:
            seconds: How long to wait.
            why: The reason, for the state file.

        Raises:
            DrainExpired: The time to finish before a stop or a revocation is over.
        """
        now = self._clock()
        self._trouble_since = self._trouble_since or now
        until = now + seconds
        while True:
            now = self._clock()
            self._drain.check(why)
            slice_s = min(SLICE_S, max(0.0, until - now))
            if now - self._trouble_since > PAUSE_AFTER_S and not self._drain.revoking:
                self._state.enter(
                    WorkerState.STOPPING if self._drain.stopping else WorkerState.WAITING, why
                )
                self._consumer.poll_paused(slice_s)
            else:
                self._sleep(slice_s)
            self._report()
            if self._clock() >= until:
                self._write_began = self._clock()
                return

    def while_writing(self) -> None:
        """Keep the heartbeat during a write, and report that InfluxDB does not answer.

        The writer calls this several times per second while it waits.
        """
        seconds = self._clock() - self._write_began
        if seconds < SLOW_WRITE_S:
            return
        self._trouble_since = self._trouble_since or self._write_began
        self._state.enter(
            WorkerState.STOPPING if self._drain.stopping else WorkerState.WAITING,
            f"InfluxDB has not answered a write for {seconds:.0f} s",
        )
        self._report()

    def _note_write(self) -> None:
        """Report after a write that InfluxDB has answered with 204."""
        self._write_began = self._clock()
        self._report()

    def _end_trouble(self) -> None:
        """Return to normal after a write that had to wait."""
        if self._trouble_since is not None:
            self._trouble_since = None
            if self._state.current is WorkerState.WAITING:
                self._log.info("The batch is stored, resuming after: %s", self._state.why)
                self._state.enter(WorkerState.RUNNING)
            self._consumer.resume()

    def _flush_revoked(self, partitions: set[Partition], lost: bool) -> None:
        """Finish the batch in hand before partitions go, within TOWER_DRAIN_S. If that fails, drop them.

        Lost partitions belong to another worker already, so nothing may be committed for them.
        """
        if (
            not (lost or self._delivering or self._drain.stopping)
            and partitions & self._batch.next_offsets.keys()
        ):
            try:
                with self._drain.revocation():
                    self._flush()
            except DrainExpired as error:
                self._log.warning(
                    "The batch of revoked partitions is not finished in %g s (%s): %d records are dropped "
                    "uncommitted, and the next owner reads them again",
                    self._settings.drain_s,
                    error,
                    sum(self._batch.records[partition] for partition in partitions),
                )
        self._drop(partitions)
        self._committer.forget(partitions)

    def _drop(self, partitions: set[Partition]) -> None:
        """Drop records in hand, uncommitted. The next owner of the partition reads them again."""
        for partition in partitions & self._batch.next_offsets.keys():
            self._state.drop(partition, self._batch.records[partition], self._batch.next_offsets[partition])
        self._batch.drop(partitions)

    def stop(self, number: int, _: Any) -> None:
        """Finish the batch in hand and end `run`. This is the handler of SIGTERM and SIGINT."""
        self._signal = number
        self._drain.stop()

    def _close(self) -> None:
        self._writer.close()
        self._state.enter(WorkerState.STOPPED)
        self._report(force=True)
        if self._signal:
            self._log.info(
                "Stopped by %s. supervisord starts this worker again, unless it was stopped with "
                "supervisorctl",
                signal.Signals(self._signal).name,
            )
        self._log.info("shutdown report: %s", json.dumps(self._report_content()))
        self._consumer.close()

    def _report(self, force: bool = False) -> None:
        self._feed_watchdog()
        self._dead_letters.write_log()
        self._state.write(self._report_content, self._clock(), force)

    def _report_content(self) -> dict[str, Any]:
        oldest_ms, self._stored_oldest = self._batch.oldest_ms or self._stored_oldest, {}
        return self._content.content(self._batch, oldest_ms)
