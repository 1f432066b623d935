"""This worker's member of the consumer group. Only its client consumes and commits."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from workers.config.settings import Settings
from workers.kafka import offsets
from workers.kafka.commits import Commits
from workers.kafka.membership import ConsumerCallbacks, Membership
from workers.kafka.prefetch import Prefetch
from workers.kafka.read_errors import ReadErrors
from workers.kafka.replay_command import replay_command
from workers.kafka.topic_id import TopicId
from workers.kafka.topic_recreation import RECREATED, TopicRecreation
from workers.log import ThrottledLogger
from workers.types import Message, Partition, partition_of

#: Called before partitions are given up. The second argument is True if they are lost already, so that
#: nothing may be committed for them.
RevokeCallback = Callable[[set[Partition], bool], None]


class GroupConsumer:
    """Consumes the topics as one member of the group, and commits offsets on request.

    Partitions are assigned inside `consume` and `poll_paused` only, and revoked there and in `close`.

    Args:
        settings: Topic and Kafka properties.
        on_revoke: Called before partitions are given up.
        check: Called during longer waits for Kafka. It may raise `DrainExpired`.
        topic_ids: Returns the current ids of topics, None if Kafka does not answer. Asks Kafka unless a
            test replaces it.

    Attributes:
        owned: Partitions assigned to this worker now.
        stopped: Owned partitions that are not read, with the reason.
        read_errors: Errors of owned partitions that the client tries to read.
        rebalances: Assignments so far.

    Raises:
        SettingsError: librdkafka rejects a property.
    """

    def __init__(
        self,
        settings: Settings,
        on_revoke: RevokeCallback,
        check: Callable[[], None] = lambda: None,
        topic_ids: Callable[[Collection[str]], Mapping[str, str] | None] | None = None,
    ) -> None:
        self.owned: set[Partition] = set()
        self.stopped: dict[Partition, str] = {}
        self.rebalances = 0
        self.read_errors = ReadErrors()
        self._revoke_callback = on_revoke
        self._check = check
        #: The only topic; empty if there may be several.
        self._topic = "" if settings.has_several_topics else settings.topics[0]
        self._prefetch = Prefetch(settings.batch_bytes)
        self._log = logging.getLogger("tower.consumer")
        self._throttled_log = ThrottledLogger(self._log)
        self._paused = self._rebalanced = self._closing = False
        self._position: dict[Partition, int] = {}
        self._topic_recreation = TopicRecreation(topic_ids or TopicId(settings).ask)
        self._commits = Commits()
        callbacks = ConsumerCallbacks(
            self._on_assign, self._on_revoke, self._commits.on_answer, self._topic_recreation.change
        )
        self._membership = Membership(settings, callbacks, self._throttled_log, check)
        self._consumer = self._membership.join()

    @property
    def committed(self) -> dict[Partition, int]:
        """Last offset the group acknowledged, by partition."""
        return self._commits.acknowledged

    @property
    def commit_failures(self) -> int:
        """Commits that failed. Their records are read again, never skipped."""
        return self._commits.failures

    @property
    def renewals(self) -> int:
        """Clients that were replaced, because they failed for good or their credentials changed."""
        return self._membership.renewals

    @property
    def fenced_and_why(self) -> tuple[int, str]:
        """How many of them another client pushed out of the group, and why the last one was replaced."""
        return self._membership.fenced, self._membership.renewal

    def consume(self, max_messages: int, timeout_s: float, *, gather: bool = True) -> list[Message]:
        """Return up to `max_messages` messages of owned partitions, in order within each partition.

        Args:
            max_messages: Number of messages at which it returns at once.
            timeout_s: Seconds after which it returns what it has.
            gather: False returns as soon as there is any message.
        """
        self._rebalanced = False
        messages = self._take(max_messages if gather else 1, max_messages, timeout_s)
        if self._membership.failure:
            self._renew()
            return []
        ends: dict[Partition, int] = {}
        # A plain loop: a generator here would cost 3 % of a worker.
        for message in messages:
            if message.error() is not None:
                messages, ends = self._without_events(messages)
                break
        if self._rebalanced and (messages or ends):
            # Messages fetched under the old assignment may come before those of the new one. A commit of
            # the last offset would then cover a gap. Start over from the known positions.
            return self._rewind(messages, ends)
        if not self._topic_recreation.is_unchanged(bool(messages or ends)):
            self._stop(self._topic_recreation.stale, RECREATED)
            return self._rewind(messages, ends)
        self.read_errors.progress(messages, ends)
        offsets.advance(self._position, messages, self._topic, len(self.owned) == 1)
        for partition in self.owned & ends.keys():
            self._position[partition] = max(ends[partition], self._position.get(partition, 0))
        return messages

    def _take(self, enough: int, max_messages: int, timeout_s: float) -> list[Any]:
        return self._prefetch.take(
            self._consumer, enough, max_messages, timeout_s, over=lambda: self._membership.failure
        )

    def put_back(self, messages: Iterable[Message]) -> None:
        """Read messages again: of each partition all from one on that the last `consume` returned."""
        first: dict[Partition, int] = {}
        for message in messages:
            first.setdefault(partition_of(message), message.offset())
        for partition, offset in first.items():
            self._position[partition] = offset
            self._seek(partition, offset)

    def poll_paused(self, timeout_s: float) -> None:
        """Keep the membership without consuming. Partitions stay paused until `resume`.

        Args:
            timeout_s: Seconds to wait.
        """
        if not self._paused:
            self._paused = True
            self._consumer.pause(offsets.to_kafka(self.owned))
        messages = self._take(1, 1, timeout_s)
        if self._membership.failure:
            self._renew()
            return
        for message in self._without_events(messages)[0]:
            # It was fetched before the pause began, and is consumed again after it.
            self._seek(partition_of(message), message.offset())

    def resume(self) -> None:
        """End the pause that `poll_paused` began."""
        if self._paused:
            self._paused = False
            self._consumer.resume(offsets.to_kafka(self.owned - self.stopped.keys()))

    def commit(self, next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        """Commit offsets of owned partitions. A failure is counted and logged (see `Commits`).

        Args:
            next_offsets: For each partition the offset after its last record that is safe.
            blocking: Wait for the answer; otherwise it arrives in a later `consume` or `poll_paused`.
        """
        # Not for a stopped partition: if the topic was created again, the new topic would get the old one's
        # offset, and the next owner would skip the records before it.
        readable = self.owned - self.stopped.keys()
        committable = {key: offset for key, offset in next_offsets.items() if key in readable}
        self._commits.send(self._consumer, committable, self._topic_recreation.metadata, blocking)

    def position(self, partition: Partition) -> int | None:
        """Return the offset at which reading continues, None if it is unknown."""
        return self._position.get(partition)

    def positions(self) -> dict[Partition, int]:
        """Return where reading stands in each partition that is read."""
        readable = self.owned - self.stopped.keys()
        return {partition: offset for partition, offset in self._position.items() if partition in readable}

    def lag(self, partition: Partition) -> int | None:
        """Return the number of messages from the committed offset to the end; None if it is unknown."""
        return self._commits.lag(self._consumer, partition)

    def close(self) -> None:
        """Leave the group. A static member keeps its partitions until its session ends."""
        if not self._closing:
            self._closing = True
            # Take an assignment that waits in the client: its close() may never return (librdkafka 2.16).
            self._take(1, 1, 0.0)
            self._consumer.close()

    def _on_assign(self, partitions: list[TopicPartition]) -> None:
        if self._closing:
            # Its offsets are of no use, and a closing client does not get them.
            return
        assigned = offsets.from_kafka(partitions)
        self._rebalanced = True
        self.rebalances += 1
        self.owned |= assigned
        # In this order: if the topic is created again in between, the offset's id is found to differ.
        refreshed = self._topic_recreation.refresh({partition.topic for partition in assigned})
        starts = offsets.committed(self._consumer, partitions, self._throttled_log, self._check)
        self._topic_recreation.add(starts, refreshed)
        # auto.offset.reset is "error", so that an offset that no longer exists is never mistaken for a
        # missing one. A group without an offset starts at the beginning because of these lines.
        for start in starts:
            if start.offset < 0:
                start.offset = OFFSET_BEGINNING
            else:
                partition = Partition(start.topic, start.partition)
                self._position[partition] = self.committed[partition] = start.offset
        incremental = self._membership.incremental
        (self._consumer.incremental_assign if incremental else self._consumer.assign)(starts)
        # Set in both cases: the client forgets a pause at one rebalance and keeps it across another (if
        # partitions were lost). A forgotten pause fills the memory, and a kept one stops the partition.
        (self._consumer.pause if self._paused else self._consumer.resume)(starts)
        self._log.info("Partitions assigned: %s", offsets.names(assigned))
        self._stop(self._topic_recreation.stale, RECREATED)

    def _renew(self) -> None:
        """Continue with a new client. The old client's partitions are lost."""
        if self.owned:
            self._on_revoke(offsets.to_kafka(self.owned), lost=True)
        self._consumer = self._membership.renew(self._consumer)

    def _on_revoke(self, partitions: Iterable[TopicPartition], lost: bool) -> None:
        revoked = offsets.from_kafka(partitions) & self.owned
        self._rebalanced = True
        if lost:
            self._log.warning(
                "Partitions lost: %s. Their unwritten records are dropped; the next owner reads them again",
                offsets.names(revoked),
            )
        else:
            self._log.info("Partitions revoked: %s", offsets.names(revoked))
        self._revoke_callback(revoked, lost)
        self.owned -= revoked
        for by_partition in (self._position, self.committed, self.stopped):
            for partition in revoked:
                by_partition.pop(partition, None)
        self._topic_recreation.remove(revoked)
        self.read_errors.remove(revoked)

    def _without_events(self, messages: list[Any]) -> tuple[list[Message], dict[Partition, int]]:
        """Handle events. Return the messages, and the end of each partition that was read to its end."""
        ends = {}
        for message in messages:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                ends[partition_of(message)] = message.offset()
            elif error is not None:
                self._on_event(message)
        return [message for message in messages if message.error() is None], ends

    def _on_event(self, message: Any) -> None:
        """Handle an event that the client returns in place of a message."""
        error = message.error()
        partitions = {Partition(message.topic(), message.partition())}
        if error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self.read_errors.add(partitions & self.owned, error, self._membership.on_error(error))
            return
        recreated = self._topic_recreation.refresh() and partitions <= self._topic_recreation.stale
        self._stop(partitions, RECREATED if recreated else error.str())

    def _stop(self, partitions: set[Partition], why: str) -> None:
        """Stop reading partitions whose offset no longer exists, because a jump would lose records."""
        stopping = (partitions & self.owned) - self.stopped.keys()
        for partition in stopping:
            position = self._position.get(partition)
            offset = "the first offset" if position is None else f"offset {position}"
            self.stopped[partition] = f"{offset} no longer exists in Kafka ({why})"
            self._log.error(
                "%s is stopped: %s. Records may have been deleted before they were stored. Stop the pool, "
                "choose where to continue with `%s`, and start the pool again",
                partition,
                self.stopped[partition],
                replay_command(partition.key(has_several_topics=not self._topic)),
                extra={"reason": "stopped", "topic": partition.topic, "partition": partition.number},
            )
        if stopping:
            self._consumer.pause(offsets.to_kafka(stopping))
            self._topic_recreation.remove(stopping)

    def _rewind(self, messages: list[Message], ends: Iterable[Partition]) -> list[Message]:
        """Read again what was just consumed; return nothing. If an offset is gone, a seek fails."""
        partitions = {partition_of(message) for message in messages}.union(ends)
        for partition in (partitions & self.owned) - self.stopped.keys():
            self._seek(partition, self._position.get(partition, OFFSET_BEGINNING))
        return []

    def _seek(self, partition: Partition, offset: int) -> None:
        offsets.seek(self._consumer, partition, offset, lambda: partition in self.owned)
