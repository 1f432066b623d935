"""Sends dead letters back to the topic and partition they came from."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from workers.commands.console import ProgressWait
from workers.commands.dlq.dead_letter import REPLAYED, REPLAYS, StoredDeadLetter
from workers.config.settings import Settings
from workers.kafka.properties import creation_error, producer_properties
from workers.kafka.rights import producer_rights, rejection

#: Seconds for the delivery reports of one batch: above the producer's own message.timeout.ms.
REPORTS_S = 60.0

#: Kafka's errors that a retry would not change.
FINAL_ERRORS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)


class Outcome(NamedTuple):
    """The result of sending one dead letter.

    Args:
        letter: The dead letter.
        problem: Kafka's error, None if Kafka has confirmed the record.
        is_final: Whether a retry would fail too.
    """

    letter: StoredDeadLetter
    problem: str | None
    is_final: bool = False


class ReplayProducer:
    """Sends records to the topic and partition they came from, with their own key, headers and timestamp.

    Args:
        settings: How to reach the brokers.

    Raises:
        SettingsError: librdkafka rejects a property.
    """

    def __init__(self, settings: Settings) -> None:
        self._dead_letter_topic = settings.dead_letter_topic
        #: Why the producer rejects every record; None if it does not.
        self._fatal_error: KafkaError | None = None
        quiet = logging.getLogger("tower.kafka.resend")
        quiet.setLevel(logging.CRITICAL)
        try:
            self._producer = Producer(producer_properties(settings) | {"logger": quiet})
        except KafkaException as error:
            raise creation_error(error) from None

    def send(self, letters: Sequence[StoredDeadLetter]) -> list[Outcome]:
        """Send all and wait for Kafka's confirmations. The wait is bounded and shown.

        Returns:
            One outcome for each dead letter, in the same order.
        """
        outcomes = self._send(letters)
        if len(letters) > 1:
            # The producer sends several records as one request. If that is too large, all of them fail.
            failed = [outcome.letter for outcome in outcomes.values() if outcome.is_final]
            for letter in failed:
                outcomes |= self._send([letter])
        return [outcomes[letter.offset] for letter in letters]

    def _send(self, letters: Sequence[StoredDeadLetter]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for letter in letters:
            try:
                self._produce(letter, self._report(letter, outcomes))
            except (BufferError, KafkaException) as error:
                self._poll(0)
                self._report(letter, outcomes)(error.args[0] if error.args else error, None)
        wait = ProgressWait("Kafka to confirm the records", REPORTS_S)
        while len(outcomes) < len(letters) and not wait.is_over:
            self._poll(0.2)
            wait.tick()
        for letter in letters:
            outcomes.setdefault(letter.offset, Outcome(letter, f"no answer from Kafka in {REPORTS_S:g} s"))
        return outcomes

    def _produce(self, letter: StoredDeadLetter, report: Callable[[Any, Any], None]) -> None:
        origin = f"{self._dead_letter_topic}/{letter.number}/{letter.offset}"
        self._producer.produce(
            letter.topic,
            key=letter.key,
            value=letter.value,
            partition=letter.partition,
            headers=[
                *(pair for pair in letter.headers if pair[0] not in {REPLAYED, REPLAYS}),
                (REPLAYED, origin.encode()),
                (REPLAYS, b"%d" % (letter.replays + 1)),
            ],
            on_delivery=report,
            # 0: the client uses the current time, as for a record without a timestamp.
            timestamp=letter.timestamp_ms or 0,
        )

    def _report(self, letter: StoredDeadLetter, outcomes: dict[int, Outcome]) -> Callable[[Any, Any], None]:
        def on_delivery(error: Any, _: Any) -> None:
            if error is None:
                outcomes[letter.offset] = Outcome(letter, None)
            elif isinstance(error, KafkaError):
                problem = rejection(self._fatal_error or error, *producer_rights(letter.topic))
                outcomes[letter.offset] = Outcome(letter, problem, error.code() in FINAL_ERRORS)
            else:
                outcomes[letter.offset] = Outcome(letter, str(error))

        return on_delivery

    def _poll(self, timeout_s: float) -> None:
        try:
            self._producer.poll(timeout_s)
        except KafkaException as error:
            # A fatal error. The records that wait get their reports after it.
            self._fatal_error = error.args[0]
