"""Dead letters: read, shown, sent back once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from workers.commands.dlq import dead_letter, listing, producer, purge, replay
from workers.commands.dlq.dead_letter import (
    REPLAYED,
    REPLAYS,
    StoredDeadLetter,
    UnknownMessage,
    from_message,
    printable_payload,
)
from workers.commands.dlq.letter_filter import LetterFilter, build_filter, parse_place
from workers.commands.dlq.producer import Outcome
from workers.commands.dlq.progress import ReplayProgress
from workers.commands.dlq.replay import Replay
from workers.commands.file_lock import locked
from workers.config.settings import load
from workers.errors import CommandError
from workers.types import Partition

SETTINGS = load({}, credentials=False)
PARTITIONS = {Partition("resource", number) for number in range(3)}


class Stored:
    """A message as the dead-letter topic gives it back."""

    def __init__(
        self,
        offset: int,
        headers: dict[str, str] | None,
        value: bytes | None = b"{",
        original: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        self._offset, self._headers, self._value = offset, headers, value
        self._original = list(original)

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        if self._headers is None:
            return None
        return [*self._original, *((key, text.encode()) for key, text in self._headers.items())]

    def key(self) -> bytes | None:
        return b"key"

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes | None:
        return self._value


HEADERS = {
    "tower.reason": "json",
    "tower.error": "cut",
    "tower.topic": "resource",
    "tower.partition": "1",
    "tower.offset": "42",
    "tower.index": "3",
    "tower.timestamp": "1699999999000",
}


def test_a_letter_is_read_from_its_headers() -> None:
    letter = from_message(Stored(7, HEADERS))

    assert isinstance(letter, StoredDeadLetter)
    assert letter.place == "resource[1]@42 element 3"
    assert letter.timestamp_ms == 1_699_999_999_000
    assert letter.value == b"{"


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {},
        {"tower.reason": "json"},
        HEADERS | {"tower.partition": "-1"},
        HEADERS | {"tower.offset": "x"},
        HEADERS | {"tower.offset": "9" * 30},
    ],
)
def test_what_tower_did_not_write_is_no_letter(headers: dict[str, str] | None) -> None:
    assert from_message(Stored(7, headers)) == UnknownMessage(0, 7)


def test_the_key_and_the_headers_of_the_record_are_read_and_no_header_of_a_sender_passes_for_towers() -> (
    None
):
    sent = [("trace", b"1"), ("tower.reason", b"mine"), ("tower.headers", b"0"), ("trace", None)]
    letter = from_message(Stored(7, HEADERS | {"tower.headers": "4"}, original=sent))

    assert isinstance(letter, StoredDeadLetter)
    assert (letter.key, letter.headers, letter.reason) == (b"key", tuple(sent), "json")


def test_a_record_of_before_1970_is_a_dead_letter_like_any_other() -> None:
    letter = from_message(Stored(7, HEADERS | {"tower.timestamp": "-1"}))

    assert isinstance(letter, StoredDeadLetter)
    assert letter.timestamp_ms == -1


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*HEADERS, "tower.headers", "tower.replays", "tower.replayed", "x"]),
            st.none() | st.binary(max_size=30),
        )
    ),
    st.dictionaries(st.sampled_from([*HEADERS, "tower.headers"]), st.text(max_size=25)),
)
def test_whatever_the_headers_hold_the_message_is_shown_and_the_list_goes_on(
    original: list[tuple[str, bytes | None]], changed: dict[str, str]
) -> None:
    message = Stored(7, HEADERS | changed, original=original)
    letter = from_message(message)
    summary = listing.Summary()
    if isinstance(letter, StoredDeadLetter):
        summary.add(letter, is_replayed=False)
        rows = [listing.as_row(letter, is_replayed=False, payload=True)]
        assert all(line.isprintable() for line in listing.describe_rows(rows, payload=True).splitlines())
    content = listing.message_object(message, letter, is_replayed=False)

    assert all(line.isprintable() for line in listing.describe_message(content).splitlines())
    assert all(line.isprintable() for line in summary.describe(0, 0.0).splitlines())


def test_headers_cannot_command_a_terminal() -> None:
    letter = from_message(Stored(7, HEADERS | {"tower.error": "\x1b]0;owned\x07", "tower.topic": "a\nb"}))

    assert isinstance(letter, StoredDeadLetter)
    assert letter.error.isprintable()
    assert letter.topic == "a.b"


@given(st.binary(max_size=200))
def test_any_payload_is_shown_as_one_printable_line(value: bytes) -> None:
    assert printable_payload(value).isprintable()


def test_payloads_are_cut_and_say_so() -> None:
    assert printable_payload(b"x" * 3_000).endswith("… (3000 bytes)")
    assert printable_payload(None) == "null"
    assert printable_payload(b"a\x1b[31m\n\xff") == "a\\x1b[31m\\n\\xff"


@given(
    st.integers(0, 10**9),
    st.dictionaries(st.sampled_from(["json", "refused"]), st.integers(0, 10**9)),
    st.sets(st.integers(0, 10**9), max_size=100),
    st.sets(st.integers(0, 10**9), max_size=100),
)
def test_the_progress_survives_its_commit(
    offset: int, reasons: dict[str, int], ahead: set[int], rejected: set[int]
) -> None:
    progress = ReplayProgress(offset, reasons, ahead, rejected)

    assert ReplayProgress.parse(progress.offset, progress.metadata()) == progress
    assert len(progress.metadata()) < 4_096


@pytest.mark.parametrize("metadata", ["", "no JSON", "[]", '{"reasons":7}', '{"beyond":["x"]}', "null"])
def test_metadata_of_others_leaves_the_offset(metadata: str) -> None:
    assert ReplayProgress.parse(5, metadata) == ReplayProgress(5)


def test_a_group_that_never_committed_has_replayed_nothing() -> None:
    assert ReplayProgress.parse(-1001, "") == ReplayProgress(0)


def test_the_progress_of_a_reason_covers_that_reason_alone_until_all_are_past() -> None:
    progress = ReplayProgress()
    progress.advance(10, "json")

    assert progress.covers(9, "json")
    assert not progress.covers(10, "json")
    assert not progress.covers(9, "text")
    progress.advance(10, None)
    assert progress == ReplayProgress(10)


class Topic:
    """A dead-letter topic and the group that commits the progress; stands in for the reader."""

    def __init__(self, held: Sequence[StoredDeadLetter | UnknownMessage]) -> None:
        self.held = list(held)
        self.progress = ReplayProgress()

    def commit(self, offset: Any) -> None:
        self.progress = ReplayProgress.parse(offset.offset, offset.metadata)


class Sent:
    """Stands in for the producer; `fail` and `reject` name the offsets that fail."""

    def __init__(self) -> None:
        self.letters: list[int] = []
        self.fail: set[int] = set()
        self.reject: set[int] = set()

    def send(self, letters: Sequence[StoredDeadLetter]) -> list[Outcome]:
        outcomes = []
        for letter in letters:
            if letter.offset in self.fail | self.reject:
                outcomes.append(Outcome(letter, "no", letter.offset in self.reject))
            else:
                self.letters.append(letter.offset)
                outcomes.append(Outcome(letter, None))
        return outcomes


def install(patch: pytest.MonkeyPatch, sender: Sent) -> None:
    """Replace producer and reader."""
    patch.setattr(replay, "ReplayProducer", lambda _: sender)

    def read(
        reader: Topic, _: str, __: int, start: int, end: int
    ) -> Iterator[StoredDeadLetter | UnknownMessage]:
        return (letter for letter in reader.held if start <= letter.offset < end)

    patch.setattr(dead_letter, "read", read)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sender = Sent()
    install(monkeypatch, sender)
    return sender


def letter(offset: int, **more: Any) -> StoredDeadLetter:
    attributes: dict[str, Any] = {
        "number": 0, "offset": offset, "kept_ms": 1, "reason": "json", "error": "", "topic": "resource",
        "partition": 0, "record_offset": offset, "index": 0, "timestamp_ms": 1, "value": b"{",
    }  # fmt: skip
    return StoredDeadLetter(**(attributes | more))


def run(
    topic: Topic, reason: str | None = None, *, wanted: LetterFilter | None = None, **more: Any
) -> Replay:
    by = wanted or LetterFilter(reason)
    replayed = Replay(SETTINGS, topic, PARTITIONS, by, dry_run=more.pop("dry_run", False), **more)  # type: ignore[arg-type]
    replayed.run(0, 0, len(topic.held), topic.progress)
    return replayed


def test_each_letter_is_sent_once_however_often_it_is_run(sent: Sent) -> None:
    topic = Topic([letter(offset) for offset in range(250)])
    run(topic)
    run(topic)
    topic.held += [letter(250)]
    run(topic)

    assert sent.letters == list(range(251))


def test_by_reason_and_then_all_sends_each_once(sent: Sent) -> None:
    topic = Topic([letter(offset, reason=("json", "text")[offset % 2]) for offset in range(10)])
    run(topic, "text")
    first = list(sent.letters)
    run(topic, "text")
    run(topic)
    run(topic, "json")

    assert first == [1, 3, 5, 7, 9]
    assert sorted(sent.letters) == list(range(10))


def test_a_record_that_was_kept_twice_is_sent_once(sent: Sent) -> None:
    """A worker killed between keeping a letter and its commit keeps it again, even runs later."""
    topic = Topic([letter(0, record_offset=7), letter(1, record_offset=7), letter(2, record_offset=8)])
    replayed = run(topic)
    topic.held.append(letter(3, record_offset=7))
    run(topic)

    assert sent.letters == [0, 2]
    assert replayed.twice == 1


def test_two_records_at_one_place_are_two_where_the_topic_was_deleted_and_created_again(sent: Sent) -> None:
    run(Topic([letter(0, record_offset=7, timestamp_ms=1), letter(1, record_offset=7, timestamp_ms=2)]))

    assert sent.letters == [0, 1]


def test_a_failure_stops_the_run_and_the_next_goes_on_with_it(sent: Sent) -> None:
    topic = Topic([letter(offset) for offset in range(300)])
    sent.fail = {150}
    first = run(topic)
    stopped = list(sent.letters)
    sent.fail = set()
    run(topic)

    assert [outcome.letter.offset for outcome in first.failed] == [150]
    assert stopped == [offset for offset in range(200) if offset != 150]
    assert sorted(sent.letters) == list(range(300))
    assert topic.progress == ReplayProgress(300)


def test_a_letter_that_is_rejected_holds_up_no_other_and_is_tried_again(sent: Sent) -> None:
    topic = Topic([letter(offset) for offset in range(10)])
    sent.reject = {3}
    replayed = run(topic)
    run(topic)
    first = list(sent.letters)
    sent.reject = set()
    run(topic)
    run(topic)

    assert "rejected: dead letter 0/3: no" in replayed.describe()
    assert sorted(first) == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert sorted(sent.letters) == list(range(10))
    assert topic.progress == ReplayProgress(10)


def test_many_rejected_letters_stop_the_run_and_nothing_is_forgotten(sent: Sent) -> None:
    topic = Topic([letter(offset) for offset in range(300)])
    sent.reject = set(range(50, 250))
    replayed = run(topic)
    sent.reject = set()
    while len(sent.letters) < 300:
        run(topic)

    assert replayed.failed
    assert sorted(sent.letters) == list(range(300))
    assert topic.progress == ReplayProgress(300)


@settings(max_examples=examples(60))
@given(st.data())
def test_whatever_fails_each_letter_is_sent_once(data: st.DataObject) -> None:
    """Any order of runs, reasons, failures and refusals, over the same letters."""
    reasons = ["json", "text", "refused"]
    topic = Topic([letter(n, reason=data.draw(st.sampled_from(reasons))) for n in range(20)])
    sent = Sent()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "BATCH", 4)
        install(patch, sent)
        for _ in range(data.draw(st.integers(1, 6))):
            sent.fail = data.draw(st.sets(st.integers(0, 19), max_size=3))
            sent.reject = data.draw(st.sets(st.integers(0, 19), max_size=3))
            run(topic, data.draw(st.none() | st.sampled_from(reasons)))
        sent.fail, sent.reject = set(), set()
        run(topic)
        run(topic)

    assert sorted(sent.letters) == list(range(20))
    assert topic.progress == ReplayProgress(20)


def test_letters_of_other_topics_and_lost_partitions_are_left_out(sent: Sent) -> None:
    replayed = run(Topic([letter(0, topic="secret"), letter(1, partition=9), letter(2)]))

    assert sent.letters == [2]
    assert replayed.foreign == 1
    assert "there is no partition 9" in replayed.describe()


def test_a_dry_run_sends_and_commits_nothing(sent: Sent) -> None:
    topic = Topic([letter(offset) for offset in range(5)])
    replayed = run(topic, dry_run=True)

    assert replayed.as_object()["sent"] == 5
    assert sent.letters == []
    assert topic.progress == ReplayProgress()


def test_what_cannot_be_sent_is_reported_and_never_counts_as_replayed(sent: Sent) -> None:
    """A message of somebody else, a record of another topic, one that came back again and again."""
    again = ((REPLAYS, b"5"),)
    topic = Topic(
        [letter(0), UnknownMessage(0, 1), letter(2, topic="secret"), letter(3, headers=again), letter(4)]
    )
    first = run(topic)
    second = run(topic)

    assert sent.letters == [0, 4]
    assert first.is_incomplete
    assert second.is_incomplete
    assert [message.offset for message in second.unknown] == [1]
    assert (second.foreign, second.exhausted) == (1, 1)
    assert not any(topic.progress.covers(offset, "json") for offset in (1, 2, 3))
    run(topic, most_replays=6)
    assert sent.letters == [0, 4, 3]


@settings(max_examples=examples(30))
@given(st.integers(1, 40), st.sets(st.integers(0, 1_999), max_size=200))
def test_however_many_messages_are_unknown_none_is_passed_and_the_progress_fits(
    step: int, unknown: set[int]
) -> None:
    """If Kafka has no room to remember them, the replay stops before them and says so."""
    every_other = {*unknown, *range(0, 2_000, step)}
    topic = Topic(
        [UnknownMessage(0, offset) if offset in every_other else letter(offset) for offset in range(2_000)]
    )
    sent = Sent()
    with pytest.MonkeyPatch.context() as patch:
        install(patch, sent)
        for _ in range(4):
            replayed = run(topic)

    assert len(topic.progress.metadata()) <= 4_096
    assert not any(topic.progress.covers(offset, "json") for offset in every_other)
    assert len(sent.letters) == len(set(sent.letters))
    assert replayed.is_full == (topic.progress.offset < 2_000)
    assert ("dlq purge" in replayed.describe()) == replayed.is_full


def test_chosen_ones_are_sent_and_the_others_stay_for_later(sent: Sent) -> None:
    topic = Topic([letter(offset, kept_ms=offset * 1000) for offset in range(10)])
    run(topic, wanted=LetterFilter(places=frozenset({(0, 7)})))
    run(topic, wanted=LetterFilter(since_ms=2_000, until_ms=4_000))
    some = list(sent.letters)
    run(topic)

    assert some == [7, 2, 3]
    assert sorted(sent.letters) == list(range(10))
    assert topic.progress == ReplayProgress(10)


def test_a_record_is_sent_back_with_its_own_key_headers_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    produced: dict[str, Any] = {}

    class OneRecord:
        def __init__(self, _: object) -> None:
            pass

        def produce(self, topic: str, on_delivery: Any, **what: Any) -> None:
            produced.update(what, topic=topic)
            on_delivery(None, None)

    monkeypatch.setattr(producer, "Producer", OneRecord)
    own = (("trace", b"\xff"), ("trace", None), (REPLAYED, b"resource.dlq/0/1"), (REPLAYS, b"2"))

    (outcome,) = producer.ReplayProducer(SETTINGS).send([letter(9, key=b"\0k", headers=own)])

    assert outcome.problem is None
    assert (produced["key"], produced["timestamp"], produced["value"]) == (b"\0k", 1, b"{")
    assert produced["headers"] == [
        *(("trace", b"\xff"), ("trace", None)),
        *((REPLAYED, b"resource.dlq/0/9"), (REPLAYS, b"3")),
    ]


@pytest.mark.parametrize("is_known", [False, True], ids=["after the record", "before the record"])
def test_a_user_who_may_write_nowhere_is_told_the_right(
    monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    """Kafka gives such a producer no id. The client raises that from `poll`, then drops what waits."""

    class WithoutId:
        def __init__(self, _: object) -> None:
            self.fatal: KafkaError | None = KafkaError(
                KafkaError.CLUSTER_AUTHORIZATION_FAILED, "no id", True
            )
            self.report: Any = None

        def produce(self, _: str, on_delivery: Any, **__: Any) -> None:
            self.report = on_delivery
            if is_known:
                raise KafkaException(KafkaError(KafkaError._FATAL))

        def poll(self, _: float) -> None:
            if self.fatal is not None:
                error, self.fatal = self.fatal, None
                raise KafkaException(error)
            self.report(KafkaError(KafkaError._PURGE_QUEUE), None)

    monkeypatch.setattr(producer, "Producer", WithoutId)

    (outcome,) = producer.ReplayProducer(SETTINGS).send([letter(9)])

    assert outcome.problem is not None
    assert outcome.problem.startswith("no id; give this user the right WRITE on topic resource")


def test_a_purge_of_what_was_replayed_stops_at_the_first_that_was_not() -> None:
    progress = {
        0: ReplayProgress(10),
        1: ReplayProgress(10, rejected={4, 7}),
        2: ReplayProgress(0, ahead={0, 1, 3}),
    }

    assert purge.targets_replayed(progress) == {0: 10, 1: 4, 2: 2}


@pytest.mark.usefixtures("sent")
def test_a_purge_says_how_many_were_never_replayed() -> None:
    topic: Any = Topic([letter(0), UnknownMessage(0, 1), letter(2, reason="text"), letter(3)])
    (part,) = purge.plan(topic, "dlq", {0: 3}, starts={0: 0}, ends={0: 4}, progress={0: ReplayProgress(1)})

    assert (part.count, part.not_replayed) == (3, 2)
    assert part.reasons == {"json": 1, "unknown": 1, "text": 1}


@pytest.mark.parametrize("text", ["", "1", "a/1", "1/a", "-1/2", "1/2/3", "1/\u0663", "0/1" + "0" * 30])
def test_a_place_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(CommandError, match="0/17"):
        parse_place(text)


def test_a_filter_takes_times_and_places() -> None:
    wanted = build_filter("json", "1970-01-01T00:00:01", "1970-01-01T00:00:02", ["0/5"])

    assert wanted.accepts(letter(5, kept_ms=1_000))
    assert not wanted.accepts(letter(5, kept_ms=2_000))
    assert not wanted.accepts(letter(5, kept_ms=1_000, reason="text"))
    assert not wanted.accepts(letter(6, kept_ms=1_000))


def test_only_one_replay_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "var" / "lock"
    with locked(file), pytest.raises(CommandError, match="is running already"), locked(file):
        pass
    with locked(file):
        pass
