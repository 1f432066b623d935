"""What Kafka's client has fetched already, and how it is waited for."""

import time
from collections.abc import Callable
from typing import Any

#: Seconds between two looks at what the client has fetched, where messages are waited for.
POLL_S = 0.01

#: The same where none have come for a while.
IDLE_POLL_S = 0.1

#: The same while more are gathered, unless a look found `MANY`, as where the client's queue fills up in
#: between: looks are most of what one of many workers costs.
GATHER_POLL_S = 0.05
MANY = 1_000


class Prefetch:
    """Takes messages out of the client's queue, and looks there ever more rarely where none come.

    The client is asked without its own wait, which ends at a time of the wall clock: one that is put back
    by an hour meanwhile, as where a machine first hears of the right time, would hold it for that hour.

    Args:
        most_bytes: Bytes of messages that are enough, however many they are.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._poll_s = POLL_S

    def take(
        self, client: Any, enough: int, most: int, timeout_s: float, over: Callable[[], object]
    ) -> list[Any]:
        """What the client hands out, events among it, until there is enough or the time is over.

        Args:
            client: The consumer.
            enough: Number of messages that ends the wait.
            most: Number of messages that are never exceeded.
            timeout_s: Seconds after which it returns what there is.
            over: Asked before each wait for more: what is true ends it.
        """
        until = time.monotonic() + timeout_s
        found: list[Any] = client.consume(most, 0)
        if found:
            self._poll_s = POLL_S
        if len(found) >= enough:
            return found
        came, size = len(found), sum(map(len, found))
        while len(found) < enough and size < self._most_bytes and not over():
            left = until - time.monotonic()
            if left <= 0:
                break
            calm = enough > 1 and came < MANY
            time.sleep(min(GATHER_POLL_S if calm else self._poll_s, left))
            more = client.consume(most - len(found), 0)
            came = len(more)
            self._poll_s = POLL_S if came else min(2 * self._poll_s, IDLE_POLL_S)
            size += sum(map(len, more))
            found += more
        return found
