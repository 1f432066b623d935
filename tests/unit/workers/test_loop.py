"""A record is written and then committed, also during outages, rebalances and stops."""

import json
import logging
import signal
from collections.abc import Mapping

import pytest

from tests.support.fakes import FakeMessage
from tests.support.worker import Step, Worker
from workers.errors import DrainExpired, Misconfigured, Unavailable, WriteError
from workers.records import native
from workers.state import WorkerState
from workers.types import DeadLetter, Message, Partition


@pytest.fixture
def worker() -> Worker:
    """A worker whose batches are due as soon as anything is in them."""
    return Worker(batch_lines=1, retry_max_s=0.1)


@pytest.fixture
def slow() -> Worker:
    """A worker that keeps a batch in hand."""
    return Worker(batch_lines=100, batch_age_ms=60_000, drain_s=10, retry_max_s=1)


def messages(number: int, *offsets: int, value: bytes = b'{"memory":1}') -> list[Message]:
    return [FakeMessage(value, number, offset) for offset in offsets]


def step(*parts: list[Message]) -> Step:
    return lambda: [message for part in parts for message in part]


def test_each_batch_is_written_and_then_committed(worker: Worker) -> None:
    order: list[object] = []

    def written(lines: list[bytes]) -> None:
        order.append(len(lines))

    worker.sink.judge = written
    commit = worker.consumer.commit

    def noted(next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        order.append({key.number: offset for key, offset in next_offsets.items()})
        commit(next_offsets, blocking)

    worker.consumer.commit = noted  # type: ignore[method-assign]
    worker.run(step(messages(0, 5, 6), messages(1, 9)), step(messages(0, 7)))

    assert order[:4] == [3, {0: 7, 1: 10}, 1, {0: 8}]
    assert worker.account() == {0: (3, 3, 0, 0), 1: (1, 1, 0, 0)}


def test_the_age_of_a_batch_begins_with_its_first_message(slow: Worker) -> None:
    """If more were gathered first, the first message would wait for a poll and for the age as well."""
    slow.run(step(), step(messages(0, 5)), step(messages(0, 6)), step())

    assert slow.consumer.gathered[:4] == [False, False, True, True]


def test_a_batch_is_due_when_its_first_message_is_old_enough(slow: Worker) -> None:
    writes: list[int] = []

    def later() -> list[Message]:
        writes.append(len(slow.sink.writes))
        slow.clock.now += 40
        return messages(0, 5 + len(writes))

    slow.run(*[later] * 4)

    assert writes == [0, 0, 0, 1]


def test_no_more_messages_are_taken_than_the_batch_has_room_for(slow: Worker) -> None:
    slow.run(step(messages(0, 1, 2, 3)), step(messages(0, 4)), step())

    assert slow.consumer.wanted[:3] == [100, 97, 96]


def test_a_worker_that_was_replaced_writes_nothing_more(slow: Worker) -> None:
    """Leaving the group revokes its partitions, and another worker has them already."""

    def replaced() -> list[Message]:
        raise DrainExpired("another worker has replaced this one")

    slow.run(step(messages(0, 1, 2)), replaced)

    assert slow.sink.writes == []
    assert slow.consumer.commits == []
    assert slow.account() == {0: (2, 0, 0, 2)}


def test_nothing_is_committed_until_influxdb_stores_the_batch(worker: Worker) -> None:
    seen: list[object] = []

    refusals: dict[int, WriteError] = {
        1: Unavailable(503, ""),
        2: Misconfigured(401, ""),
        3: Unavailable(0, ""),
    }

    def judge(_: list[bytes]) -> WriteError | None:
        seen.append(list(worker.consumer.commits))
        return refusals.get(len(seen))

    worker.sink.judge = judge
    worker.run(step(messages(0, 5)))

    assert seen == [[]] * 4
    assert worker.consumer.commits[0] == {0: 6}


def test_dead_letters_are_stored_before_the_commit(worker: Worker) -> None:
    stored: list[object] = []

    def store(dead_letters: list[DeadLetter]) -> None:
        stored.append((len(dead_letters), list(worker.consumer.commits)))

    worker.dead_letters.store = store  # type: ignore[method-assign]

    worker.run(step(messages(0, 1), messages(0, 2, value=b"{}"), messages(0, 3)))

    assert stored[0] == (1, [])
    assert worker.consumer.commits[0] == {0: 4}
    assert worker.account() == {0: (3, 2, 1, 0)}


def test_a_batch_in_hand_is_finished_on_a_stop(slow: Worker) -> None:
    slow.run(step(messages(0, 1, 2)))

    assert len(slow.sink.stored) == 2
    assert slow.consumer.commits == [{0: 3}]
    assert slow.consumer.asked[-1] == ("close", None)
    assert slow.state.current is WorkerState.STOPPED


def test_the_last_commit_repeats_all_commits_without_an_answer(worker: Worker) -> None:
    worker.run(step(messages(0, 1)), step(messages(1, 1)))

    assert worker.consumer.asked[-2] == ("commit and wait", {0: 2, 1: 2})


def test_a_stop_that_takes_too_long_drops_what_is_not_written(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    def judge(_: list[bytes]) -> Unavailable:
        worker.loop.stop(signal.SIGTERM, None)
        return Unavailable(503, "")

    worker.sink.judge = judge
    worker.run(step(messages(0, 1)))

    assert worker.consumer.commits == []
    assert worker.account() == {0: (1, 0, 0, 1)}
    assert worker.consumer.asked[-1] == ("close", None)
    (line,) = [message for message in caplog.messages if "not finished" in message]
    assert line == (
        "The batch is not finished (a second signal arrived: InfluxDB: 503: ): 1 records are dropped "
        "uncommitted and are read again"
    )


def test_a_stop_that_outlasts_its_time_says_so(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker(batch_lines=1, drain_s=1)

    def judge(_: list[bytes]) -> Unavailable:
        worker.loop.stop(signal.SIGTERM, None)
        worker.clock.now += 1
        return Unavailable(503, "busy")

    worker.sink.judge = judge
    worker.run(step(messages(0, 1, 2)))

    assert "(the 1 s of TOWER_DRAIN_S are over: InfluxDB: 503: busy): 2 records" in caplog.text
    assert worker.account() == {0: (2, 0, 0, 2)}


def test_a_stop_without_a_batch_in_hand_drops_nothing(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    worker.run(step(messages(0, 1)))

    assert "not finished" not in caplog.text


@pytest.mark.parametrize(
    ("value", "is_dead"),
    [(b'[{"memory":1}' + b',{"memory":1}' * 49 + b"]", False), (b"[1" + b",1" * 49 + b"]", True)],
)
def test_messages_of_many_records_make_no_larger_batches_and_each_is_stored_once(
    slow: Worker, value: bytes, is_dead: bool
) -> None:
    for number in range(3):
        slow.consumer.produce(number, [value] * 40)

    sizes: list[int] = []
    store = slow.dead_letters.store

    def noted(dead_letters: list[DeadLetter]) -> None:
        sizes.append(len(dead_letters))
        store(dead_letters)

    slow.dead_letters.store = noted  # type: ignore[method-assign]
    slow.run()

    stored = [] if is_dead else [2_000] * 3
    sizes += map(len, slow.sink.writes)
    origins = {
        (it.origin.message.partition(), it.origin.message.offset(), it.origin.element)
        for it in slow.dead_letters.stored
    }
    assert max(sizes) <= 2 * 100 + 50
    assert len(set(slow.sink.stored)) == sum(stored)
    assert len(origins) == len(slow.dead_letters.stored) == (6_000 if is_dead else 0)
    assert slow.account() == dict.fromkeys(
        range(3), (2_000, 0, 2_000, 0) if is_dead else (2_000, 2_000, 0, 0)
    )
    # After the first round, as many messages are asked for as fit.
    assert [name for name, _ in slow.consumer.asked].count("put_back") == 1
    assert max(slow.consumer.wanted[1:-1]) <= 4


class TestRebalance:
    """Partitions are revoked or lost."""

    @staticmethod
    def losing(worker: Worker, numbers: set[int], lost: bool) -> Step:
        def act() -> list[Message]:
            worker.consumer.give_up(numbers, lost)
            return []

        return act

    def test_a_revoked_partition_is_finished_and_committed_first(self, slow: Worker) -> None:
        slow.run(step(messages(0, 1), messages(1, 1)), self.losing(slow, {0}, lost=False))

        assert len(slow.sink.stored) == 2
        assert slow.consumer.commits[0] == {0: 2, 1: 2}
        assert slow.account() == {0: (1, 1, 0, 0), 1: (1, 1, 0, 0)}

    def test_a_revoked_partition_without_records_in_hand_costs_no_write(self, slow: Worker) -> None:
        writes: list[int] = []

        def count() -> list[Message]:
            slow.consumer.give_up({2})
            writes.append(len(slow.sink.writes))
            return []

        slow.run(step(messages(0, 1)), count)

        assert writes == [0]

    def test_nothing_of_a_lost_partition_is_written_or_committed(self, slow: Worker) -> None:
        slow.run(step(messages(0, 1), messages(1, 1)), self.losing(slow, {0}, lost=True))

        assert len(slow.sink.stored) == 1
        assert slow.consumer.commits == [{1: 2}]
        assert slow.account() == {0: (1, 0, 0, 1), 1: (1, 1, 0, 0)}

    def test_a_finish_that_takes_too_long_is_given_up(
        self, slow: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        began: list[float] = []

        def lose() -> list[Message]:
            slow.sink.judge = lambda _: Unavailable(503, "busy")
            began.append(slow.clock.now)
            slow.consumer.give_up({0})
            began.append(slow.clock.now)
            slow.sink.judge = lambda _: None
            return []

        slow.run(step(messages(0, 1), messages(1, 1)), lose)

        assert 10 <= began[1] - began[0] <= 11
        assert "is not finished in 10 s" in caplog.text
        assert slow.consumer.commits == [{1: 2}]
        assert slow.account() == {0: (1, 0, 0, 1), 1: (1, 1, 0, 0)}
        assert ("poll_paused", 0.25) not in slow.consumer.asked

    def test_a_partition_revoked_during_an_outage_is_dropped_and_the_others_continue(
        self, slow: Worker
    ) -> None:
        failing = [Unavailable(503, "busy")] * 40
        slow.sink.judge = lambda _: failing.pop() if failing else None
        slow.consumer.at_poll_paused = [lambda: slow.consumer.give_up({0})]

        def due() -> list[Message]:
            slow.clock.now += 60
            return []

        slow.run(step(messages(0, 1), messages(1, 1)), due)

        assert len(slow.sink.stored) == 1
        assert slow.consumer.commits[0] == {1: 2}
        assert slow.account() == {0: (1, 0, 0, 1), 1: (1, 1, 0, 0)}

    def test_a_partition_that_goes_and_returns_within_one_wait_is_not_committed(self, slow: Worker) -> None:
        """Its records were dropped, and it is owned again when the others are stored."""
        failing = [Unavailable(503, "busy")] * 40
        slow.sink.judge = lambda _: failing.pop() if failing else None

        def go_and_return() -> None:
            slow.consumer.give_up({0})
            slow.consumer.take_back({0}, committed=1)

        def due() -> list[Message]:
            slow.clock.now += 60
            return []

        slow.consumer.at_poll_paused = [go_and_return]
        slow.run(step(messages(0, 1), messages(1, 1)), due)

        assert len(slow.sink.stored) == 1
        assert slow.consumer.commits[0] == {1: 2}
        assert slow.consumer.group_offsets.get(Partition("resource", 0), 1) == 1

    def test_a_revocation_during_a_delivery_starts_no_second_one(self, slow: Worker) -> None:
        writes: list[int] = []

        def judge(lines: list[bytes]) -> WriteError | None:
            writes.append(len(lines))
            return Unavailable(503, "busy") if len(writes) < 40 else None

        slow.sink.judge = judge
        before: list[int] = []
        slow.consumer.at_poll_paused = [
            lambda: before.append(len(writes)),
            lambda: slow.consumer.give_up({0}),
            lambda: before.append(len(writes)),
        ]

        def due() -> list[Message]:
            slow.clock.now += 60
            return []

        slow.run(step(messages(0, 1), messages(1, 1)), due)

        assert before[1] - before[0] <= 2
        assert slow.account() == {0: (1, 0, 0, 1), 1: (1, 1, 0, 0)}

    def test_a_finish_before_a_revocation_gives_a_write_no_more_than_its_time(self, slow: Worker) -> None:
        def lose() -> list[Message]:
            slow.consumer.give_up({0})
            return []

        slow.run(step(messages(0, 1)), lose)

        assert slow.sink.timeouts[0] <= 10

    def test_an_offset_of_a_partition_that_left_is_not_committed_when_it_returns(
        self, worker: Worker
    ) -> None:
        """Another worker has gone on meanwhile, or the operator has set it back."""

        def return_set_back() -> list[Message]:
            worker.consumer.take_back({0}, committed=2)
            worker.clock.now += 60
            return []

        worker.run(step(messages(0, 5)), self.losing(worker, {0}, lost=False), return_set_back)

        assert worker.consumer.group_offsets[Partition("resource", 0)] == 2


class TestOutage:
    """InfluxDB does not answer."""

    def test_the_worker_stays_a_member_reports_that_it_waits_and_resumes(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        states: set[WorkerState] = set()
        failing = [Unavailable(503, "busy", 2.0)] * 5
        worker.sink.judge = lambda _: failing.pop() if failing else None
        worker.consumer.at_poll_paused = [lambda: states.add(worker.state.current)] * 10
        worker.run(step(messages(0, 1)))

        waits = [what for name, what in worker.consumer.asked if name == "poll_paused"]
        assert sum(float(str(seconds)) for seconds in waits) > 7
        assert states == {WorkerState.WAITING}
        assert ("resume", None) in worker.consumer.asked
        assert "resuming after: InfluxDB: 503: busy" in caplog.text

    def test_a_write_without_an_answer_is_reported_while_it_lasts_and_resumed_from(
        self, worker: Worker, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        seen: list[tuple[WorkerState, str]] = []

        def judge(_: list[bytes]) -> None:
            for _second in range(7):
                worker.clock.now += 1
                worker.loop.while_writing()
                seen.append((worker.state.current, worker.state.why))

        def due() -> list[Message]:
            seen.append((worker.state.current, ""))
            return messages(0, 2)

        worker.sink.judge = judge
        worker.run(step(messages(0, 1)), due)

        waiting = [(WorkerState.WAITING, f"InfluxDB has not answered a write for {s} s") for s in (5, 6, 7)]
        assert seen[:8] == [(WorkerState.RUNNING, "")] * 4 + waiting + [(WorkerState.RUNNING, "")]
        assert seen[8:12] == [(WorkerState.RUNNING, "")] * 4
        assert "resuming after: InfluxDB has not answered a write for 7 s" in caplog.text

    def test_a_short_outage_pauses_no_partition(self, worker: Worker) -> None:
        failing = [Unavailable(503, "busy")] * 3
        worker.sink.judge = lambda _: failing.pop() if failing else None

        worker.run(step(messages(0, 1)))

        assert [name for name, _ in worker.consumer.asked if name == "poll_paused"] == []


class TestIdle:
    """Commits without new records."""

    @staticmethod
    def later(worker: Worker, seconds: float) -> Step:
        def act() -> list[Message]:
            worker.clock.now += seconds
            return []

        return act

    def test_they_are_repeated_seldom(self, worker: Worker) -> None:
        worker.run(step(messages(0, 1)), *[self.later(worker, 10)] * 8)

        assert worker.consumer.commits == [{0: 2}] * 4

    def test_a_failed_commit_is_repeated_soon(self, worker: Worker) -> None:
        def fail() -> list[Message]:
            worker.consumer.commit_failures += 1
            return []

        worker.run(step(messages(0, 1)), fail, *[self.later(worker, 1.1)] * 4)

        assert worker.consumer.commits == [{0: 2}] * 3


def test_the_report_adds_up_and_is_logged(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    worker.run(step(messages(0, 1, 2), messages(0, 3, value=b"[]"), messages(2, 1)))

    (line,) = [line for line in caplog.messages if line.startswith("shutdown report: ")]
    assert '"consumed": 3, "written": 2, "dead_lettered": 1, "uncommitted": 0' in line


def test_a_worker_without_the_c_kernel_says_so_once_and_in_its_state(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(native, "BUILT", False)

    Worker().run()

    assert [message for message in caplog.messages if "converted in Python" in message] == [
        f"The C kernel is not used, so records are converted in Python: {native.NOT_BUILT}"
    ]
    (line,) = [line for line in caplog.messages if line.startswith("shutdown report: ")]
    content = json.loads(line.removeprefix("shutdown report: "))
    assert (content["native"], content["why_not_native"]) == (False, native.NOT_BUILT)


def test_what_is_stored_but_not_well_is_logged_once_in_half_a_minute_with_what_to_do(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    bad = messages(0, *range(50), value=b'{"memory":1,"tx":"none","time":"2000-01-01T00:00:00Z"}')

    worker.run(*[step([message]) for message in bad])
    for _ in range(3):
        worker.loop._report_content()

    lines = [record.getMessage() for record in caplog.records if "so far" in record.getMessage()]
    assert len(lines) == 2
    assert any("values were left out so far" in line and "`tower check`" in line for line in lines)
    assert any("further than TOWER_TIME_WINDOW_S" in line and "clock" in line for line in lines)
