"""A signal or an error at any line of a worker: no commit runs ahead, and a stop ends as a stop."""

import json
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from tests.support import fakes
from tests.support.fakes import FakeMessage
from tests.support.worker import Worker
from workers import batch, drain, loop, state
from workers.errors import Unavailable, WriteError
from workers.influxdb import delivery
from workers.types import Message, origin_of

CODE = {module.__file__ for module in (batch, delivery, drain, loop, state)}

Interruption = Callable[[Worker], None]


def signalled(_: Worker) -> None:
    signal.raise_signal(signal.SIGTERM)


def signalled_twice(_: Worker) -> None:
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


def timed_out(worker: Worker) -> None:
    """The time to finish ends while this line runs."""
    signal.raise_signal(signal.SIGTERM)
    worker.clock.now += 1e6


def failing(_: Worker) -> None:
    raise MemoryError


@contextmanager
def traced(worker: Worker, at_line: Callable[[str], None]) -> Iterator[None]:
    """Call a function before each line of `CODE`, with SIGTERM handled by the worker."""

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in CODE:
            return None
        if event == "line":
            at_line(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return trace

    tracer, handler = sys.gettrace(), signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, worker.loop.stop)
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(tracer)
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def interrupted(worker: Worker, act: Interruption, after: int) -> Iterator[None]:
    """Act once, when so many lines have run."""
    left = after

    def at_line(_: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            sys.settrace(None)
            act(worker)

    with traced(worker, at_line):
        yield


def numbered(partition: int, *offsets: int) -> list[Message]:
    """Records that say where they come from; every third is none."""
    return [
        FakeMessage(
            b"{}" if offset % 3 == 2 else b'{"memory":%d%d}' % (partition + 1, offset), partition, offset
        )
        for offset in offsets
    ]


def scripted() -> Worker:
    """A worker that meets an outage, lines that InfluxDB rejects, dead letters, and a rebalance."""
    worker = Worker(batch_lines=4, retry_max_s=0.1, batch_age_ms=60_000)
    answers: list[WriteError | None] = [Unavailable(503, "busy"), None, Unavailable(0, "gone")]
    rejects = fakes.listing(lambda line: b"memory=14" in line)

    def judge(lines: list[bytes]) -> WriteError | None:
        # The real writer looks at the time to finish before each wait.
        worker.loop._drain.check("InfluxDB has not answered")
        return (answers.pop(0) if answers else None) or rejects(lines)

    worker.sink.judge = judge
    worker.consumer.steps = [
        lambda: numbered(0, 0, 1, 2) + numbered(1, 0, 1),
        lambda: numbered(0, 3, 4, 5) + numbered(2, 7),
        lambda: worker.consumer.give_up({2}) or [],  # type: ignore[func-returns-value]
        lambda: numbered(1, 2, 3),
    ]
    return worker


def safe(worker: Worker) -> set[tuple[int, int]]:
    """Partition and offset of each record that is stored or among the dead letters."""
    letters = [letter.origin.message for letter in worker.dead_letters.stored]
    stored = [re.findall(rb"memory=(\d+)", line)[0].decode() for line in worker.sink.stored]
    return {(letter.partition(), letter.offset()) for letter in letters} | {
        (int(text[0]) - 1, int(text[1:])) for text in stored
    }


def check_commits(worker: Worker) -> None:
    """Every record before a committed offset is safe."""
    first = {0: 0, 1: 0, 2: 7}
    committed = {partition.number: offset for partition, offset in worker.consumer.group_offsets.items()}
    ahead = {
        (number, offset) for number, end in committed.items() for offset in range(first[number], end)
    } - safe(worker)
    assert ahead == set()


def check_batch(worker: Worker) -> None:
    """Lines and origins of what is in hand are in step."""
    in_hand = worker.loop._batch
    origins = [origin_of(origin).message for origin in in_hand.origins]
    assert [re.findall(rb"memory=(\d+)", line)[0] for line in in_hand.lines] == [
        b"%d%d" % (message.partition() + 1, message.offset()) for message in origins
    ]


def each_line(act: Interruption, check: Callable[[Worker], None]) -> None:
    """Run the script with an interruption at each line, at the first and the last time that it runs."""
    lines: list[str] = []
    worker = scripted()
    with traced(worker, lines.append):
        worker.loop.run()
    assert len(set(lines)) > 200
    first = {line: place for place, line in reversed(list(enumerate(lines)))}
    last = {line: place for place, line in enumerate(lines)}
    for after in sorted({*first.values(), *last.values()}):
        worker = scripted()
        with interrupted(worker, act, after):
            check(worker)


@pytest.mark.parametrize("act", [signalled, signalled_twice, timed_out])
def test_a_signal_at_any_line_stops_the_worker_in_order(
    act: Interruption, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def check(worker: Worker) -> None:
        caplog.clear()
        worker.loop.run()
        check_batch(worker)
        check_commits(worker)
        (line,) = [text for text in caplog.messages if text.startswith("shutdown report: ")]
        report = json.loads(line.removeprefix("shutdown report: "))
        for number, account in report["partitions"].items():
            done = account["written"] + account["dead_lettered"] + account["uncommitted"]
            assert account["consumed"] == done, (number, account)
        assert worker.consumer.asked[-1] == ("close", None)

    each_line(act, check)


def test_an_error_at_any_line_ends_the_worker_and_no_commit_runs_ahead() -> None:
    def check(worker: Worker) -> None:
        try:
            worker.loop.run()
        except MemoryError:
            check_commits(worker)

    each_line(failing, check)
