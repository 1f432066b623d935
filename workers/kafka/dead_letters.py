"""Records that will not become points, kept in a topic of their own, with the reason."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from workers.config.settings import Settings
from workers.errors import SettingsError
from workers.kafka.credentials import Credentials
from workers.kafka.properties import CREDENTIAL_ERRORS, producer_properties, settings_error
from workers.log import Repeats, printable
from workers.retry import Backoff
from workers.types import DeadLetter

#: Seconds between two looks at the delivery reports.
REPORT_S = 0.05

#: Seconds without a report after which a person is told. Kafka's client itself tries for half a minute.
SLOW_S = 5.0


class DeadLetters:
    """Produces dead letters and knows which of them Kafka has confirmed.

    Args:
        settings: The topic and the way to the brokers.
        wait: Waits so many seconds for a reason, keeping the group membership.
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
        self._repeats = Repeats(logging.getLogger("tower.deadletters"))
        # Made at the first dead letter: most workers never need its memory and threads.
        self._producer: Producer | None = None
        self._credentials = Credentials(settings)
        self._fatal = self._connected = False

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Return once Kafka has confirmed every one of `letters`; wait as long as that takes.

        Raises:
            DrainExpired: From `wait`, when the time to finish in is over.
        """
        backoff = Backoff(self._settings.retry_max_s)
        open_ = list(letters)
        topic = self._settings.dead_letter_topic
        why = f"dead letters are not confirmed yet by {topic}"
        while open_:
            failures: list[tuple[DeadLetter, str]] = []
            confirmed: list[DeadLetter] = []
            try:
                self._produce(open_, confirmed, failures, why)
            except SettingsError as error:
                if not self._connected:
                    raise
                # They were right before, so a file is being written: no reason to end.
                failures = [(letter, str(error)) for letter in open_]
            self.reasons.update(letter.reason for letter in confirmed)
            open_ = [letter for letter, _ in failures]
            if self._fatal:
                # An idempotent producer that has lost its place (its topic was made anew, say) refuses
                # every message from then on; another one does not.
                self._producer, self._fatal = None, False
            if failures:
                cause = failures[0][1]
                why = f"dead letters cannot be kept in {topic}: {cause}"
                largest = max(len(letter.origin.value or b"") for letter in open_)
                self._repeats.error(
                    cause, "%s; the partition waits. Check that the topic exists, may be written to, has "
                    "its replicas in sync, and takes messages of %d bytes (its max.message.bytes)",
                    why, largest,
                )  # fmt: skip
                self._wait(max(backoff.next(), REPORT_S), why)

    def _produce(
        self,
        letters: Sequence[DeadLetter],
        confirmed: list[DeadLetter],
        failures: list[tuple[DeadLetter, str]],
        why: str,
    ) -> None:
        """Send all of `letters` and sort them by what their delivery reports say.

        Meanwhile `why` is told: the last failure, if there was one.
        """
        if self._producer is None:
            self._producer = self._connect()

        def report(letter: DeadLetter) -> Callable[[KafkaError | None, Any], None]:
            def done(error: KafkaError | None, _: Any) -> None:
                if error is None:
                    confirmed.append(letter)
                else:
                    self._failed(error)
                    failures.append((letter, error.str()))

            return done

        for letter in letters:
            try:
                self._producer.produce(
                    self._settings.dead_letter_topic,
                    value=letter.origin.value,
                    headers=headers(letter),
                    on_delivery=report(letter),
                )
            except BufferError:
                failures.append((letter, "the producer's queue is full"))
            except KafkaException as error:
                self._failed(error.args[0])
                failures.append((letter, error.args[0].str()))
        begun = self._clock()
        while len(confirmed) + len(failures) < len(letters):
            self._producer.poll(REPORT_S)
            if self._credentials.have_changed():
                # Another producer takes up the new ones at once, but for messages under way: these may be
                # in the topic, so they are waited for.
                self._fatal = True
                self._producer.purge(in_flight=False)
            self._wait(0, why)
            if self._clock() - begun > SLOW_S:
                self._repeats.warning("slow", "%s; the partition waits", why)

    def _failed(self, error: KafkaError) -> None:
        self._fatal = self._fatal or error.fatal() or error.code() == KafkaError._FATAL  # noqa: SLF001

    def _connect(self) -> Producer:
        credentials = Credentials(self._settings)
        made = producer_properties(self._settings)
        made["logger"] = logging.getLogger("tower.kafka")
        made["error_cb"] = self._on_error
        try:
            producer = Producer(made)
        except KafkaException as error:
            raise settings_error(error) from None
        self._connected, self._credentials = True, credentials
        return producer

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in CREDENTIAL_ERRORS:
            self._credentials.reject()
        self._repeats.warning(f"kafka {error.code()}", "Kafka, for dead letters: %s", error.str())


def headers(letter: DeadLetter) -> dict[str, str | bytes | None]:
    """What a dead letter tells about itself: why, and where it stood."""
    message = letter.origin.message
    kind, milliseconds = message.timestamp()
    return {
        "tower.reason": str(letter.reason),
        "tower.error": printable(letter.detail),
        "tower.topic": message.topic(),
        "tower.partition": str(message.partition()),
        "tower.offset": str(message.offset()),
        "tower.index": str(letter.origin.element),
        "tower.timestamp": str(milliseconds) if kind else "",
    }
