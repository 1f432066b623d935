"""The path of one record, from consume to commit."""

import json
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.batch import Batch
from workers.config.settings import Settings
from workers.drain import Drain
from workers.errors import DrainExpired
from workers.influxdb.delivery import Delivery, Wait
from workers.influxdb.writer import Writer
from workers.kafka.consumer import GroupConsumer, Revoked
from workers.kafka.dead_letters import DeadLetters
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.state import State, WorkerState
from workers.types import Partition

#: Seconds of failed writes after which partitions are paused. A pause discards prefetched messages, so
#: pausing for a shorter failure costs more than it saves.
PAUSE_AFTER_S = 1.0

#: Longest time in seconds that one `consume` or `wait` blocks. A signal is noticed within this time.
SLICE_S = 0.25

#: Seconds after which a failed commit is repeated.
RECOMMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loop works with (see `workers.process.build`).

    The last three call back into the loop. The loop creates each of them once, with its own methods.

    Attributes:
        state: The worker's counters and state file.
        drain: Limits the time to finish the batch in hand.
        encoder: Its counters go into the report.
        converter: Fills a batch from messages.
        writer: The delivery's writer, which the loop closes at its end.
        delivery: Creates the delivery from a function that waits and one that reports progress.
        dead_letters: Creates the dead letters' producer from a function that waits.
        consumer: Creates the group's member from a function that is called before partitions go.
    """

    state: State
    drain: Drain
    encoder: Encoder
    converter: Converter
    writer: Writer
    delivery: Callable[[Wait, Callable[[], None]], Delivery]
    dead_letters: Callable[[Wait], DeadLetters]
    consumer: Callable[[Revoked], GroupConsumer]


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
        self._next_offsets: dict[Partition, int] = {}
        self._delivering = False
        self._trouble_since: float | None = None
        self._committed_at = clock()
        self._failures = 0
        self._signal = ""
        self._state = parts.state
        self._drain = parts.drain
        self._encoder = parts.encoder
        self._converter = parts.converter
        self._writer = parts.writer
        self._delivery = parts.delivery(self.wait, self._report)
        self._dead_letters = parts.dead_letters(self.wait)
        self._consumer = parts.consumer(self._revoked)

    def run(self) -> None:
        """Move records until `stop` is called, then finish the batch in hand within the drain budget."""
        self._state.enter(WorkerState.RUNNING)
        try:
            while not self._drain.stopping:
                # 1. consume; then 2. decode, 3. encode, 4. batch. No name keeps the messages any longer.
                # The first messages of a batch are taken at once: its age begins with them.
                gather = self._batch.first_at is not None
                self._take(self._consumer.consume(self._room(), self._patience(), gather=gather))
                if self._is_due():
                    self._flush()
                else:
                    self._keep_fresh()
                self._report()
            self._flush()
        except DrainExpired:
            self._abandon(set(self._batch.next_offsets))
        finally:
            self._drain.close()
        self._close()

    def _flush(self) -> None:
        """Write the batch in hand; then, and only then, commit it."""
        batch = self._batch
        self._delivering = True
        try:
            # 5. write: returns when each line has its 204 or is among the dead letters
            self._delivery.deliver(batch, self._drain.remaining(self._settings.influxdb_timeout_s))
            self._dead_letters.store(batch.dead_letters)
        finally:
            self._delivering = False
        # 6. commit: a partition that was taken away meanwhile is no longer in the batch
        self._next_offsets |= batch.next_offsets
        last = self._drain.is_final
        self._consumer.commit(self._next_offsets if last else batch.next_offsets, blocking=last)
        self._settle(batch)
        self._batch = Batch()
        self._over()

    def _take(self, messages: list[Any]) -> None:
        if not messages:
            return
        batch = self._batch
        before = batch.records.copy()
        if batch.first_at is None:
            batch.first_at = self._clock()
        self._converter.convert(messages, batch)
        self._state.consumed.update(batch.records - before)

    def _settle(self, batch: Batch) -> None:
        """Enter a batch that is safe in the account."""
        dead = batch.dead_by_partition()
        self._state.dead_lettered.update(dead)
        self._state.written.update(batch.records - dead)
        self._committed_at = self._clock()

    def _is_due(self) -> bool:
        settings = self._settings
        return self._batch.is_due(
            self._clock(), settings.batch_lines, settings.batch_bytes, settings.batch_age_ms / 1000
        )

    def _room(self) -> int:
        """Messages that still fit in the batch, by lines, or by bytes where records are large."""
        settings, batch = self._settings, self._batch
        room = settings.batch_lines - len(batch.lines)
        if batch.lines:
            mean = batch.size / len(batch.lines)
            room = min(room, int((settings.batch_bytes - batch.size) / mean) + 1)
        return max(1, room)

    def _patience(self) -> float:
        """Seconds until the batch in hand is old enough, or a slice where there is none."""
        if self._batch.first_at is None:
            return SLICE_S
        age_s = self._settings.batch_age_ms / 1000
        return max(0.0, min(SLICE_S, self._batch.first_at + age_s - self._clock()))

    def _keep_fresh(self) -> None:
        """Commit again while idle: what failed, soon; and now and then all, for lag monitors."""
        failed = self._consumer.commit_failures != self._failures
        if self._clock() - self._committed_at > (RECOMMIT_S if failed else self._settings.commit_idle_s):
            self._failures = self._consumer.commit_failures
            self._committed_at = self._clock()
            self._consumer.commit(self._next_offsets)

    def wait(self, seconds: float, why: str) -> None:
        """Wait for InfluxDB or the dead letters to come back, as a member of the group.

        Raises:
            DrainExpired: The budget of a stop or a revocation is used up.
        """
        now = self._clock()
        self._trouble_since = self._trouble_since or now
        until = now + self._drain.remaining(seconds)
        while True:
            now = self._clock()
            self._drain.check(why)
            left = min(SLICE_S, max(0.0, until - now))
            if now - self._trouble_since > PAUSE_AFTER_S and not self._drain.revoking:
                self._state.enter(
                    WorkerState.STOPPING if self._drain.stopping else WorkerState.WAITING, why
                )
                self._consumer.wait(left)
            else:
                self._sleep(left)
            self._report()
            if self._clock() >= until:
                return

    def _over(self) -> None:
        """The trouble, if there was one, is over."""
        if self._trouble_since is not None:
            self._trouble_since = None
            if self._state.current is WorkerState.WAITING:
                self._log.info("going on after: %s", self._state.why)
                self._state.enter(WorkerState.RUNNING)
            self._consumer.resume()

    def _revoked(self, partitions: set[Partition], lost: bool) -> None:
        """Finish what is in hand before partitions go, within the drain budget; drop it where that fails.

        Lost partitions belong to another worker already: nothing may be committed for them.
        """
        if (
            not (lost or self._delivering or self._drain.stopping)
            and partitions & self._batch.next_offsets.keys()
        ):
            try:
                with self._drain.revocation():
                    self._flush()
            except DrainExpired as error:
                self._log.warning("not finished in %g s: %s", self._settings.drain_s, error)
        self._abandon(partitions)
        for each in partitions:
            self._next_offsets.pop(each, None)

    def _abandon(self, partitions: set[Partition]) -> None:
        """Drop records in hand, uncommitted: whoever owns the partition next reads them again."""
        for each in partitions & self._batch.next_offsets.keys():
            self._state.abandoned[each] += self._batch.records[each]
        self._batch.drop(partitions)

    def stop(self, number: int, frame: Any) -> None:
        """Finish the batch in hand and end `run`: the handler of SIGTERM and SIGINT."""
        self._signal = signal.Signals(number).name
        self._state.enter(WorkerState.STOPPING)
        self._drain.stop(number, frame)

    def _close(self) -> None:
        self._writer.close()
        self._state.enter(WorkerState.STOPPED)
        self._report(force=True)
        if self._signal:
            self._log.info(
                "Stopped by %s. supervisord restarts this worker unless it ordered the stop", self._signal
            )
        self._log.info("shutdown report: %s", json.dumps(self._content()))
        self._consumer.close()

    def _report(self, force: bool = False) -> None:
        self._feed_watchdog()
        self._state.write(self._content, self._clock(), force)

    def _content(self) -> dict[str, Any]:
        consumer, delivery = self._consumer, self._delivery
        known = consumer.owned | self._state.consumed.keys()
        return {
            "partitions": self._state.account(
                self._batch.records,
                consumer.committed,
                {each: consumer.position(each) for each in known},
                {each: consumer.lag(each) for each in consumer.owned},
            ),
            "owned": sorted(each.number for each in consumer.owned),
            "stopped": {str(each.number): why for each, why in consumer.stopped.items()},
            "counters": {
                "writes": delivery.writes,
                "lines": delivery.lines,
                "retries": delivery.retries,
                "rejections": delivery.rejections,
                "sent_bytes": self._writer.sent_bytes,
                "rebalances": consumer.rebalances,
                "renewals": consumer.renewals,
                "commit_failures": consumer.commit_failures,
                "values_omitted": self._encoder.values_omitted,
                "times_implausible": self._encoder.times_implausible,
                "records_by_kernel": self._converter.by_kernel,
                "records_by_python": self._converter.by_python,
            },
            "dead_letter_reasons": dict(self._dead_letters.reasons),
        }
