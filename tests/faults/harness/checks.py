"""The eight checks: pure functions from what was sent and what is left to a verdict with its evidence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from tests.faults.harness.ledger import SendLedger
from tests.faults.harness.stored import EXAMPLES, DeadLetter, Stored

#: Seconds a running worker's heartbeat may be old.
HEARTBEAT_S = 5.0

#: Open files a worker may gain from the first look to the last: a few connections come and go, and the
#: producer of dead letters, made when it is needed, has 18. Another client that stays open is found.
FILES_GROWTH = 24


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check found.

    Args:
        check: C1 to C8, or the name of a scenario's own check.
        ok: Whether it holds.
        evidence: What was counted, and where it does not hold, the first examples.
    """

    check: str
    ok: bool
    evidence: str

    def __str__(self) -> str:
        return f"{self.check} {'holds' if self.ok else 'BROKEN'}: {self.evidence}"


def _some(items: Iterable[object]) -> str:
    return ", ".join(str(item) for item in islice(items, EXAMPLES))


def dead_seqs(ledger: SendLedger, letters: Iterable[DeadLetter]) -> list[set[int]]:
    """Sequence numbers of the dead letters by partition, found through the offsets Kafka confirmed."""
    by_offset = [book.seq_of() for book in ledger.books]
    dead: list[set[int]] = [set() for _ in ledger.books]
    for letter in letters:
        if 0 <= letter.partition < len(dead):
            seq = by_offset[letter.partition].get(letter.offset)
            if seq is not None:
                dead[letter.partition].add(seq)
    return dead


def no_loss(
    ledger: SendLedger,
    stored: Stored,
    letters: Iterable[DeadLetter] = (),
    excluded: Mapping[int, int] | None = None,
) -> Verdict:
    """C1: every record Kafka confirmed is stored or a dead letter.

    Args:
        ledger: What was sent.
        stored: What InfluxDB holds.
        letters: What the dead-letter topic holds.
        excluded: By partition the offset below which nothing is asked for: it was stored in a bucket
            that was then deleted.
    """
    lost = []
    for number, (book, counts, dead) in enumerate(
        zip(ledger.books, stored.counts, dead_seqs(ledger, letters), strict=True)
    ):
        least = (excluded or {}).get(number, 0)
        wanted = (seq for seq in book.acked() if book.offsets[seq] >= least)
        lost += [(number, seq) for seq in wanted if seq not in counts and seq not in dead]
    evidence = f"{ledger.acked} acknowledged, {stored.distinct} stored, {len(lost)} lost"
    if lost:
        evidence += f": (partition, seq) {_some(lost)}"
    return Verdict("C1", not lost, evidence)


def no_invention(stored: Stored) -> Verdict:
    """C2: every point is an attempted record, unchanged, at its own time."""
    evidence = f"{stored.points} points, {stored.inventions} unexplained"
    if stored.inventions:
        evidence += f": {'; '.join(stored.invented)}"
    return Verdict("C2", not stored.inventions, evidence)


@dataclass
class CommitLog:
    """What the sampler saw for C3: claims of committed offsets, and which of them did not hold."""

    samples: int = 0
    skipped: int = 0
    leads: list[str] = field(default_factory=list)


def commit_never_leads(log: CommitLog) -> Verdict:
    """C3: at every sample, all acknowledged records below the committed offset were stored or dead.

    The committed offset is read first and the points after it, so a commit that only just happened
    cannot be blamed, and one that ran ahead is seen however briefly.
    """
    evidence = f"{log.samples} samples ({log.skipped} without an answer), {len(log.leads)} led"
    if log.leads:
        evidence += f": {'; '.join(log.leads[:EXAMPLES])}"
    return Verdict("C3", not log.leads and log.samples > 0, evidence)


def leading(
    ledger: SendLedger, partition: int, committed: int, kept: Sequence[int] | set[int]
) -> list[int]:
    """Acknowledged sequence numbers below a committed offset that are not in `kept`."""
    offsets = ledger.books[partition].offsets
    present = kept if isinstance(kept, set) else set(kept)
    return [seq for seq, at in enumerate(offsets) if 0 <= at < committed and seq not in present]


def drained(committed: Mapping[int, int], ends: Mapping[int, int], unread: int) -> Verdict:
    """C4: the group has committed each partition to its end, and going on from there reads nothing.

    Args:
        committed: Committed offset by partition.
        ends: End of the log by partition.
        unread: Records read from the committed offsets on, after the workers stopped.
    """
    behind = {number: end - committed.get(number, 0) for number, end in ends.items()}
    open_ = {number: lag for number, lag in behind.items() if lag}
    evidence = f"lag {sum(behind.values())} of {sum(ends.values())}, {unread} unread"
    if open_:
        evidence += f"; by partition: {open_}"
    return Verdict("C4", not open_ and not unread, evidence)


def no_duplicates(stored: Stored) -> Verdict:
    """C5: no record has two points."""
    twice = [
        (number, seq)
        for number, counts in enumerate(stored.counts)
        for seq, count in counts.items()
        if count > 1
    ]
    evidence = f"{stored.points} points of {stored.distinct} records"
    if twice:
        evidence += f"; twice: (partition, seq) {_some(twice)}"
    return Verdict("C5", not twice, evidence)


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at one worker process."""

    worker: int
    pid: int
    state: str  # supervisord's word: RUNNING, BACKOFF, FATAL …
    heartbeat_age_s: float
    rss_mb: float
    files: int


def alive(first: Iterable[Vitals], last: Sequence[Vitals], peak_mb: float, limit_mb: float) -> Verdict:
    """C6: at the end every worker runs, its heart beats, and memory and open files are bounded.

    Args:
        first: The workers as they were before the fault.
        last: The workers at the end.
        peak_mb: Largest resident memory of any worker in the whole run.
        limit_mb: What it may be.
    """
    wrong = []
    for worker in last:
        if worker.state != "RUNNING":
            wrong.append(f"worker {worker.worker} is {worker.state}")
        elif worker.heartbeat_age_s > HEARTBEAT_S:
            wrong.append(f"worker {worker.worker} beat {worker.heartbeat_age_s:.1f} s ago")
    before = {worker.pid: worker.files for worker in first}
    wrong += [
        f"worker {worker.worker} has {worker.files} files open, {before[worker.pid]} before"
        for worker in last
        if worker.pid in before and worker.files > before[worker.pid] + FILES_GROWTH
    ]
    if peak_mb > limit_mb:
        wrong.append(f"{peak_mb:.0f} MB resident, over {limit_mb:.0f}")
    if not peak_mb:
        wrong.append("no memory was measured")
    if not last:
        wrong.append("no worker is left")
    evidence = "; ".join(wrong) or f"{len(last)} running, at most {peak_mb:.0f} MB"
    return Verdict("C6", not wrong, evidence)


def accounted(states: Iterable[Mapping[str, object]]) -> Verdict:
    """C7: by each worker's own counters, consumed = written + dead-lettered + uncommitted.

    Args:
        states: State files or shutdown reports of all workers.
    """
    wrong, count = [], 0
    for state in states:
        partitions = state.get("partitions") or {}
        assert isinstance(partitions, dict)
        for number, sums in partitions.items():
            count += 1
            parts = sums["written"] + sums["dead_lettered"] + sums["uncommitted"]
            if sums["consumed"] != parts:
                wrong.append(f"worker {state.get('worker')} partition {number}: {sums}")
    evidence = f"{count} partition accounts, {len(wrong)} do not add up"
    if wrong:
        evidence += f": {_some(wrong)}"
    return Verdict("C7", not wrong and count > 0, evidence)


def amplification(lines: int, stored: Stored, extra: int) -> Verdict:
    """C8: lines InfluxDB acknowledged more than once are no more than the fault explains.

    Args:
        lines: Lines of all writes that InfluxDB answered with 204.
        stored: What it holds.
        extra: Lines that may have been written again: none without crashes, one batch per partition and
            crash with them.
    """
    again = lines - stored.distinct
    ratio = lines / max(1, stored.distinct)
    evidence = f"{lines} lines for {stored.distinct} records ({ratio:.4f}): {again} again, at most {extra}"
    return Verdict("C8", 0 <= again <= extra and lines > 0, evidence)


def only_the_listed(ledger: SendLedger, letters: Sequence[DeadLetter]) -> Verdict:
    """Dead letters are exactly the poison that Kafka confirmed, each with a reason."""
    dead = dead_seqs(ledger, letters)
    wrong = []
    for number, book in enumerate(ledger.books):
        poison = {seq for seq in book.acked() if book.poison[seq]}
        wrong += [f"({number}, {seq}) is missing" for seq in sorted(poison - dead[number])]
        wrong += [f"({number}, {seq}) is innocent" for seq in sorted(dead[number] - poison)]
    wrong += [
        f"({letter.partition}, {letter.offset}) has no reason" for letter in letters if not letter.reason
    ]
    evidence = f"{len(letters)} dead letters of {sum(map(len, dead))} records"
    if wrong:
        evidence += f"; {len(wrong)} wrong: {_some(wrong)}"
    return Verdict("dead letters", not wrong, evidence)


def no_secret(secret: str, texts: Mapping[str, str]) -> Verdict:
    """A secret stands in no log, no command line and no dump.

    Args:
        secret: The secret itself; the evidence never repeats it.
        texts: What to search, by name.
    """
    leaking = [name for name, text in texts.items() if secret and secret in text]
    evidence = f"{len(texts)} places searched" + (f"; found in {_some(leaking)}" if leaking else "")
    return Verdict("secrets", not leaking, evidence)
