"""Takes messages that Kafka's client has fetched, and waits for more."""

import time
from collections.abc import Callable
from typing import Any

#: Seconds between two polls of the client's queue while messages arrive.
POLL_S = 0.01

#: Longest interval, reached if no messages arrive for a while.
IDLE_POLL_S = 0.1

#: The interval while more messages are gathered. It is not used after a poll that returned `MANY`, because
#: the client's queue could fill up in between. Polls are most of what one of many workers costs.
GATHER_POLL_S = 0.05
MANY = 1_000


class Prefetch:
    """Takes messages out of the client's queue. It polls less often while none arrive.

    The client's own wait is not used: it ends at a time of the wall clock. If that clock is set back by an
    hour meanwhile, the wait lasts an hour longer.

    Args:
        max_bytes: Bytes of messages that are enough, whatever their number.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._poll_s = POLL_S

    def take(
        self, client: Any, enough: int, max_messages: int, timeout_s: float, over: Callable[[], object]
    ) -> list[Any]:
        """Return messages and events as soon as there are enough, or when the time is over.

        Args:
            client: The consumer.
            enough: Number of messages that ends the wait.
            max_messages: Largest number of messages to return.
            timeout_s: Seconds after which it returns what it has.
            over: Called before each wait; a true result ends the wait.
        """
        deadline = time.monotonic() + timeout_s
        messages: list[Any] = client.consume(max_messages, 0)
        if messages:
            self._poll_s = POLL_S
        if len(messages) >= enough:
            return messages
        polled, size = len(messages), sum(map(len, messages))
        while len(messages) < enough and size < self._max_bytes and not over():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            gathering = enough > 1 and polled < MANY
            time.sleep(min(GATHER_POLL_S if gathering else self._poll_s, left_s))
            more = client.consume(max_messages - len(messages), 0)
            polled = len(more)
            self._poll_s = POLL_S if polled else min(2 * self._poll_s, IDLE_POLL_S)
            size += sum(map(len, more))
            messages += more
        return messages
