"""The client that is the group's member, and the one that takes its place where it gives up."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.errors import DrainExpired
from workers.kafka import ADVICE, consumer_properties, is_incremental, settings_error
from workers.log import Repeats
from workers.retry import Backoff
from workers.settings import Settings

#: Longest pause in seconds before a new client takes the place of one that gave up.
RENEW_S = 5.0

#: Errors after which librdkafka's consumer does nothing any more. The last: it had no memory for a broker's
#: thread, and never tries that again.
GIVEN_UP = frozenset(
    {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID, KafkaError._CRIT_SYS_RESOURCE}  # noqa: SLF001
)


class Told(NamedTuple):
    """Who hears what the client reports, all inside its own calls."""

    #: Partitions came.
    assigned: Callable[[list[TopicPartition]], None]
    #: Partitions go; True where they are lost already.
    gone: Callable[[Iterable[TopicPartition], bool], None]
    #: Offsets were committed, or were not.
    committed: Callable[[KafkaError | None, Iterable[TopicPartition]], None]


class Membership:
    """One membership of the group, kept up by as many clients as it takes.

    Args:
        settings: Topic and Kafka properties.
        told: Who hears of partitions and commits.
        repeats: Where errors are logged that pass.

    Attributes:
        incremental: True where partitions come and go one by one.
        given_up: Why the client does nothing any more; empty while it does.
        renewals: Clients that gave up and were replaced.
    """

    def __init__(self, settings: Settings, told: Told, repeats: Repeats) -> None:
        self._topic = settings.topic
        self._properties = consumer_properties(settings)
        self.incremental = is_incremental(self._properties)
        self.given_up = ""
        self.renewals = 0
        self._told = told
        self._repeats = repeats
        self._parent = os.getppid()
        self._backoff = Backoff(RENEW_S)
        self._log = logging.getLogger("tower.consumer")

    def join(self) -> Any:
        """A client that is a member of the group, or becomes one at its first `consume`.

        One that was replaced may still report what it had, from the thread that closes it: nobody listens.

        Raises:
            SettingsError: librdkafka refuses a property.
        """
        number, told = self.renewals, self._told
        made = self._properties | {
            "on_commit": lambda error, done: (
                told.committed(error, done) if number == self.renewals else None
            ),
            "error_cb": lambda error: self.hear(error) if number == self.renewals else None,
            "logger": logging.getLogger("tower.kafka"),
        }
        try:
            consumer = Consumer(made)
        except KafkaException as error:
            raise settings_error(error) from None
        consumer.subscribe(
            [self._topic],
            on_assign=lambda _, came: self._on_assign(came) if number == self.renewals else None,
            on_revoke=lambda _, gone: told.gone(gone, False) if number == self.renewals else None,
            on_lost=lambda _, gone: told.gone(gone, True) if number == self.renewals else None,
        )
        return consumer

    def renew(self, client: Any) -> Any:
        """Be a new member where the client has given up for good: it never consumes again.

        librdkafka calls it fatal when the coordinator fences a static member, which happens without any
        other one when brokers die while it joins. Elsewhere it means a worker that supervisord left behind
        when it was killed; that one has to go.

        Raises:
            DrainExpired: This worker has lost its supervisord, and another one its place.
        """
        if os.getppid() != self._parent:
            self._log.error("supervisord is gone and another worker has this one's place: ending")
            raise DrainExpired(
                f"this worker's supervisord is gone, and another worker has its place: {self.given_up}"
            )
        pause = self._backoff.next()
        self._log.error(
            "Kafka's client gave up (%s); a new one joins the group in %.1f s", self.given_up, pause
        )
        self.renewals += 1
        # In a thread: it may hang. A last answer to it is nothing this worker waits for.
        threading.Thread(target=client.close, daemon=True).start()
        time.sleep(pause)
        self.given_up = ""
        return self.join()

    def hear(self, error: KafkaError) -> None:
        """An error the client reports."""
        if error.fatal() or error.code() in GIVEN_UP:
            # Acted upon outside the client's own call: an exception in here would be lost.
            self.given_up = error.str()
            return
        advice = ADVICE.get(error.code(), "the worker goes on trying")
        self._repeats.warning(f"kafka {error.code()}", "Kafka: %s; %s", error.str(), advice)

    def _on_assign(self, came: list[TopicPartition]) -> None:
        self._told.assigned(came)
        self._backoff.reset()
