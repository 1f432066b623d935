"""Each check of the fault suite sees the violation it is there for, and nothing where there is none."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.harness import checks, ledger
from tests.faults.harness.checks import CommitLog, Verdict, Vitals
from tests.faults.harness.ledger import SendLedger, SendStatus, checksum
from tests.faults.harness.stored import DeadLetter, Point, Stored, collect

RECORDS = 100
SECOND = 1_700_000_000


@pytest.fixture
def book(tmp_path: Path) -> Iterator[SendLedger]:
    """Two partitions of a hundred acknowledged records each."""
    ledger = SendLedger(seed=7, partitions=2, path=tmp_path / "ledger")
    for partition in range(2):
        for _ in range(RECORDS):
            seq = ledger.attempt(partition, SECOND + len(ledger.books[partition].offsets) // 10)
            ledger.deliver(partition, seq, seq)
    yield ledger
    ledger.close()


def points(book: SendLedger) -> list[Point]:
    """What is stored where all went well."""
    return [
        Point(second * 10**9 + seq, partition, seq, checksum(book.seed, partition, seq))
        for partition, attempts in enumerate(book.books)
        for seq, second in enumerate(attempts.seconds)
    ]


def letter(partition: int, offset: int, reason: str = "json") -> DeadLetter:
    return DeadLetter(partition, offset, 0, reason, b"")


def test_a_clean_run_passes_every_check(book: SendLedger) -> None:
    stored = collect(points(book), book)

    assert checks.no_loss(book, stored).ok
    assert checks.no_invention(stored).ok
    assert checks.no_duplicates(stored).ok
    assert checks.amplification(2 * RECORDS, stored, 0).ok
    assert checks.only_the_listed(book, []).ok


@pytest.mark.parametrize("seed", range(5))
def test_c1_names_each_record_that_is_missing(book: SendLedger, seed: int) -> None:
    everything = points(book)
    lost = everything.pop(random.Random(seed).randrange(len(everything)))

    verdict = checks.no_loss(book, collect(everything, book))

    assert not verdict.ok
    assert f"({lost.part}, {lost.seq})" in verdict.evidence


def test_c1_is_not_satisfied_by_a_duplicate_that_makes_the_count_right(book: SendLedger) -> None:
    everything = points(book)
    everything[0] = everything[1]._replace(time=everything[1].time + 5)

    assert len(everything) == 2 * RECORDS
    assert not checks.no_loss(book, collect(everything, book)).ok


def test_c1_takes_a_dead_letter_for_kept_and_asks_for_nothing_unacknowledged(book: SendLedger) -> None:
    everything = [point for point in points(book) if point.seq not in {3, 4, 5}]
    book.fail(0, 4, SendStatus.TIMED_OUT)
    book.fail(1, 4, SendStatus.REFUSED)
    book.books[0].offsets[5] = book.books[1].offsets[5] = SendStatus.PENDING

    assert checks.no_loss(book, collect(everything, book), [letter(0, 3), letter(1, 3)]).ok
    assert not checks.no_loss(book, collect(everything, book), [letter(0, 3)]).ok


def test_c1_leaves_out_what_was_stored_in_a_deleted_bucket(book: SendLedger) -> None:
    stored = collect((point for point in points(book) if point.seq >= 10), book)

    assert checks.no_loss(book, stored, excluded={0: 10, 1: 10}).ok
    assert not checks.no_loss(book, stored, excluded={0: 10, 1: 9}).ok


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda point: point._replace(crc=point.crc ^ 1), id="another checksum"),
        pytest.param(lambda point: point._replace(seq=RECORDS), id="a number never attempted"),
        pytest.param(lambda point: point._replace(part=2), id="a partition there is not"),
        pytest.param(lambda point: point._replace(time=point.time + 10**9), id="the next second"),
    ],
)
def test_c2_sees_a_point_no_attempt_explains(book: SendLedger, wrong: Callable[[Point], Point]) -> None:
    verdict = checks.no_invention(collect([*points(book), wrong(points(book)[50])], book))

    assert not verdict.ok
    assert "1 unexplained" in verdict.evidence


def test_c3_is_red_for_a_lead_and_for_a_watch_that_saw_nothing() -> None:
    assert checks.commit_never_leads(CommitLog(samples=9, skipped=1)).ok
    assert not checks.commit_never_leads(CommitLog(samples=9, leads=["partition 0: …"])).ok
    assert not checks.commit_never_leads(CommitLog(samples=0, skipped=9)).ok


def test_c4_sees_lag_and_records_that_a_successor_would_read() -> None:
    assert checks.drained({0: 10, 1: 20}, {0: 10, 1: 20}, unread=0).ok
    assert not checks.drained({0: 10, 1: 19}, {0: 10, 1: 20}, unread=0).ok
    assert not checks.drained({0: 10}, {0: 10, 1: 20}, unread=0).ok
    assert not checks.drained({0: 10, 1: 20}, {0: 10, 1: 20}, unread=1).ok


def test_c5_sees_a_record_stored_at_two_times(book: SendLedger) -> None:
    twice = points(book)[50]

    verdict = checks.no_duplicates(collect([*points(book), twice._replace(time=twice.time + 1)], book))

    assert not verdict.ok
    assert f"({twice.part}, {twice.seq})" in verdict.evidence


WELL = Vitals(worker=0, pid=10, state="RUNNING", heartbeat_age_s=0.5, rss_mb=40, files=20)


@pytest.mark.parametrize(
    ("last", "peak_mb"),
    [
        pytest.param([Vitals(0, 10, "FATAL", 0.5, 40, 20)], 40, id="given up"),
        pytest.param([Vitals(0, 10, "BACKOFF", 0.5, 40, 20)], 40, id="crashing"),
        pytest.param([Vitals(0, 10, "RUNNING", 5.5, 40, 20)], 40, id="no heartbeat"),
        pytest.param([Vitals(0, 10, "RUNNING", 0.5, 40, 90)], 40, id="files left open"),
        pytest.param([WELL], 90, id="too much memory at some time"),
        pytest.param([WELL], 0, id="memory never measured"),
        pytest.param([], 40, id="nobody there"),
    ],
)
def test_c6_sees_a_worker_that_is_not_well(last: list[Vitals], peak_mb: float) -> None:
    assert checks.alive([WELL], [WELL], 40, 64).ok
    assert not checks.alive([WELL], last, peak_mb, 64).ok


def test_c7_sees_an_account_that_does_not_add_up() -> None:
    sums = {"consumed": 10, "written": 7, "dead_lettered": 2, "uncommitted": 1}

    assert checks.accounted([{"worker": 0, "partitions": {"0": sums}}]).ok
    assert not checks.accounted([{"worker": 0, "partitions": {"0": sums | {"written": 8}}}]).ok
    assert not checks.accounted([]).ok


def test_c8_sees_more_lines_than_the_fault_explains(book: SendLedger) -> None:
    stored = collect(points(book), book)

    assert not checks.amplification(2 * RECORDS + 1, stored, 0).ok
    assert checks.amplification(2 * RECORDS + 20, stored, 20).ok
    assert not checks.amplification(0, Stored([]), 0).ok


def test_dead_letters_must_be_exactly_the_poison_each_with_a_reason(book: SendLedger) -> None:
    poison = book.attempt(0, SECOND, poison=True)
    book.deliver(0, poison, RECORDS)

    assert checks.only_the_listed(book, [letter(0, RECORDS)]).ok
    assert "missing" in checks.only_the_listed(book, []).evidence
    assert "innocent" in checks.only_the_listed(book, [letter(0, RECORDS), letter(1, 3)]).evidence
    assert "no reason" in checks.only_the_listed(book, [letter(0, RECORDS, reason="")]).evidence


def test_a_secret_is_found_and_not_repeated() -> None:
    verdict = checks.no_secret("hunter2", {"worker-0.log": "token hunter2 refused", "console": ""})

    assert verdict == Verdict("secrets", False, "2 places searched; found in worker-0.log")


def test_the_ledger_is_read_back_as_it_was(book: SendLedger, tmp_path: Path) -> None:
    book.fail(0, book.attempt(0, SECOND), SendStatus.TIMED_OUT)
    book.attempt(1, SECOND, poison=True)
    book.close()

    again = ledger.read(tmp_path / "ledger", 2)
    again.close()

    assert again.seed == book.seed
    assert again.books == book.books
