"""This worker's member of the consumer group: the one room that consumes and commits."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from workers import offsets
from workers.errors import DrainExpired, SettingsError
from workers.kafka import ADVICE, consumer_properties, is_incremental, settings_error
from workers.log import Repeats
from workers.retry import Backoff
from workers.settings import Settings
from workers.types import Message, Partition, partition_of

#: Longest pause in seconds before a new client takes the place of one that gave up.
RENEW_S = 5.0

#: Errors after which librdkafka's consumer does nothing any more. The last: it had no memory for a broker's
#: thread, and never tries that again.
GIVEN_UP = frozenset(
    {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID, KafkaError._CRIT_SYS_RESOURCE}  # noqa: SLF001
)


class GroupConsumer:
    """Consumes the topic as one member of the group, and commits what it is told to.

    Partitions come and go inside `consume` and `wait` only.

    Args:
        settings: Topic and Kafka properties.
        revoked: Called before partitions are given up, with True where they are lost already, so that
            nothing may be committed for them.

    Attributes:
        owned: Partitions assigned to this worker now.
        stopped: Owned partitions that are not read, with the reason.
        committed: Last offset the group acknowledged, by partition.
        rebalances: Assignments so far.
        renewals: Clients that gave up and were replaced.
        commit_failures: Commits that Kafka refused: their records are read again, never skipped.

    Raises:
        SettingsError: librdkafka refuses a property.
    """

    def __init__(self, settings: Settings, revoked: Callable[[set[Partition], bool], None]) -> None:
        self.owned: set[Partition] = set()
        self.stopped: dict[Partition, str] = {}
        self.committed: dict[Partition, int] = {}
        self.rebalances = self.commit_failures = self.renewals = 0
        self._parent = os.getppid()
        self._revoked = revoked
        self._room = settings.identity_partitions
        self._log = logging.getLogger("tower.consumer")
        self._repeats = Repeats(self._log)
        self._paused = self._rebalanced = False
        self._position: dict[Partition, int] = {}
        self._topic = settings.topic
        self._properties = consumer_properties(settings)
        self._incremental = is_incremental(self._properties)
        self._fatal = ""
        self._backoff = Backoff(RENEW_S)
        self._consumer = self._join()

    def _join(self) -> Any:
        """A client that is a member of the group, or becomes one at its first `consume`.

        One that was replaced may still report what it had, from the thread that closes it: nobody listens.
        """
        number = self.renewals
        made = self._properties | {
            "on_commit": lambda error, done: (
                self._on_commit(error, done) if number == self.renewals else None
            ),
            "error_cb": lambda error: self._on_error(error) if number == self.renewals else None,
            "logger": logging.getLogger("tower.kafka"),
        }
        try:
            consumer = Consumer(made)
        except KafkaException as error:
            raise settings_error(error) from None
        consumer.subscribe(
            [self._topic],
            on_assign=lambda _, came: self._on_assign(came) if number == self.renewals else None,
            on_revoke=lambda _, gone: self._on_gone(gone, lost=False) if number == self.renewals else None,
            on_lost=lambda _, gone: self._on_gone(gone, lost=True) if number == self.renewals else None,
        )
        return consumer

    def consume(self, most: int, timeout_s: float) -> list[Message]:
        """Up to `most` messages of owned partitions, in order within each.

        Args:
            most: Number of messages at which it returns at once.
            timeout_s: Seconds after which it returns what there is.
        """
        self._rebalanced = False
        messages: list[Message] = self._consumer.consume(most, timeout_s)
        if self._fatal:
            self._renew()
            return []
        # A plain loop: a generator here would cost 3 % of a worker.
        for message in messages:
            if message.error() is not None:
                messages = self._records_of(messages)
                break
        if self._rebalanced and messages:
            # What was fetched under the old assignment may stand before what belongs to the new one, and
            # committing the last offset would cover a gap. Start over from the known positions.
            self._rewind({partition_of(message) for message in messages})
            return []
        if messages and len(self.owned) == 1:
            self._position[partition_of(messages[-1])] = messages[-1].offset() + 1
        else:
            for message in messages:
                self._position[partition_of(message)] = message.offset() + 1
        return messages

    def wait(self, timeout_s: float) -> None:
        """Keep the membership without consuming: partitions are paused until `resume`."""
        if not self._paused:
            self._paused = True
            self._consumer.pause(offsets.to_kafka(self.owned))
        message = self._consumer.poll(timeout_s)
        if self._fatal:
            self._renew()
            return
        if message is None:
            return
        if message.error() is not None:
            self._event(message)
        else:
            # It was on its way when the pause began: it is handed out again later.
            self._seek(partition_of(message), message.offset())

    def resume(self) -> None:
        """End the pause that `wait` began."""
        if self._paused:
            self._paused = False
            self._consumer.resume(offsets.to_kafka(self.owned - self.stopped.keys()))

    def commit(self, ends: Mapping[Partition, int], blocking: bool = False) -> None:
        """Commit offsets of owned partitions.

        A failure is counted and logged, and is no harm: the records are read again and overwrite their
        own points.

        Args:
            ends: For each partition the offset after the last record that is safe.
            blocking: Wait for the answer; else it is taken at a later `consume` or `wait`.
        """
        # Not for a stopped partition: a topic made anew under the same name would get the old one's offset,
        # and whoever starts there next would skip what lies before it.
        safe = {each: end for each, end in ends.items() if each in self.owned - self.stopped.keys()}
        wanted = [TopicPartition(each.topic, each.number, end) for each, end in safe.items()]
        if not wanted:
            return
        try:
            done = self._consumer.commit(offsets=wanted, asynchronous=not blocking)
        except KafkaException as error:
            self._on_commit(error.args[0], wanted)
        else:
            if blocking:
                self._on_commit(None, done)

    def position(self, partition: Partition) -> int | None:
        """Offset after the last message handed out, None before the first."""
        return self._position.get(partition)

    def lag(self, partition: Partition) -> int | None:
        """Messages from the committed offset to the end of the partition, None while unknown."""
        safe = self.committed.get(partition)
        where = TopicPartition(partition.topic, partition.number)
        try:
            _, end = self._consumer.get_watermark_offsets(where, cached=True)
        except KafkaException:
            return None
        return max(0, end - safe) if safe is not None and end >= 0 else None

    def close(self) -> None:
        """Leave the group; a static member's partitions wait for it until its session ends."""
        self._consumer.close()

    def _on_assign(self, partitions: list[TopicPartition]) -> None:
        came = offsets.from_kafka(partitions)
        highest = max((each.number for each in came), default=0)
        if highest >= self._room:
            raise SettingsError(
                "TOWER_IDENTITY_PARTITIONS",
                f"is {self._room} and there is a partition {highest}: points of two partitions could "
                "overwrite each other; set it above the highest partition's number",
            )
        self._rebalanced = True
        self.rebalances += 1
        self.owned |= came
        starts = offsets.committed(self._consumer, partitions, self._repeats)
        # auto.offset.reset stays "error": a group without an offset begins at the beginning because it is
        # told to here, so that an offset that is gone can never be mistaken for one that never was.
        for each in starts:
            if each.offset < 0:
                each.offset = OFFSET_BEGINNING
            else:
                self._position[Partition(each.topic, each.partition)] = each.offset
        (self._consumer.incremental_assign if self._incremental else self._consumer.assign)(starts)
        # Said either way: the client forgets a pause at one rebalance and keeps it across another (where
        # partitions were lost); one that is paused for good is as bad as a memory that fills up.
        (self._consumer.pause if self._paused else self._consumer.resume)(starts)
        self._backoff.reset()
        self._log.info("assigned %s", _names(came))

    def _renew(self) -> None:
        """Be a new member where the client has given up for good: it never consumes again.

        librdkafka calls it fatal when the coordinator fences a static member, which happens without any
        other one when brokers die while it joins. Elsewhere it means a worker that supervisord left behind
        when it was killed; that one has to go.

        Raises:
            DrainExpired: This worker has lost its supervisord, and another one its place.
        """
        self._on_gone(offsets.to_kafka(self.owned), lost=True)
        if os.getppid() != self._parent:
            self._log.error("supervisord is gone and another worker has this one's place: ending")
            raise DrainExpired(
                f"this worker's supervisord is gone, and another worker has its place: {self._fatal}"
            )
        pause = self._backoff.next()
        self._log.error(
            "Kafka's client gave up (%s); a new one joins the group in %.1f s", self._fatal, pause
        )
        self.renewals += 1
        # In a thread: it may hang. A last answer to it is nothing this worker waits for.
        threading.Thread(target=self._consumer.close, daemon=True).start()
        time.sleep(pause)
        self._fatal = ""
        self._consumer = self._join()

    def _on_gone(self, partitions: Iterable[TopicPartition], lost: bool) -> None:
        gone = offsets.from_kafka(partitions) & self.owned
        self._rebalanced = True
        self._log.log(
            logging.WARNING if lost else logging.INFO,
            "%s %s",
            "lost" if lost else "giving up",
            _names(gone),
        )
        self._revoked(gone, lost)
        self.owned -= gone
        for kept in (self._position, self.committed, self.stopped):
            for each in gone:
                kept.pop(each, None)

    def _on_commit(self, error: KafkaError | None, partitions: Iterable[TopicPartition]) -> None:
        for each in partitions:
            failure = error or each.error
            if failure is None:
                self.committed[Partition(each.topic, each.partition)] = each.offset
            elif failure.code() != KafkaError._NO_OFFSET:  # noqa: SLF001
                self.commit_failures += 1
                self._repeats.warning(
                    "commit", "commit failed, its records will be read again: %s", failure.str()
                )

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in GIVEN_UP:
            # Acted upon outside the client's own call: an exception in here would be lost.
            self._fatal = error.str()
            return
        advice = ADVICE.get(error.code(), "the worker goes on trying")
        self._repeats.warning(f"kafka {error.code()}", "Kafka: %s; %s", error.str(), advice)

    def _records_of(self, messages: list[Any]) -> list[Message]:
        """Take note of what is no record; gives the others."""
        for message in messages:
            if message.error() is not None:
                self._event(message)
        return [message for message in messages if message.error() is None]

    def _event(self, message: Any) -> None:
        """What the client reports in place of a message."""
        error = message.error()
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._stop(Partition(message.topic(), message.partition()), error)
        else:
            self._on_error(error)

    def _stop(self, partition: Partition, error: KafkaError) -> None:
        """Stop reading a partition whose offset no longer exists: a jump would lose what lies between."""
        if partition not in self.owned:
            return
        position = self._position.get(partition, "at the beginning")
        self.stopped[partition] = f"offset {position} no longer exists in Kafka"
        self._consumer.pause(offsets.to_kafka({partition}))
        self._log.error(
            "%s is stopped: offset %s no longer exists in Kafka (%s), so records may have gone before they "
            "were stored. Stop the pool, choose where to go on with `python -m workers replay "
            "--partition %d --from earliest`, and start it again",
            partition,
            position,
            error.str(),
            partition.number,
        )

    def _rewind(self, partitions: set[Partition]) -> None:
        # Only those that have handed something out: one whose offset is gone refuses every seek.
        for partition in (partitions & self.owned) - self.stopped.keys():
            self._seek(partition, self._position.get(partition, OFFSET_BEGINNING))

    def _seek(self, partition: Partition, offset: int) -> None:
        offsets.seek(self._consumer, partition, offset, lambda: partition in self.owned)


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions))) or "no partition"
