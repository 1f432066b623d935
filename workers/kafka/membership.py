"""The client that is the group's member, and its replacement if it fails for good."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.config.settings import Settings
from workers.errors import DrainExpired, LacksResources, SettingsError
from workers.kafka.credentials import Credentials
from workers.kafka.properties import (
    CREDENTIAL_ERRORS,
    advice,
    consumer_properties,
    creation_error,
    is_incremental,
)
from workers.kafka.rights import missing_right
from workers.kafka.topic_id import DEBUG, ClientLog
from workers.log import ThrottledLogger
from workers.retry import Backoff

#: Longest pause in seconds before a failed client is replaced.
RENEW_S = 5.0

#: Longest part of that pause without a look at the time to finish.
SLICE_S = 0.25

#: Errors after which librdkafka's consumer does nothing any more. The last one means that there was no
#: memory for a broker's thread, which librdkafka never tries again.
CLIENT_FAILED = frozenset(
    {KafkaError._FATAL, KafkaError.FENCED_INSTANCE_ID, KafkaError._CRIT_SYS_RESOURCE}  # noqa: SLF001
)

#: Another client uses this one's `group.instance.id`: it has taken its place, or does not leave it. The
#: client reports a fatal error with a code of its own, and these texts of Kafka's in it.
FENCED = tuple(
    KafkaError(code).str() for code in (KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID)
)

#: A member of KIP-848 reports this too as a fatal error with a code of its own and this text in it.
NO_RIGHT_ON_GROUP = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)

#: Why a client is replaced that did not fail.
NEW_CREDENTIALS = (
    "Kafka rejected the credentials, or the client Kafka's certificate, and the files have changed"
)


class ConsumerCallbacks(NamedTuple):
    """Functions that the client calls, all of them inside its own calls."""

    #: Partitions were assigned.
    assigned: Callable[[list[TopicPartition]], None]
    #: Partitions are given up; the second argument is True if they are lost already.
    revoked: Callable[[Iterable[TopicPartition], bool], None]
    #: The answer to a commit, as `Commits.on_answer` takes it.
    committed: Callable[[KafkaError | None, Iterable[TopicPartition]], None]
    #: A topic was created again and has this id now.
    topic_changed: Callable[[str, str], None]


class Membership:
    """One membership of the group, with one client after the other.

    Args:
        settings: Topics and Kafka properties.
        callbacks: Functions for partitions, commits and the topic id.
        throttled_log: Where temporary errors are logged.
        check: Called while it waits. It may raise `DrainExpired`.

    Attributes:
        incremental: True if partitions are assigned and revoked one by one.
        renewals: Clients that were replaced, because they failed for good or their credentials changed.
        fenced: Those of them that another client with the same `group.instance.id` pushed out.
        renewal: Why the last of them was replaced; empty if none was.
    """

    def __init__(
        self,
        settings: Settings,
        callbacks: ConsumerCallbacks,
        throttled_log: ThrottledLogger,
        check: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._topics = ", ".join(settings.topics)
        self._rights = f"READ on topic {self._topics}", f"READ on group {settings.group}"
        self.incremental = is_incremental(consumer_properties(settings))
        self.renewals = self.fenced = 0
        self.renewal = ""
        self._failure = ""
        self._is_fenced = False
        self._credentials = Credentials(settings)
        self._callbacks = callbacks
        self._throttled_log = throttled_log
        self._check = check
        self._parent = os.getppid()
        self._backoff = Backoff(RENEW_S)
        self._log = logging.getLogger("tower.consumer")

    @property
    def failure(self) -> str:
        """Why the client has to be replaced; empty if it need not be."""
        if not self._failure and self._credentials.have_changed():
            self._failure = NEW_CREDENTIALS
        return self._failure

    def join(self) -> Any:
        """Create the first client.

        Raises:
            SettingsError: librdkafka rejects a property.
            LacksResources: There is no thread or memory for a client.
        """
        return self._join(0)

    def _join(self, number: int) -> Any:
        """Create a client that becomes a member of the group at its first `consume`.

        A replaced client may still call back from the thread that closes it: its calls are ignored.

        Args:
            number: Number of clients before this one.
        """
        callbacks, credentials = self._callbacks, Credentials(self._settings)
        properties = consumer_properties(self._settings)
        properties |= {
            "debug": ",".join(filter(None, (properties.get("debug"), DEBUG))),
            "on_commit": lambda error, answers: (
                callbacks.committed(error, answers) if number == self.renewals else None
            ),
            "error_cb": lambda error: self.on_error(error) if number == self.renewals else None,
            "logger": ClientLog(
                logging.getLogger("tower.kafka"),
                lambda *change: callbacks.topic_changed(*change) if number == self.renewals else None,
            ),
        }
        try:
            consumer = Consumer(properties)
        except KafkaException as error:
            raise creation_error(error) from None
        consumer.subscribe(
            [*self._settings.topics],
            on_assign=lambda _, assigned: self._on_assign(assigned) if number == self.renewals else None,
            on_revoke=lambda _, revoked: (
                callbacks.revoked(revoked, False) if number == self.renewals else None
            ),
            on_lost=lambda _, lost: callbacks.revoked(lost, True) if number == self.renewals else None,
        )
        self._credentials = credentials
        return consumer

    def renew(self, client: Any) -> Any:
        """Replace a client that failed for good or whose credentials have changed.

        librdkafka reports a fatal error when the coordinator fences a static member. That happens without
        a second member if brokers are killed while it joins. Otherwise it means that this worker survived
        its killed supervisord, and a new pool has started another worker in its place: then it ends.

        Args:
            client: The client to replace.

        Returns:
            The new client; the old one if none can be created yet. The next call tries again.

        Raises:
            DrainExpired: supervisord is gone and another worker has replaced this one, or from `check`.
        """
        if self._is_fenced and os.getppid() != self._parent:
            self._log.error(
                "supervisord is gone and another worker has replaced this one (%s): stopping. The other "
                "worker reads the uncommitted records again",
                self._failure,
            )
            raise DrainExpired(
                f"supervisord is gone and another worker has replaced this one: {self._failure}"
            )
        self._pause(self._backoff.next())
        try:
            successor = self._join(self.renewals + 1)
        except (SettingsError, LacksResources) as error:
            # A file may be half written, or the machine lacks threads. The settings were valid at start.
            self._throttled_log.error("renew", "Kafka: cannot create a new client, retrying: %s", error)
            return client
        if self._failure == NEW_CREDENTIALS:
            self._log.warning("%s: reconnecting with the new ones", NEW_CREDENTIALS)
        elif self._is_fenced:
            self._throttled_log.error(
                "fenced",
                "Kafka: another client has this worker's name in the group (%s). A new client joins and "
                "uncommitted records are read again. If this repeats, another pool runs on a host of this "
                "name: stop one of them, or give their hosts different names",
                self._failure,
            )
        else:
            self._throttled_log.error(
                "failed",
                "Kafka: the client failed (%s). A new client joins the group and uncommitted records are "
                "read again. If this repeats, check the brokers' logs",
                self._failure,
            )
        self.renewals += 1
        self.fenced += self._is_fenced
        self.renewal, self._is_fenced = self._failure, False
        # In a thread, because `close` may hang. Nothing of its result is needed.
        threading.Thread(target=client.close, daemon=True).start()
        self._failure = ""
        return successor

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            self._check()
            time.sleep(min(SLICE_S, left_s))

    def on_error(self, error: KafkaError) -> str:
        """Handle an error that the client reports. Return what to do about it."""
        if error.fatal() or error.code() in CLIENT_FAILED:
            # The client is replaced outside its own call: an exception raised in here would be lost.
            self._failure = error.str()
            if NO_RIGHT_ON_GROUP.str() in error.str():
                self._failure += f"; {missing_right(NO_RIGHT_ON_GROUP, *self._rights)}"
            self._is_fenced = any(text in error.str() for text in FENCED)
            return "The client is replaced"
        if error.code() in CREDENTIAL_ERRORS:
            self._credentials.reject()
        do = advice(error, self._topics, *self._rights)
        self._throttled_log.warning(f"kafka {error.code()}", "Kafka: %s. %s", error.str(), do)
        return do

    def _on_assign(self, partitions: list[TopicPartition]) -> None:
        self._callbacks.assigned(partitions)
        self._backoff.reset()
