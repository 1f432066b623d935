"""One worker in this process with a timer around each hop: `python -m bench.measure.hops`.

The timers are wrapped around the worker's functions before it runs. On SIGTERM the worker stops and the
figures are printed as one line of JSON. They begin with the first records consumed and end with the last
commit.
"""

import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from workers import gc_tuning, log, process
from workers.config.settings import load
from workers.influxdb import writer
from workers.state import State


class Timers:
    """CPU time of this thread and wall time, by hop."""

    def __init__(self) -> None:
        self._cpu: dict[str, float] = defaultdict(float)
        self._wall: dict[str, float] = defaultdict(float)
        self._calls: dict[str, int] = defaultdict(int)
        self._begin: tuple[float, float, float] | None = None
        self._at_commit: dict[str, Any] = {}

    def wrap(self, owner: Any, name: str, hop: str) -> None:
        """Wrap a timer around a function of `owner`."""
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                if self._begin is not None:
                    self._cpu[hop] += time.thread_time() - cpu
                    self._wall[hop] += time.perf_counter() - wall
                    self._calls[hop] += 1

        setattr(owner, name, timed)

    def consuming(self, consume: Callable[..., Any]) -> Callable[..., Any]:
        """`consume`, which begins the measurement when it first returns records."""

        def begun(*args: Any) -> Any:
            messages = consume(*args)
            if messages and self._begin is None:
                self._begin = time.process_time(), time.thread_time(), time.perf_counter()
            return messages

        return begun

    def commit(self, records: int) -> None:
        """Note everything up to this commit."""
        if self._begin is None:
            return
        process, thread, wall = self._begin
        whole, own = time.process_time() - process, time.thread_time() - thread
        self._at_commit = {
            "records": records,
            "seconds": time.perf_counter() - wall,
            "cpu": dict(self._cpu) | {"client threads": whole - own, "rest": own - sum(self._cpu.values())},
            "wall": dict(self._wall),
            "calls": dict(self._calls),
            "cpu_total": whole,
        }

    def report(self) -> str:
        """The figures as one line."""
        return json.dumps(self._at_commit)


class Library:
    """A module with one function of it replaced."""

    def __init__(self, module: Any, **replaced: Any) -> None:
        self.__dict__.update({name: getattr(module, name) for name in dir(module)} | replaced)


class Consumer:
    """Kafka's client, whose own methods cannot be replaced."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.consume = client.consume

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def prepare(loop: Any, timers: Timers) -> None:
    """Put a timer around each hop of a worker.

    Args:
        loop: The worker's loop, not yet run.
        timers: What counts.

    Raises:
        AttributeError: A hop has another name by now.
    """
    group = loop._consumer  # noqa: SLF001 - the one place that looks inside, from outside
    client = Consumer(group._consumer)  # noqa: SLF001
    timers.wrap(client, "consume", "consume")
    client.consume = timers.consuming(client.consume)
    group._consumer = client  # noqa: SLF001
    timers.wrap(loop._converter, "convert", "decode and encode")  # noqa: SLF001
    library = Library(vars(writer)["isal_zlib"])
    timers.wrap(library, "compress", "compress")
    vars(writer)["isal_zlib"] = library
    timers.wrap(loop._writer._connection, "post", "write")  # noqa: SLF001
    timers.wrap(group, "commit", "commit")
    flush = loop._flush  # noqa: SLF001

    def flushed() -> None:
        flush()
        timers.commit(loop._delivery.lines)  # noqa: SLF001

    loop._flush = flushed  # noqa: SLF001


def main() -> None:
    """Run the worker until SIGTERM."""
    settings = load(os.environ)
    log.configure("ERROR")
    timers = Timers()
    loop = process.build(settings, State(None, 0), feed_watchdog=lambda: None)
    prepare(loop, timers)
    signal.signal(signal.SIGTERM, loop.stop)
    gc_tuning.settle()
    loop.run()
    sys.stdout.write(timers.report() + "\n")


if __name__ == "__main__":
    main()
