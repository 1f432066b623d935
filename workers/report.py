"""The content of a worker's state file."""

import logging
from collections.abc import Mapping
from typing import Any

from workers.batch import Batch
from workers.influxdb.delivery import Delivery
from workers.kafka.consumer import GroupConsumer
from workers.kafka.dead_letters import DeadLetterProducer
from workers.log import ThrottledLogger
from workers.parts import Parts
from workers.records.record_time import PROBLEMS
from workers.types import Partition

#: Counters that an operator has to know of, by their names, with what they mean and what to do.
LOGGED = {
    "values_omitted": "%d values were left out so far, because they are no number and no text. "
    "`tower check` names the fields",
    "names_doubled": "%d values were left out so far, because an earlier field of their record has the "
    "same name. Let the sender use different names",
} | {name: f"{problem.cause} (%d so far). {problem.remedy}" for name, problem in PROBLEMS.items()}


class Report:
    """Collects the counters of a worker's parts.

    Args:
        parts: What the loop works with.
        delivery: The loop's delivery.
        dead_letters: The loop's producer of dead letters.
        consumer: The loop's member of the group.
    """

    def __init__(
        self, parts: Parts, delivery: Delivery, dead_letters: DeadLetterProducer, consumer: GroupConsumer
    ) -> None:
        self._state = parts.state
        self._converter = parts.converter
        self._writer = parts.writer
        self._delivery = delivery
        self._dead_letters = dead_letters
        self._consumer = consumer
        self._throttled_log = ThrottledLogger(logging.getLogger("tower.loop"))
        self._logged = dict.fromkeys(LOGGED, 0)

    def _log(self, counts: Mapping[str, int]) -> None:
        """Log what is stored, but not well: a line per kind in half a minute, while it goes on."""
        for name, text in LOGGED.items():
            if counts[name] > self._logged[name]:
                self._logged[name] = counts[name]
                self._throttled_log.warning(name, text, counts[name])

    def content(self, batch: Batch, oldest_ms: Mapping[Partition, int]) -> dict[str, Any]:
        """Return all counters.

        Args:
            batch: The batch in hand.
            oldest_ms: Kafka's time of the oldest record in hand, by partition.
        """
        consumer, delivery, counts = self._consumer, self._delivery, self._converter.counts
        self._log(counts)
        fenced, why = consumer.fenced_and_why
        partitions, key = consumer.owned | self._state.consumed.keys(), self._state.key
        return {
            "partitions": self._state.account(
                batch.records,
                consumer.committed,
                {partition: consumer.position(partition) for partition in partitions},
                {partition: consumer.lag(partition) for partition in consumer.owned},
            ),
            "owned": [key(partition) for partition in sorted(consumer.owned)],
            "stopped": {str(key(partition)): why for partition, why in consumer.stopped.items()},
            "read_errors": {
                str(key(partition)): why for partition, why in consumer.read_errors.current().items()
            },
            "oldest_ms": {str(key(partition)): ms for partition, ms in oldest_ms.items()},
            "native": not self._converter.why_not_native,
            "why_not_native": self._converter.why_not_native,
            "counters": {
                "writes": delivery.writes,
                "lines": delivery.lines,
                "retries": delivery.retries.total(),
                "rejections": delivery.rejections,
                "values_converted": delivery.values_converted,
                "sent_bytes": self._writer.sent_bytes,
                "rebalances": consumer.rebalances,
                "renewals": consumer.renewals,
                "fenced": fenced,
                "commit_failures": consumer.commit_failures,
                **counts,
            },
            "retries_by_class": dict(delivery.retries),
            "field_types": delivery.field_types(),
            **self._writer.figures.content(),
            "dead_letter_reasons": dict(self._dead_letters.reasons),
            "renewal": why,
            "recent": self._state.recent(
                {
                    "values_omitted": counts["values_omitted"],
                    "names_doubled": counts["names_doubled"],
                    **{name: counts[name] for name in PROBLEMS},
                    "renewals": consumer.renewals,
                    "commit_failures": consumer.commit_failures,
                },
                self._dead_letters.reasons,
                fenced,
            ),
        }
