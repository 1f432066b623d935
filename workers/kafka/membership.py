"""The client that is the group's member, and the one that takes its place where it gives up."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.config.settings import Settings
from workers.errors import DrainExpired, SettingsError
from workers.kafka.credentials import Credentials
from workers.kafka.properties import (
    ADVICE,
    CREDENTIAL_ERRORS,
    consumer_properties,
    is_incremental,
    settings_error,
)
from workers.kafka.topic_id import DEBUG, ClientLog
from workers.log import Repeats
from workers.retry import Backoff

#: Longest pause in seconds before a new client takes the place of one that gave up.
RENEW_S = 5.0

#: Errors after which librdkafka's consumer does nothing any more. The last: it had no memory for a broker's
#: thread, and never tries that again.
GIVEN_UP = frozenset(
    {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID, KafkaError._CRIT_SYS_RESOURCE}  # noqa: SLF001
)


class ConsumerCallbacks(NamedTuple):
    """Who hears what the client reports, all inside its own calls."""

    #: Partitions came.
    assigned: Callable[[list[TopicPartition]], None]
    #: Partitions go; True where they are lost already.
    gone: Callable[[Iterable[TopicPartition], bool], None]
    #: Offsets were committed, or were not.
    committed: Callable[[KafkaError | None, Iterable[TopicPartition]], None]
    #: The topic was made anew, and has this id now.
    changed: Callable[[str], None]


class Membership:
    """One membership of the group, kept up by as many clients as it takes.

    Args:
        settings: Topic and Kafka properties.
        told: Who hears of partitions, commits and the topic.
        repeats: Where errors are logged that pass.

    Attributes:
        incremental: True where partitions come and go one by one.
        renewals: Clients that were replaced: they gave up, or had credentials that are others now.
    """

    def __init__(self, settings: Settings, told: ConsumerCallbacks, repeats: Repeats) -> None:
        self._settings = settings
        self.incremental = is_incremental(consumer_properties(settings))
        self.renewals = 0
        self._given_up = ""
        self._credentials = Credentials(settings)
        self._told = told
        self._repeats = repeats
        self._parent = os.getppid()
        self._backoff = Backoff(RENEW_S)
        self._log = logging.getLogger("tower.consumer")

    @property
    def given_up(self) -> str:
        """Why another client has to take this one's place; empty while it need not."""
        if not self._given_up and self._credentials.have_changed():
            self._given_up = "its credentials were refused, and are others now"
        return self._given_up

    def join(self) -> Any:
        """The first client.

        Raises:
            SettingsError: librdkafka refuses a property.
        """
        return self._join(0)

    def _join(self, number: int) -> Any:
        """A client that is a member of the group, or becomes one at its first `consume`.

        One that was replaced may still report what it had, from the thread that closes it: nobody listens.

        Args:
            number: How many will have been replaced by then.
        """
        told, credentials = self._told, Credentials(self._settings)
        properties = consumer_properties(self._settings)
        made = properties | {
            "debug": ",".join(filter(None, (properties.get("debug"), DEBUG))),
            "on_commit": lambda error, done: (
                told.committed(error, done) if number == self.renewals else None
            ),
            "error_cb": lambda error: self.hear(error) if number == self.renewals else None,
            "logger": ClientLog(
                logging.getLogger("tower.kafka"),
                lambda now: told.changed(now) if number == self.renewals else None,
            ),
        }
        try:
            consumer = Consumer(made)
        except KafkaException as error:
            raise settings_error(error) from None
        consumer.subscribe(
            [self._settings.topic],
            on_assign=lambda _, came: self._on_assign(came) if number == self.renewals else None,
            on_revoke=lambda _, gone: told.gone(gone, False) if number == self.renewals else None,
            on_lost=lambda _, gone: told.gone(gone, True) if number == self.renewals else None,
        )
        self._credentials = credentials
        return consumer

    def renew(self, client: Any) -> Any:
        """Be a new member where the client gave up for good, or has credentials that are others now.

        librdkafka calls it fatal when the coordinator fences a static member, which happens without any
        other one when brokers die while it joins. Elsewhere it means a worker that supervisord left behind
        when it was killed; that one has to go.

        Returns:
            The new client; the old one where none can be made yet, and the next call tries again.

        Raises:
            DrainExpired: This worker has lost its supervisord, and another one its place.
        """
        if os.getppid() != self._parent:
            self._log.error("supervisord is gone and another worker has this one's place: ending")
            raise DrainExpired(
                f"this worker's supervisord is gone, and another worker has its place: {self._given_up}"
            )
        time.sleep(self._backoff.next())
        try:
            fresh = self._join(self.renewals + 1)
        except SettingsError as error:
            # A file that is half written, say. It was right when this worker started: no reason to end.
            self._repeats.error("renew", "no new client for Kafka, the next try follows: %s", error)
            return client
        self._log.error("Kafka's client gave up (%s); a new one joins the group", self._given_up)
        self.renewals += 1
        # In a thread: it may hang. A last answer to it is nothing this worker waits for.
        threading.Thread(target=client.close, daemon=True).start()
        self._given_up = ""
        return fresh

    def hear(self, error: KafkaError) -> None:
        """An error the client reports."""
        if error.fatal() or error.code() in GIVEN_UP:
            # Acted upon outside the client's own call: an exception in here would be lost.
            self._given_up = error.str()
            return
        if error.code() in CREDENTIAL_ERRORS:
            self._credentials.reject()
        advice = ADVICE.get(error.code(), "the worker goes on trying")
        self._repeats.warning(f"kafka {error.code()}", "Kafka: %s; %s", error.str(), advice)

    def _on_assign(self, came: list[TopicPartition]) -> None:
        self._told.assigned(came)
        self._backoff.reset()
