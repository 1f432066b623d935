"""The id Kafka gives a topic. A topic that is created again under the same name gets another id."""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, admin

from workers.config.settings import Settings
from workers.kafka.properties import client_properties
from workers.log import ThrottledLogger

#: Time-out in seconds of one `ask`, all tries together. It is far below max.poll.interval.ms.
ASK_S = 5.0

#: Time-out in seconds of one try. The next try uses a new client, because the old one may stay connected to
#: a broker that is gone, or may have had no memory for a thread.
TRY_S = 2.0

#: Seconds between two tries if Kafka rejects one at once.
PAUSE_S = 0.1

#: The consumer's debug contexts that log a change of the topic id: 20 lines a minute.
DEBUG = "metadata"

#: A line of the consumer's debug log: the topic's id has changed, and the consumer fetches from the new
#: topic from now on. An id of zero means none, as before the first answer.
CHANGED = re.compile(r" changed id from (?!A{22} )\S+ to (?!A{22}$)(\S+)$")

#: The module's classes are not declared as exported, so a type checker does not find them.
kafka: Any = admin


class TopicId:
    """Asks Kafka for the topic's id.

    The consumer has no call for it, so this uses an admin client. It costs 0.9 MB while it stays connected
    to three brokers; a new client for each request costs as much in the end. Each answer costs 0.2 kB that
    is never freed: confluent-kafka 2.3 to 2.16.1 leak the id they return. So ask seldom.

    Args:
        settings: The topic, and the connection to the brokers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._client: Any = None
        self._warned = False
        self._log = logging.getLogger("tower.consumer")
        self._throttled_log = ThrottledLogger(self._log)

    def ask(self) -> str | None:
        """Return the current id; empty if brokers give none, None if they do not answer within `ASK_S`."""
        deadline = time.monotonic() + ASK_S
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                topic_id = self._describe(min(TRY_S, left_s))
            except (KafkaException, TimeoutError) as error:
                self._drop_client()
                why = error.args[0].str() if isinstance(error, KafkaException) else "no answer"
                self._throttled_log.warning(
                    "topic id",
                    "Kafka: topic id unavailable (%s), retrying. If this repeats, check that topic %s "
                    "exists and this user may describe it",
                    why,
                    self._topic,
                )
                time.sleep(min(PAUSE_S, left_s))
            else:
                return self._as_text(topic_id)
        return None

    def _describe(self, timeout_s: float) -> Any:
        if self._client is None:
            # Without a log: the consumer logs the same connection errors.
            self._client = kafka.AdminClient({**client_properties(self._settings), "log_level": 0})
        # Runs pending callbacks, such as the refresh of a SASL token.
        self._client.poll(0)
        futures = self._client.describe_topics(TopicCollection([self._topic]), request_timeout=timeout_s)
        return futures[self._topic].result(timeout_s + PAUSE_S).topic_id

    def _drop_client(self) -> None:
        """Close the client in a thread: that waits for the client's own threads, which may take long."""
        references, self._client = [self._client], None
        threading.Thread(target=references.clear, daemon=True).start()

    def _as_text(self, topic_id: Any) -> str:
        if topic_id is not None and (
            topic_id.get_most_significant_bits() or topic_id.get_least_significant_bits()
        ):
            return str(topic_id)
        if not self._warned:
            self._warned = True
            self._log.warning(
                "Kafka: these brokers give topics no ids (before 2.8). If the topic is deleted and created "
                "again, Tower notices it only if an offset no longer exists. Stop the pool before you "
                "delete the topic"
            )
        return ""


class ClientLog:
    """The consumer's logger: passes each line on, and reports a change of the topic id.

    The client reports the change nowhere else. It queues the line before any message of the new topic, and
    ahead of all messages, so the report comes first.

    Args:
        logger: Where the lines go.
        changed: Called with the new id, inside the client's own calls.
    """

    def __init__(self, logger: logging.Logger, changed: Callable[[str], None]) -> None:
        self._logger = logger
        self._changed = changed

    def log(self, level: int, template: str, *args: str) -> None:
        """Log a line of the client; its text is the last of `args`."""
        change = CHANGED.search(args[-1]) if level == logging.DEBUG and args else None
        if change:
            self._changed(change[1])
        self._logger.log(level, template, *args)
