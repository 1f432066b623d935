"""Messages to the lines of a batch: decode and encode, and what cannot be either to its dead letters."""

from collections.abc import Sequence

from workers.batch import Batch
from workers.decoder import decode
from workers.encoder import Encoder
from workers.errors import RecordError
from workers.settings import Settings
from workers.types import NO_TIMESTAMP, DeadLetter, Message, Origin, Partition, Reason


class Translator:
    """Fills a batch from consumed messages. One bad record costs one record, never its neighbours.

    Args:
        settings: Format and limits.
        encoder: Makes the lines.
    """

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        self._format = settings.format
        self._largest = settings.max_record_bytes
        self._encoder = encoder

    def translate(self, messages: Sequence[Message], batch: Batch) -> None:
        """Take all of `messages` into `batch`, in their order.

        Every message moves its partition's end, whether it became lines or dead letters: both are kept
        before a commit says so.
        """
        for message in messages:
            number, offset = message.partition(), message.offset()
            partition = Partition(message.topic(), number)
            batch.ends[partition] = offset + 1
            batch.records[partition] += self._translate_one(message, number, offset, batch)

    def _translate_one(self, message: Message, number: int, offset: int, batch: Batch) -> int:
        """Take one message in; the number of records it held, at least one."""
        value = message.value()
        try:
            if value is not None and len(value) > self._largest:
                raise RecordError(Reason.TOO_LARGE, f"{len(value)} bytes")
            records = decode(value, self._format)
        except RecordError as error:
            whole = Origin(message, 0, value)
            batch.dead_letters.append(DeadLetter(whole, error.reason, error.detail))
            return 1
        kind, milliseconds = message.timestamp()
        kafka_ms = None if kind == NO_TIMESTAMP else milliseconds
        for index, (record, raw) in enumerate(records):
            origin = Origin(message, index, raw)
            try:
                if not isinstance(record, dict):
                    raise RecordError(Reason.NOT_A_RECORD, type(record).__name__)
                line = self._encoder.encode(record, kafka_ms, number, offset, index)
            except RecordError as error:
                batch.dead_letters.append(DeadLetter(origin, error.reason, error.detail))
            else:
                batch.lines.append(line)
                batch.origins.append(origin)
                batch.size += len(line) + 1
        return len(records)
