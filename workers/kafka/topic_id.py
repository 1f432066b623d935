"""The ids Kafka gives topics. A topic that is created again under the same name gets another id."""

import logging
import re
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, admin

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

#: A line of the consumer's debug log: a topic's id has changed, and the consumer fetches from the new
#: topic from now on. An id of zero means none, as before the first answer.
CHANGED = re.compile(r"Topic (\S+) changed id from (?!A{22} )\S+ to (?!A{22}$)(\S+)$")

#: The module's classes are not declared as exported, so a type checker does not find them.
kafka: Any = admin


class TopicId:
    """Asks Kafka for the ids of topics.

    The consumer has no call for it, so this uses an admin client. It costs 0.9 MB while it stays connected
    to three brokers; a new client for each request costs as much in the end. Each answer costs 0.2 kB that
    is never freed: confluent-kafka 2.3 to 2.16.1 leak the id they return. So ask seldom.

    Args:
        settings: The connection to the brokers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: Any = None
        self._warned = False
        self._log = logging.getLogger("tower.consumer")
        self._throttled_log = ThrottledLogger(self._log)

    def ask(self, topics: Collection[str]) -> dict[str, str] | None:
        """Return the current ids by topic; None if the brokers do not answer within `ASK_S`.

        The id of a topic is empty if the brokers give none, or if it was deleted and others exist.
        """
        deadline = time.monotonic() + ASK_S
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                topic_ids = self._describe(topics, min(TRY_S, left_s))
            except (KafkaException, TimeoutError) as error:
                self._drop_client()
                why = error.args[0].str() if isinstance(error, KafkaException) else "no answer"
                self._throttled_log.warning(
                    "topic id",
                    "Kafka: topic id unavailable (%s), retrying. If this repeats, check that topic %s "
                    "exists and this user may describe it",
                    why,
                    ", ".join(sorted(topics)),
                )
                time.sleep(min(PAUSE_S, left_s))
            else:
                return {topic: self._as_text(topic_id) for topic, topic_id in topic_ids.items()}
        return None

    def _describe(self, topics: Collection[str], timeout_s: float) -> dict[str, Any]:
        if self._client is None:
            # Without a log: the consumer logs the same connection errors.
            self._client = kafka.AdminClient({**client_properties(self._settings), "log_level": 0})
        # Runs pending callbacks, such as the refresh of a SASL token.
        self._client.poll(0)
        futures = self._client.describe_topics(TopicCollection(sorted(topics)), request_timeout=timeout_s)
        deadline, topic_ids = time.monotonic() + timeout_s + PAUSE_S, {}
        for topic, future in futures.items():
            try:
                topic_ids[topic] = future.result(max(0.0, deadline - time.monotonic())).topic_id
            except KafkaException as error:
                is_gone = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
                if not is_gone or len(topics) == 1:
                    raise
                # The client gives up its partitions. The other topics need not wait for that.
                topic_ids[topic] = None
        return topic_ids

    def _drop_client(self) -> None:
        """Close the client in a thread: that waits for the client's own threads, which may take long."""
        references, self._client = [self._client], None
        threading.Thread(target=references.clear, daemon=True).start()

    def _as_text(self, topic_id: Any) -> str:
        if topic_id is None:
            return ""
        if topic_id.get_most_significant_bits() or topic_id.get_least_significant_bits():
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
    """The consumer's logger: passes each line on, and reports a change of a topic's id.

    The client reports the change nowhere else. It queues the line before any message of the new topic, and
    ahead of all messages, so the report comes first.

    Args:
        logger: Where the lines go.
        changed: Called with the topic and its new id, inside the client's own calls.
    """

    def __init__(self, logger: logging.Logger, changed: Callable[[str, str], None]) -> None:
        self._logger = logger
        self._changed = changed

    def log(self, level: int, template: str, *args: str) -> None:
        """Log a line of the client; its text is the last of `args`."""
        change = CHANGED.search(args[-1]) if level == logging.DEBUG and args else None
        if change:
            self._changed(change[1], change[2])
        self._logger.log(level, template, *args)
