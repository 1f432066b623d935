"""Produces records that will not become points to the dead-letter topic, with the reason."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from workers.config.settings import Settings
from workers.errors import LacksResources, SettingsError
from workers.kafka.credentials import Credentials
from workers.kafka.dead_letter_log import DeadLetterLog
from workers.kafka.properties import (
    CREDENTIAL_ERRORS,
    advice,
    creation_error,
    producer_properties,
)
from workers.kafka.rights import producer_rights, rejection
from workers.log import ThrottledLogger, printable
from workers.message_headers import read_headers
from workers.retry import Backoff
from workers.types import DeadLetter

#: Longest time in seconds that one wait for delivery reports blocks.
REPORT_S = 0.05

#: Seconds in which a new producer is helped to its id. Brokers in trouble must not be asked for longer.
ASK_S = 2.0

#: Seconds without a delivery report after which a warning is logged. Kafka's client retries for 30 s.
SLOW_S = 5.0


class DeadLetterProducer:
    """Produces dead letters and waits until Kafka has confirmed them.

    Args:
        settings: The topic and the connection to the brokers.
        wait: Waits a number of seconds for a reason, and keeps the group membership meanwhile.
        clock: Monotonic seconds.

    Attributes:
        reasons: Number of confirmed dead letters by reason.
    """

    def __init__(
        self,
        settings: Settings,
        wait: Callable[[float, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reasons: Counter[str] = Counter()
        self._settings = settings
        self._wait = wait
        self._clock = clock
        self._throttled_log = ThrottledLogger(logging.getLogger("tower.deadletters"))
        self._letter_log = DeadLetterLog(logging.getLogger("tower.deadletters"), clock)
        # Created at the first dead letter: most workers never need its memory and threads.
        self._producer: Producer | None = None
        self._credentials = Credentials(settings)
        self._must_replace = self._connected = False
        #: Whether the producer has its id, which the brokers give to an idempotent producer.
        self._has_id = False
        #: Why the producer rejects every message; None if it does not.
        self._fatal_error: KafkaError | None = None

    def store(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Return once Kafka has confirmed every dead letter. This waits as long as it takes.

        Raises:
            DrainExpired: From `wait`, when the time to finish is over.
            SettingsError: librdkafka rejects a property.
        """
        backoff = Backoff(self._settings.retry_max_s)
        unconfirmed = list(dead_letters)
        topic = self._settings.dead_letter_topic
        why = f"dead letters are not confirmed yet by {topic}"
        while unconfirmed:
            failures: list[tuple[DeadLetter, str]] = []
            confirmed: list[DeadLetter] = []
            try:
                self._produce(unconfirmed, confirmed, failures, why)
            except (SettingsError, LacksResources) as error:
                if isinstance(error, SettingsError) and not self._connected:
                    raise
                # The machine lacks threads, or a file is being written: the settings were valid before.
                failures = [(dead_letter, str(error)) for dead_letter in unconfirmed]
            self.reasons.update(dead_letter.reason for dead_letter in confirmed)
            self.write_log()
            unconfirmed = [dead_letter for dead_letter, _ in failures]
            if self._must_replace:
                # After a fatal error (for example, the topic was created again) an idempotent producer
                # rejects every message. A new producer does not.
                self._producer, self._must_replace = None, False
            if failures:
                cause = failures[0][1]
                why = f"dead letters cannot be written to {topic}: {cause}"
                largest = max(map(_size, unconfirmed))
                self._throttled_log.error(
                    cause,
                    "%s. This worker waits and retries; none of its partitions advances. Check that the "
                    "topic exists, that this user may write to it, that its replicas are in sync, and that "
                    "its max.message.bytes allows messages of %d bytes",
                    why,
                    largest,
                )
                self._wait(max(backoff.next(), REPORT_S), why)

    def write_log(self) -> None:
        """Log the dead letters that are not logged yet, if their line is due."""
        self._letter_log.write_due()

    def _produce(
        self,
        dead_letters: Sequence[DeadLetter],
        confirmed: list[DeadLetter],
        failures: list[tuple[DeadLetter, str]],
        why: str,
    ) -> None:
        """Send all dead letters and sort them by their delivery reports.

        Args:
            dead_letters: What to send.
            confirmed: Gets those that Kafka has confirmed.
            failures: Gets the others, each with its error.
            why: The reason to wait, as `wait` takes it: the last failure, if there was one.
        """
        if self._producer is None:
            self._producer = self._connect()

        def reporter(dead_letter: DeadLetter) -> Callable[[KafkaError | None, Any], None]:
            def on_delivery(error: KafkaError | None, stored: Any) -> None:
                if error is None:
                    confirmed.append(dead_letter)
                    message, element = dead_letter.origin.message, dead_letter.origin.element
                    self._letter_log.add(
                        dead_letter.reason,
                        (message.topic(), message.partition(), message.offset(), element),
                        (stored.partition(), stored.offset()),
                    )
                else:
                    self._check_fatal(error)
                    failures.append((dead_letter, self._cause(error)))

            return on_delivery

        for dead_letter in dead_letters:
            try:
                self._producer.produce(
                    self._settings.dead_letter_topic,
                    key=dead_letter.origin.message.key(),
                    value=dead_letter.origin.value,
                    headers=headers(dead_letter),
                    on_delivery=reporter(dead_letter),
                )
            except BufferError:
                failures.append((dead_letter, "the producer's queue is full"))
            except KafkaException as error:
                self._check_fatal(error.args[0])
                failures.append((dead_letter, self._cause(error.args[0])))
        started = self._clock()
        while len(confirmed) + len(failures) < len(dead_letters):
            if not self._has_id and self._clock() - started < ASK_S:
                self._ask_for_id(self._producer)
            try:
                # Unlike a poll, this sends at once what waits for more messages to go with it (linger.ms).
                self._producer.flush(REPORT_S)
            except KafkaException as error:
                # A fatal error is raised here instead of going to `error_cb`.
                self._check_fatal(error.args[0])
            self._has_id = self._has_id or bool(confirmed)
            if self._credentials.have_changed():
                # A new producer reads the new credentials. Messages in flight are not purged: they may be
                # in the topic already, so their reports are awaited.
                self._must_replace = True
                self._producer.purge(in_flight=False)
            self._wait(0, why)
            if self._clock() - started > SLOW_S:
                self._throttled_log.warning(
                    "slow",
                    "%s. This worker waits; none of its partitions advances. Check that the topic's "
                    "brokers are up",
                    why,
                )

    def _ask_for_id(self, producer: Producer) -> None:
        """Let a new producer ask for its id as soon as a broker is connected.

        Kafka's client asks for it when it receives metadata, if a broker is connected then, and else twice
        a second (`rd_kafka_idemp_pid_fsm` in librdkafka 2.16). The first metadata end the only connection
        there is, so without these the first dead letter of each worker takes half a second.
        """
        with suppress(KafkaException):
            producer.list_topics(self._settings.dead_letter_topic, REPORT_S)

    def _check_fatal(self, error: KafkaError) -> None:
        if error.code() == KafkaError._FATAL:  # noqa: SLF001
            self._must_replace = True
        elif error.fatal():
            self._must_replace, self._fatal_error = True, error

    def _cause(self, error: KafkaError) -> str:
        """Return why a dead letter is not stored, and the right that this user lacks."""
        return rejection(self._fatal_error or error, *producer_rights(self._settings.dead_letter_topic))

    def _connect(self) -> Producer:
        credentials = Credentials(self._settings)
        properties = producer_properties(self._settings)
        properties["logger"] = logging.getLogger("tower.kafka")
        properties["error_cb"] = self._on_error
        try:
            producer = Producer(properties)
        except KafkaException as error:
            raise creation_error(error) from None
        self._connected, self._credentials = True, credentials
        self._has_id, self._fatal_error = False, None
        return producer

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in CREDENTIAL_ERRORS:
            self._credentials.reject()
        topic = self._settings.dead_letter_topic
        self._throttled_log.warning(
            f"kafka {error.code()}",
            "Kafka, for dead letters: %s. %s",
            error.str(),
            advice(error, topic, *producer_rights(topic)),
        )


def headers(dead_letter: DeadLetter) -> list[tuple[str, str | bytes | None]]:
    """Return the headers of a dead letter: those of its message, then the reason and the coordinates.

    A message may have headers of these names too. The last ones are Tower's, and `tower.headers` says how
    many came before them.
    """
    message = dead_letter.origin.message
    original, unreadable = read_headers(message)
    kind, milliseconds = message.timestamp()
    return [
        *original,
        ("tower.reason", str(dead_letter.reason)),
        ("tower.error", printable(dead_letter.detail)),
        ("tower.topic", message.topic()),
        ("tower.partition", str(message.partition())),
        ("tower.offset", str(message.offset())),
        ("tower.index", str(dead_letter.origin.element)),
        ("tower.timestamp", str(milliseconds) if kind else ""),
        *([("tower.unreadable_headers", str(unreadable))] if unreadable else []),
        ("tower.headers", str(len(original))),
    ]


def _size(dead_letter: DeadLetter) -> int:
    """Return the bytes of a dead letter: key, value and headers."""
    origin = dead_letter.origin
    pairs = sum(len(name) + len(value or "") for name, value in headers(dead_letter))
    return len(origin.message.key() or b"") + len(origin.value or b"") + pairs
