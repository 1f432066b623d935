"""Every line of a batch ends with its own 204 or as a dead letter, whatever InfluxDB answers."""

import logging
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.examples import examples
from tests.support.fakes import FakeClock, FakeSink, FakeWait, partition
from workers.batch import Batch
from workers.errors import DrainExpired, Misconfigured, Rejected, TooLarge, Unavailable, WriteError
from workers.influxdb.delivery import POLL_S, Delivery
from workers.log import REPEAT_S, ThrottledLogger
from workers.types import Reason

TIMEOUT_S = 30.0

#: Seconds of a slow write.
SLOW_S = 4.0


def batch_of(lines: int, partitions: int = 1) -> Batch:
    """A batch of as many lines, which take turns by partition."""
    batch = Batch(first_at=0.0)
    for offset in range(lines):
        number = offset % partitions
        line = f"labs seq={offset:05d} {offset}".encode()
        batch.lines.append(line)
        batch.origins.append(fakes.origin(number, offset))
        batch.next_offsets[partition(number)] = offset + 1
        batch.records[partition(number)] += 1
        batch.size += len(line) + 1
    return batch


#: A line that InfluxDB has stored before the test.
KNOWN = b"labs seq=99999 99999"


class Bench:
    """A delivery with fakes all around it, that has delivered one line unless it is new."""

    def __init__(
        self,
        sink: FakeSink,
        *,
        reread: Callable[[], bool] = lambda: False,
        new: bool = False,
        **options: object,
    ) -> None:
        self.sink = sink
        self.wait = FakeWait()
        self.clock = FakeClock()
        throttled_log = ThrottledLogger(logging.getLogger("tower.loop"), self.clock)
        self.reports = 0
        config = fakes.settings(**options)
        self.delivery = Delivery(
            config, sink, self.wait, reread, throttled_log, report=self._count, clock=self.clock
        )
        if not new:
            judge, sink.judge = sink.judge, lambda _: None
            known = Batch([KNOWN], [fakes.origin(0, 99_999)], next_offsets={partition(0): 100_000})
            self.deliver(known)
            sink.judge = judge
            for record in (sink.writes, sink.stored, sink.timeouts, self.wait.asked):
                record.clear()
            self.reports = self.delivery.writes = self.delivery.lines = 0

    def _count(self) -> None:
        self.reports += 1

    def deliver(self, batch: Batch) -> None:
        self.delivery.deliver(batch, TIMEOUT_S)

    @property
    def stored(self) -> set[int]:
        """The numbers of the lines that were stored during the test."""
        return {sequence(line) for line in self.sink.stored} - {sequence(KNOWN)}


def batch_line(number: int) -> bytes:
    """A line of `batch_of`."""
    return f"labs seq={number:05d} {number}".encode()


def sequence(line: bytes) -> int:
    """The number in a line."""
    return int(line.split(b"=")[1].split()[0])


def is_in(*numbers: int) -> Callable[[bytes], bool]:
    return lambda line: sequence(line) in numbers


def is_new(line: bytes) -> bool:
    """Whether a line is one of the test's batch."""
    return line != KNOWN


def dead(batch: Batch) -> list[int]:
    """The numbers of the dead letters, in order."""
    return sorted(letter.origin.message.offset() for letter in batch.dead_letters)


def test_a_204_is_one_request_in_the_order_of_the_batch() -> None:
    batch = batch_of(100)
    bench = Bench(FakeSink())

    bench.deliver(batch)

    assert bench.sink.writes == [batch.lines]
    assert bench.sink.timeouts == [TIMEOUT_S]
    assert (bench.delivery.writes, bench.delivery.lines, bench.delivery.retries) == (1, 100, {})
    assert bench.wait.asked == []


def test_an_empty_batch_is_no_request() -> None:
    bench = Bench(FakeSink())

    bench.deliver(Batch())

    assert bench.sink.writes == []


def test_the_group_is_polled_between_slow_writes_of_one_batch() -> None:
    """A member that is silent for max.poll.interval.ms loses its partitions, so it would never get on."""
    bench, count = Bench(FakeSink()), 32

    def take_single_lines_slowly(lines: list[bytes]) -> WriteError | None:
        if len(lines) > 1:
            return TooLarge(413, "too large")
        bench.clock.now += SLOW_S
        return None

    bench.sink.judge = take_single_lines_slowly

    bench.deliver(batch_of(count))

    assert len(bench.stored) == count
    assert count * SLOW_S / (POLL_S + SLOW_S) <= len(bench.wait.asked) <= count * SLOW_S / POLL_S
    assert {seconds for seconds, _ in bench.wait.asked} == {0}


class TestUnavailable:
    """Network, 408, 429, 5xx: the same lines again, without end."""

    def test_the_same_lines_are_sent_until_they_are_stored(self) -> None:
        batch = batch_of(10)
        bench = Bench(FakeSink(fakes.answers(*[Unavailable(503, "busy")] * 50)))

        bench.deliver(batch)

        assert bench.sink.writes == [batch.lines] * 51
        assert bench.delivery.retries == {"server_error": 50}
        assert len(bench.wait.asked) == 50
        assert all(0 <= seconds <= 1.5 for seconds, _ in bench.wait.asked)

    @pytest.mark.parametrize(
        ("asked", "longest", "waited"),
        [
            pytest.param(7.0, 60, 7.0, id="obeyed"),
            pytest.param(3_600.0, 60, 60.0, id="capped"),
            pytest.param(3_600.0, 0, 0.0, id="switched off"),
        ],
    )
    def test_retry_after_is_obeyed_with_a_cap(self, asked: float, longest: float, waited: float) -> None:
        bench = Bench(
            FakeSink(fakes.answers(Unavailable(429, "", asked))), retry_max_s=0.1, retry_after_max_s=longest
        )

        bench.deliver(batch_of(1))

        assert waited <= bench.wait.asked[0][0] <= max(waited, 0.1)

    def test_an_own_pause_that_is_longer_than_retry_after_stands(self) -> None:
        bench = Bench(FakeSink(fakes.answers(*[Unavailable(503, "", 0.0)] * 40)))

        bench.deliver(batch_of(1))

        assert max(bench.wait.pauses) > 0

    def test_the_pause_starts_small_again_after_a_success(self) -> None:
        bench = Bench(FakeSink(fakes.answers(*[Unavailable(503, "")] * 20, None, Unavailable(503, ""))))

        bench.deliver(batch_of(1))
        bench.deliver(batch_of(1))

        assert bench.wait.asked[-1][0] <= 0.1

    def test_the_servers_text_is_one_printable_line_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = Bench(FakeSink(fakes.answers(Unavailable(503, "a\nb\x1b[31m" + "x" * 9_000))))

        bench.deliver(batch_of(1))

        (record,) = caplog.records
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 500

    def test_an_outage_of_hours_is_a_few_lines_of_log(self, caplog: pytest.LogCaptureFixture) -> None:
        bench = Bench(FakeSink(fakes.answers(*[Unavailable(503, "busy")] * 3_600)))

        def pass_a_second() -> None:
            bench.clock.now += 1

        bench.wait.then = pass_a_second
        bench.deliver(batch_of(1))

        assert len(caplog.records) == 3_600 / 30


class TestMisconfigured:
    """401, 403, 404: an operator has to act, and nothing is lost meanwhile."""

    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_the_batch_is_kept_and_retried_slowly(
        self, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        batch = batch_of(10)
        bench = Bench(FakeSink(fakes.answers(*[Misconfigured(status, "no")] * 5)), probe_s=5)

        bench.deliver(batch)

        assert bench.sink.stored == batch.lines
        assert [seconds for seconds, _ in bench.wait.asked] == [5.0] * 5
        assert len(caplog.records) == 1
        assert str(status) in caplog.text
        assert batch.dead_letters == []

    def test_a_token_that_changed_is_tried_at_once(self) -> None:
        rereads: list[int] = []

        def reread() -> bool:
            rereads.append(len(bench.sink.writes))
            return len(rereads) == 3

        bench = Bench(FakeSink(fakes.answers(*[Misconfigured(401, "no")] * 3)), reread=reread, probe_s=5)

        bench.deliver(batch_of(1))

        assert rereads == [1, 2, 3]
        assert [seconds for seconds, _ in bench.wait.asked] == [5.0, 5.0, 0.0]
        assert len(bench.sink.writes) == 4


class TestRejected:
    """400 and 422: the rejected lines are found, and the others are stored."""

    def test_a_400_that_lists_its_lines_costs_one_more_request(self) -> None:
        batch = batch_of(5_000)
        bench = Bench(FakeSink(fakes.listing(is_in(0, 17, 4_999))))

        bench.deliver(batch)

        assert dead(batch) == [0, 17, 4_999]
        assert len(bench.sink.writes) == 2
        assert len(bench.stored) == 4_997

    def test_a_400_that_lists_every_line_costs_none(self) -> None:
        batch = batch_of(50)
        bench = Bench(FakeSink(fakes.listing(lambda _: True)))

        bench.deliver(batch)

        assert dead(batch) == list(range(50))
        assert len(bench.sink.writes) == 1

    def test_a_400_that_lists_nothing_is_halved(self) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(fakes.unlisted(is_in(40), 400)))

        bench.deliver(batch)

        assert dead(batch) == [40]
        assert len(bench.stored) == 63

    def test_a_400_that_names_lines_that_were_not_sent_is_halved(self) -> None:
        def judge(lines: list[bytes]) -> Rejected | None:
            bad = any(map(is_in(3), lines))
            return Rejected(400, "unable to parse 'labs seq=1 1': you wish") if bad else None

        batch = batch_of(8)
        bench = Bench(FakeSink(judge))

        bench.deliver(batch)

        assert dead(batch) == [3]

    def test_a_422_that_lists_lines_is_not_believed(self) -> None:
        """It may have stored a part, and names only the first reason."""

        def judge(lines: list[bytes]) -> Rejected | None:
            bad = any(map(is_in(3), lines))
            return Rejected(422, "unable to parse 'labs seq=00005 5': you wish") if bad else None

        batch = batch_of(8)
        bench = Bench(FakeSink(judge))

        bench.deliver(batch)

        assert dead(batch) == [3]

    @pytest.mark.parametrize("place", [0, 1, 311, 2_499, 2_500, 4_998, 4_999])
    def test_one_bad_line_in_5000_costs_a_422_at_most_twice_the_halvings(self, place: int) -> None:
        batch = batch_of(5_000)
        bench = Bench(FakeSink(fakes.unlisted(is_in(place))))

        bench.deliver(batch)

        assert dead(batch) == [place]
        assert len(bench.stored) == 4_999
        # Besides the halves: the known line before the search and at its end, and the bad one once more.
        assert len(bench.sink.writes) - 4 <= 2 * math.ceil(math.log2(5_000))

    def test_after_a_422_every_line_has_a_204_of_its_own(self) -> None:
        batch = batch_of(100)
        bench = Bench(FakeSink(fakes.unlisted(is_in(7, 8, 60))))

        bench.deliver(batch)

        assert bench.stored == set(range(100)) - {7, 8, 60}

    def test_the_bad_records_of_a_batch_become_dead_letters(self) -> None:
        bad = set(range(0, 5_000, 100))
        batch = batch_of(5_000, partitions=3)
        bench = Bench(FakeSink(fakes.unlisted(lambda line: sequence(line) in bad)))

        bench.deliver(batch)

        assert set(dead(batch)) == bad
        assert bench.stored == set(range(5_000)) - bad

    @pytest.mark.parametrize("judge", [fakes.listing(is_new), fakes.unlisted(is_new)])
    def test_a_batch_of_bad_records_alone_ends(
        self, judge: Callable[[list[bytes]], Rejected | None]
    ) -> None:
        batch = batch_of(300)

        Bench(FakeSink(judge)).deliver(batch)

        assert dead(batch) == list(range(300))

    def test_a_dead_letter_says_what_influxdb_said(self) -> None:
        first, second = batch_of(3), batch_of(3)
        Bench(FakeSink(fakes.listing(is_in(1)))).deliver(first)
        Bench(FakeSink(fakes.unlisted(is_in(1)))).deliver(second)

        details = [
            (dead_letter.reason, dead_letter.detail)
            for dead_letter in first.dead_letters + second.dead_letters
        ]

        assert details == [
            (Reason.REFUSED, "400: invalid number"),
            (Reason.REFUSED, "422: partial write: field type conflict"),
        ]

    @pytest.mark.parametrize(
        ("judge", "reason"),
        [
            pytest.param(fakes.listing(is_in(1, 3)), "400", id="listed, with a text that may quote values"),
            pytest.param(fakes.unlisted(is_in(1, 3), 400), "400", id="not listed"),
            pytest.param(
                fakes.unlisted(is_in(1, 3)), "422: partial write: field type conflict", id="type conflict"
            ),
        ],
    )
    def test_rejected_records_are_one_warning_with_their_number(
        self,
        judge: Callable[[list[bytes]], Rejected | None],
        reason: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        bench = Bench(FakeSink(judge))

        bench.deliver(batch_of(8))
        bench.deliver(batch_of(8))

        (message,) = caplog.messages
        assert message == (
            f"InfluxDB rejected 2 records of this batch ({reason}): they become dead letters. "
            "`tower dlq list` shows them"
        )

    def test_rejected_records_are_logged_again_once_in_a_while(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = Bench(FakeSink(fakes.listing(is_in(1))))

        bench.deliver(batch_of(8))
        bench.deliver(batch_of(8))
        bench.clock.now += REPEAT_S
        bench.deliver(batch_of(8))

        assert [message.endswith("(and 1 times in between)") for message in caplog.messages] == [
            False,
            True,
        ]

    def test_a_rejected_line_is_no_longer_in_the_batch(self) -> None:
        batch = batch_of(10)
        bench = Bench(FakeSink(fakes.listing(is_in(4))))

        bench.deliver(batch)
        bench.deliver(batch)

        assert len(batch.lines) == 9
        assert dead(batch) == [4]
        assert len(bench.sink.writes) == 3

    def test_a_long_search_keeps_the_membership(self) -> None:
        bench = Bench(FakeSink(fakes.unlisted(is_new)))

        bench.deliver(batch_of(64))

        assert len(bench.wait.asked) == bench.delivery.rejections == 127 + 64
        assert bench.wait.pauses == []


class Outage:
    """InfluxDB as InfluxDB 3's v2 endpoint and GreptimeDB answer: 400 to everything while it is in trouble.

    (influxdata/influxdb, influxdb3_server/src/http.rs: errors of the write buffer become a 400.)
    """

    def __init__(self, requests: int, bad: Callable[[bytes], bool] = lambda _: False) -> None:
        self.left = requests
        self._bad = fakes.unlisted(bad, 400)

    def __call__(self, lines: list[bytes]) -> WriteError | None:
        self.left -= 1
        return Rejected(400, "write buffer error: shut down") if self.left >= 0 else self._bad(lines)


class TestEvidence:
    """An answer that names no line makes a dead letter only if InfluxDB still stores a known line."""

    def test_an_outage_answered_with_400_is_waited_out(self) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(Outage(41)))

        bench.deliver(batch)

        assert batch.dead_letters == []
        assert bench.stored == set(range(64))
        # Each try is the whole batch and the known line, and there is a pause after each.
        assert [len(lines) for lines in bench.sink.writes[:42]] == [64, 1] * 21
        assert len([why for _, why in bench.wait.asked if "so the cause is InfluxDB" in why]) == 20

    @pytest.mark.parametrize("requests", range(1, 14))
    def test_an_outage_in_the_middle_of_a_search_costs_no_record(self, requests: int) -> None:
        batch = batch_of(64)
        outage = Outage(0, is_in(40))
        bench = Bench(FakeSink(outage))

        def judge(lines: list[bytes]) -> WriteError | None:
            if len(bench.sink.writes) == requests:
                outage.left = 30
            return outage(lines)

        bench.sink.judge = judge
        bench.deliver(batch)

        assert dead(batch) == [40]
        assert bench.stored == set(range(64)) - {40}

    @pytest.mark.parametrize(
        "between", [Unavailable(503, "starting"), Misconfigured(401, "no"), TooLarge(0, "slow")]
    )
    def test_a_rejection_from_before_an_outage_is_no_evidence_after_it(self, between: WriteError) -> None:
        """400, a known line is stored, an outage, 400 again: the witness has to be asked again."""
        batch = batch_of(1)
        refused = Rejected(400, "engine: shard is opening")
        bench = Bench(FakeSink(fakes.answers(refused, None, between, refused)))

        bench.deliver(batch)

        assert batch.dead_letters == []
        assert bench.stored == {0}

    def test_a_new_worker_in_an_outage_keeps_every_record(self) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(Outage(1_000)), new=True)

        bench.deliver(batch)

        assert batch.dead_letters == []
        assert bench.stored == set(range(64))
        assert bench.delivery.rejections == 1_000
        assert all(
            "has not stored a line of this worker yet" in why
            for seconds, why in bench.wait.asked
            if seconds
        )

    @pytest.mark.parametrize("place", [0, 31, 63])
    def test_a_new_workers_bad_record_is_found_by_its_neighbours(self, place: int) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(fakes.unlisted(is_in(place), 400)), new=True)

        bench.deliver(batch)

        assert dead(batch) == [place]
        assert bench.stored == set(range(64)) - {place}

    def test_a_new_workers_only_record_waits_until_influxdb_has_stored_one(self) -> None:
        batch = batch_of(1)
        bench = Bench(FakeSink(Outage(10**9)), new=True)

        def expire_at_last() -> None:
            if len(bench.wait.asked) == 500:
                raise DrainExpired("over")

        bench.wait.then = expire_at_last
        with pytest.raises(DrainExpired):
            bench.deliver(batch)

        assert batch.dead_letters == []
        assert len(batch.lines) == 1

    def test_a_new_workers_only_record_is_a_dead_letter_if_the_answer_names_it(self) -> None:
        batch = batch_of(1)
        bench = Bench(FakeSink(fakes.listing(is_in(0))), new=True)

        bench.deliver(batch)

        assert dead(batch) == [0]
        assert len(bench.sink.writes) == 1

    def test_influxdb_is_asked_again_for_every_dead_letter(self) -> None:
        batch = batch_of(16)
        bench = Bench(FakeSink(fakes.unlisted(is_in(3, 12))))

        bench.deliver(batch)

        writes = bench.sink.writes
        for number in (3, 12):
            first, second = (at for at, lines in enumerate(writes) if lines == [batch_line(number)])
            assert second == first + 2
            assert len(writes[first + 1]) == 1
            assert writes[first + 1][0] in bench.sink.stored

    def test_a_known_line_that_is_too_old_by_now_is_no_sign_of_trouble(self) -> None:
        """After an idle night, the last line is outside the bucket's retention (text of influxd 2.7.12)."""
        old = (
            "failure writing points to database: partial write: dropped 1 points outside retention policy "
            "of duration 1h0m0s - oldest point labs at 2026-11-26T02:45:21Z dropped because it violates a "
            "Retention Policy Lower Bound at 2026-11-26T03:45:22Z, newest point labs at "
            "2026-11-26T02:45:21Z dropped because it violates a Retention Policy Lower Bound at "
            "2026-11-26T03:45:22Z dropped=1 for database: f1630cf443bb1ec0 for retention policy: autogen"
        )
        unlisted = fakes.unlisted(is_in(2))
        bench = Bench(FakeSink(lambda lines: Rejected(422, old) if lines == [KNOWN] else unlisted(lines)))
        batch = batch_of(4)

        bench.deliver(batch)

        assert dead(batch) == [2]
        assert bench.sink.writes.count([KNOWN]) == 1

    def test_a_shard_that_influxdb_deletes_is_waited_for(self) -> None:
        """In influxdb 2.7.12, ErrShardDeletion is a partial write (v1/coordinator/points_writer.go)."""
        text = "failure writing points to database: partial write: shard 7 is pending deletion dropped=8"
        batch = batch_of(8)
        bench = Bench(FakeSink(fakes.answers(*[Rejected(422, text)] * 30)))

        bench.deliver(batch)

        assert batch.dead_letters == []
        assert bench.sink.writes == [batch.lines] * 31

    def test_a_record_cannot_say_that_influxdb_deletes_a_shard(self) -> None:
        text = 'partial write: input field "shard 7 is pending deletion dropped=8" is invalid dropped=1'
        judge = fakes.unlisted(is_in(1))
        bench = Bench(FakeSink(lambda lines: Rejected(422, text) if judge(lines) else None))
        batch = batch_of(4)

        bench.deliver(batch)

        assert dead(batch) == [1]

    @pytest.mark.parametrize("new", [True, False])
    def test_a_line_that_a_proxy_finds_too_large_waits_and_its_neighbours_do_not(self, new: bool) -> None:
        batch = batch_of(8)
        batch.lines[3] += b" " * 1_000
        limited = fakes.limited(500)
        tries = 0

        def judge(lines: list[bytes]) -> WriteError | None:
            nonlocal tries
            tries += len(lines) == 1 and len(lines[0]) > 500
            if tries > 20 or limited(lines) is None:
                return None
            return TooLarge(413, "<html>", "raise the limit", by_influxdb=False)

        bench = Bench(FakeSink(judge), new=new)
        bench.deliver(batch)

        assert batch.dead_letters == []
        assert bench.stored == set(range(8))
        assert bench.sink.stored.index(batch.lines[3]) == len(bench.sink.stored) - 1
        assert any("raise the limit" in why for _, why in bench.wait.asked)


class TestTooLarge:
    """413 or no answer in time: less at once."""

    def test_a_413_is_halved_until_it_fits(self) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(fakes.limited(batch.size // 5)))

        bench.deliver(batch)

        assert bench.sink.stored == batch.lines
        assert batch.dead_letters == []

    def test_a_batch_of_which_nothing_was_stored_says_nothing_about_the_next_ones_size(self) -> None:
        bench = Bench(FakeSink(lambda lines: TooLarge(413, "x") if is_new(lines[0]) else None))
        bench.deliver(batch_of(2))
        bench.sink.judge = lambda _: None
        bench.sink.writes.clear()
        bench.deliver(batch_of(64))

        assert [len(lines) for lines in bench.sink.writes] == [64]

    def test_one_line_that_is_too_large_alone_is_a_dead_letter(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        batch = batch_of(8)
        batch.lines[3] += b" " * 1_000
        bench = Bench(FakeSink(fakes.limited(500)))

        bench.deliver(batch)

        assert dead(batch) == [3]
        assert [letter.detail[:4] for letter in batch.dead_letters] == ["413:"]
        assert len(bench.stored) == 7
        assert "1 records of this batch (413: this line is larger than InfluxDB accepts: " in caplog.text

    def test_the_next_batch_is_cut_to_what_went_through(self) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(fakes.limited(batch.size // 3)), batch_lines=64)
        bench.deliver(batch)
        before = len(bench.sink.writes)

        bench.deliver(batch_of(64))

        assert len(bench.sink.writes[before]) < 64

    @pytest.mark.parametrize("lines", [1, 15, 16, 17, 63, 64])
    def test_a_batch_that_is_cut_is_stored_to_its_last_line(self, lines: int) -> None:
        bench = Bench(FakeSink(fakes.limited(batch_of(64).size // 3)), batch_lines=64)
        bench.deliver(batch_of(64))
        before = len(bench.sink.stored)
        batch = batch_of(lines)

        bench.deliver(batch)

        assert bench.sink.stored[before:] == batch.lines

    def test_a_server_that_recovers_gets_whole_batches_again(self) -> None:
        bench = Bench(FakeSink(fakes.answers(*[TooLarge(0, "slow")] * 4)), batch_lines=64)
        for _ in range(6):
            bench.deliver(batch_of(64))

        assert len(bench.sink.writes[-1]) == 64

    def test_an_outage_that_a_proxy_answers_with_413_leaves_no_small_requests_behind(self) -> None:
        refused = [TooLarge(413, "<html>", by_influxdb=False)] * 40
        bench = Bench(FakeSink(fakes.answers(*refused)), batch_lines=64)
        bench.deliver(batch_of(64))
        before = len(bench.sink.writes)
        bench.deliver(batch_of(64))

        assert bench.sink.stored.count(batch_line(63)) >= 2
        assert len(bench.sink.writes) - before == 2

    def test_a_timeout_loses_no_line_and_rejects_none(self) -> None:
        batch = batch_of(4)
        bench = Bench(FakeSink(fakes.answers(*[TooLarge(0, "did not answer within 30 s")] * 12)))

        bench.deliver(batch)

        assert sorted(bench.sink.stored) == sorted(batch.lines)
        assert batch.dead_letters == []

    def test_the_group_is_polled_between_two_timeouts(self) -> None:
        bench = Bench(FakeSink(fakes.answers(*[TooLarge(0, "did not answer within 30 s")] * 12)))

        bench.deliver(batch_of(5_000))

        assert len(bench.wait.asked) == 12

    @pytest.mark.parametrize(
        ("lines", "consequence"),
        [
            pytest.param(2, "The batch is split", id="several lines are split"),
            pytest.param(1, "The batch is kept and written again", id="one line is not"),
        ],
    )
    def test_the_log_says_what_follows_a_timeout(
        self, lines: int, consequence: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        bench = Bench(FakeSink(fakes.answers(TooLarge(0, "did not answer within 30 s"))))

        bench.deliver(batch_of(lines))

        (message,) = caplog.messages
        assert message.startswith(f"InfluxDB did not answer within 30 s. {consequence}")

    def test_a_batch_in_many_pieces_reports_after_each(self) -> None:
        bench = Bench(FakeSink(fakes.limited(500)))

        bench.deliver(batch_of(64))

        assert bench.reports == bench.delivery.writes > 1

    def test_a_413_needs_no_wait(self) -> None:
        bench = Bench(FakeSink(fakes.limited(500)))

        bench.deliver(batch_of(64))

        assert bench.wait.asked == []


class TestDrain:
    """The time to finish is over."""

    @pytest.mark.parametrize(
        "error",
        [Unavailable(503, ""), Misconfigured(401, ""), TooLarge(0, ""), Rejected(422, "")],
        ids=repr,
    )
    def test_it_ends_the_delivery_at_the_next_wait(self, error: Unavailable) -> None:
        batch = batch_of(64)
        bench = Bench(FakeSink(lambda _: error), new=True)

        def expire() -> None:
            raise DrainExpired("over")

        bench.wait.then = expire
        with pytest.raises(DrainExpired):
            bench.deliver(batch)

        assert len(bench.sink.writes) == 1
        assert len(batch.lines) == 64

    def test_lines_rejected_before_it_are_not_sent_again(self) -> None:
        batch = batch_of(10)
        bench = Bench(
            FakeSink(
                fakes.answers(Rejected(400, "unable to parse 'labs seq=00004 4': no"), Unavailable(503, ""))
            )
        )
        waits: list[None] = []

        def expire_at_the_second() -> None:
            waits.append(None)
            if len(waits) == 2:
                raise DrainExpired("over")

        bench.wait.then = expire_at_the_second
        with pytest.raises(DrainExpired):
            bench.deliver(batch)
        bench.deliver(batch)

        assert dead(batch) == [4]
        assert len(bench.sink.stored) == 9


class TestRebalance:
    """Partitions are revoked while the delivery waits."""

    @pytest.mark.parametrize(
        "error",
        [Unavailable(503, ""), Misconfigured(401, ""), TooLarge(0, ""), Rejected(422, "")],
        ids=["unavailable", "misconfigured", "timeout", "refused"],
    )
    def test_lines_of_a_lost_partition_are_no_longer_sent(self, error: Unavailable) -> None:
        batch = batch_of(8, partitions=2)
        bench = Bench(FakeSink(fakes.answers(error)))
        bench.wait.then = lambda: batch.drop({partition(0)})

        bench.deliver(batch)

        assert bench.stored == {1, 3, 5, 7}
        assert batch.next_offsets.keys() == {partition(1)}

    def test_without_any_partition_left_nothing_is_sent(self) -> None:
        batch = batch_of(8)
        bench = Bench(FakeSink(lambda _: Unavailable(503, "")))
        bench.wait.then = lambda: batch.drop({partition(0)})

        bench.deliver(batch)

        assert len(bench.sink.writes) == 1
        assert not batch

    def test_dead_letters_of_a_lost_partition_are_dropped(self) -> None:
        batch = batch_of(8, partitions=2)
        bench = Bench(FakeSink(fakes.listing(is_in(2, 3))))
        bench.wait.then = lambda: batch.drop({partition(0)})

        bench.deliver(batch)

        assert dead(batch) == [3]
        assert [sequence(line) for line in batch.lines] == [1, 5, 7]


ANSWERS = st.sampled_from(
    [
        None,
        None,
        Unavailable(503, ""),
        Misconfigured(401, ""),
        TooLarge(413, ""),
        TooLarge(0, ""),
        Rejected(422, ""),
    ]
)


@settings(max_examples=examples(100))
@given(
    st.integers(0, 40),
    st.sets(st.integers(0, 39)),
    st.lists(ANSWERS, max_size=30),
    st.sampled_from([fakes.listing, fakes.unlisted]),
)
def test_whatever_it_answers_every_line_is_stored_or_dead(
    lines: int,
    bad: set[int],
    first: list[Unavailable | None],
    kind: Callable[[Callable[[bytes], bool]], Callable[[list[bytes]], Rejected | None]],
) -> None:
    """After any answers, if the last ones depend on the lines."""
    judge, left = kind(lambda line: sequence(line) in bad), list(first)
    batch = batch_of(lines, partitions=3)
    everything = set(range(lines))
    sink = FakeSink()

    def answer(sent: list[bytes]) -> Unavailable | Rejected | TooLarge | Misconfigured | None:
        scripted = left.pop(0) if left else None
        return scripted or judge(sent)

    bench = Bench(sink)
    sink.judge = answer
    bench.deliver(batch)

    stored = bench.stored
    assert stored | set(dead(batch)) == everything
    assert stored & bad == set()
    assert len(dead(batch)) == len(set(dead(batch)))
    assert {sequence(line) for line in batch.lines} == stored - set(dead(batch))
