"""Sends dead letters back to where they came from, and says of each whether Kafka has confirmed it."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Producer

from workers.commands.console import Wait
from workers.commands.dlq.dead_letter import Letter
from workers.config.settings import Settings
from workers.kafka.properties import producer_properties, settings_error

#: Seconds for the delivery reports of one lot: above the producer's own message.timeout.ms.
REPORTS_S = 60.0

#: Header of a record that was sent back: which letter it was.
HEADER = "tower.replayed"

#: Kafka's answers that another try would not change.
FOR_GOOD = frozenset(
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
    """What became of one letter.

    Args:
        letter: The letter.
        problem: None where Kafka has confirmed the record, else what it said.
        for_good: Whether another try would end the same.
    """

    letter: Letter
    problem: str | None
    for_good: bool = False


class Resend:
    """Produces records to their own topic and partition, with their own Kafka timestamp.

    Args:
        settings: The way to the brokers.

    Raises:
        SettingsError: librdkafka refuses a property.
    """

    def __init__(self, settings: Settings) -> None:
        self._dead_letter_topic = settings.dead_letter_topic
        quiet = logging.getLogger("tower.kafka.resend")
        quiet.setLevel(logging.CRITICAL)
        try:
            self._producer = Producer(producer_properties(settings) | {"logger": quiet})
        except KafkaException as error:
            raise settings_error(error) from None

    def send(self, letters: Sequence[Letter]) -> list[Outcome]:
        """Send all, and wait for what Kafka says about each; bounded, with its progress shown.

        Returns:
            One outcome for each letter, in their order.
        """
        outcomes = self._send(letters)
        if len(letters) > 1:
            # A producer sends several records as one; where that is too large, it names all of them.
            oversize = [each.letter for each in outcomes.values() if each.for_good]
            for letter in oversize:
                outcomes |= self._send([letter])
        return [outcomes[letter.offset] for letter in letters]

    def _send(self, letters: Sequence[Letter]) -> dict[int, Outcome]:
        found: dict[int, Outcome] = {}
        for letter in letters:
            try:
                self._produce(letter, self._report(letter, found))
            except (BufferError, KafkaException) as error:
                self._report(letter, found)(error.args[0] if error.args else error, None)
        wait = Wait("Kafka to confirm the records", REPORTS_S)
        while len(found) < len(letters) and not wait.is_over:
            self._producer.poll(0.2)
            wait.tick()
        for letter in letters:
            found.setdefault(letter.offset, Outcome(letter, f"no answer from Kafka in {REPORTS_S:g} s"))
        return found

    def _produce(self, letter: Letter, report: Callable[[Any, Any], None]) -> None:
        origin = f"{self._dead_letter_topic}/{letter.number}/{letter.offset}"
        self._producer.produce(
            letter.topic,
            value=letter.value,
            partition=letter.partition,
            headers={HEADER: origin},
            on_delivery=report,
            # 0: Kafka's client takes the time of now, as for a record that never had one.
            timestamp=letter.timestamp_ms or 0,
        )

    @staticmethod
    def _report(letter: Letter, found: dict[int, Outcome]) -> Callable[[Any, Any], None]:
        def done(error: Any, _: Any) -> None:
            if error is None:
                found[letter.offset] = Outcome(letter, None)
            elif isinstance(error, KafkaError):
                found[letter.offset] = Outcome(letter, error.str(), error.code() in FOR_GOOD)
            else:
                found[letter.offset] = Outcome(letter, str(error))

        return done
