"""The objects that a loop works with."""

from collections.abc import Callable
from dataclasses import dataclass

from workers.drain import Drain
from workers.influxdb.delivery import Delivery, WaitFunction
from workers.influxdb.writer import Writer
from workers.kafka.consumer import GroupConsumer, RevokeCallback
from workers.kafka.dead_letters import DeadLetterProducer
from workers.records.router import Router
from workers.state import State


@dataclass(frozen=True, slots=True)
class Parts:
    """What a loop works with (see `workers.process.build`).

    The last three call back into the loop. The loop creates each of them once, with its own methods.

    Attributes:
        state: The worker's counters and state file.
        drain: Limits the time to finish the batch in hand.
        converter: Fills a batch from messages. Its counters go into the report.
        writer: The delivery's writer, which the loop closes at its end.
        delivery: Creates the delivery from a function that waits and one that reports progress.
        dead_letters: Creates the dead letters' producer from a function that waits.
        consumer: Creates the group's member from a function that is called before partitions go.
    """

    state: State
    drain: Drain
    converter: Router
    writer: Writer
    delivery: Callable[[WaitFunction, Callable[[], None]], Delivery]
    dead_letters: Callable[[WaitFunction], DeadLetterProducer]
    consumer: Callable[[RevokeCallback], GroupConsumer]
