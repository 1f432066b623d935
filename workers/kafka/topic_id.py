"""The id Kafka gives a topic: another topic under the same name has another one."""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, admin

from workers.config.settings import Settings
from workers.kafka.properties import client_properties
from workers.log import Repeats

#: Seconds within which Kafka must tell the id, all tries together: far below max.poll.interval.ms.
ASK_S = 5.0

#: Seconds for one try. The next one has a new client: one that keeps to a broker that is gone, or had no
#: memory for a thread, is not worth waiting for.
TRY_S = 2.0

#: Seconds between two tries where Kafka refuses at once.
PAUSE_S = 0.1

#: What the consumer has to log so that the next is among it: 20 lines a minute.
DEBUG = "metadata"

#: A line of the consumer's debug log: it has learnt that another topic has the name now, and fetches from
#: that one from then on. An id of zero is none, as before the first answer.
CHANGED = re.compile(r" changed id from (?!A{22} )\S+ to (?!A{22}$)(\S+)$")

#: The client exports its classes without saying so to a type checker.
kafka: Any = admin


class TopicId:
    """Asks Kafka for the topic's id.

    The consumer cannot be asked. This is a client of its own, which costs 0.9 MB where it keeps in touch
    with three brokers; a new one for each question costs as much in the end. Each answer costs 0.2 kB for
    good: confluent-kafka 2.3 to 2.16.1 never free the id they return. So ask seldom.

    Args:
        settings: The topic, and the way to the brokers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._client: Any = None
        self._told = False
        self._log = logging.getLogger("tower.consumer")
        self._repeats = Repeats(self._log)

    def ask(self) -> str | None:
        """The id now; empty where brokers give none; None where they did not answer within `ASK_S`."""
        deadline = time.monotonic() + ASK_S
        while (left := deadline - time.monotonic()) > 0:
            try:
                found = self._describe(min(TRY_S, left))
            except (KafkaException, TimeoutError) as error:
                self._drop()
                why = error.args[0].str() if isinstance(error, KafkaException) else "no answer"
                self._repeats.warning("topic id", "Kafka: the topic's id is not told yet: %s", why)
                time.sleep(min(PAUSE_S, left))
            else:
                return self._known(found)
        return None

    def _describe(self, timeout_s: float) -> Any:
        if self._client is None:
            # What it would log, the consumer does.
            self._client = kafka.AdminClient({**client_properties(self._settings), "log_level": 0})
        # Whatever waits to be called back, such as a refreshed token for SASL.
        self._client.poll(0)
        asked = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=timeout_s)
        return asked[self._topic].result(timeout_s + PAUSE_S).topic_id

    def _drop(self) -> None:
        """Let go of the client, in a thread: it ends when all of its own have, and the loop cannot wait."""
        last, self._client = [self._client], None
        threading.Thread(target=last.clear, daemon=True).start()

    def _known(self, found: Any) -> str:
        if found is not None and (found.get_most_significant_bits() or found.get_least_significant_bits()):
            return str(found)
        if not self._told:
            self._told = True
            self._log.warning(
                "these brokers give topics no ids: a topic deleted and made anew under its name is noticed "
                "where an offset no longer exists, and not by its id"
            )
        return ""


class ClientLog:
    """Takes the consumer's log, passes it on, and reports when the topic's id has changed.

    The client reports that nowhere else. The line is queued before any message of the new topic and ahead
    of all messages, so it arrives here first.

    Args:
        logger: Where the lines go.
        changed: Called with the new id, inside the client's own calls.
    """

    def __init__(self, logger: logging.Logger, changed: Callable[[str], None]) -> None:
        self._logger = logger
        self._changed = changed

    def log(self, level: int, template: str, *args: str) -> None:
        """Called by the client; the last of `args` is what it says."""
        change = CHANGED.search(args[-1]) if level == logging.DEBUG and args else None
        if change:
            self._changed(change[1])
        self._logger.log(level, template, *args)
