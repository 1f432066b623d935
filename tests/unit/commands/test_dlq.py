"""Dead letters: read, shown, sent back once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.commands.dlq import dead_letter, replay
from workers.commands.dlq.dead_letter import StoredDeadLetter, from_message, printable_payload
from workers.commands.dlq.producer import Outcome
from workers.commands.dlq.progress import ReplayProgress
from workers.commands.dlq.replay import Replay
from workers.commands.file_lock import locked
from workers.config.settings import load
from workers.errors import CommandError

SETTINGS = load({}, credentials=False)


class Stored:
    """A message as the dead-letter topic gives it back."""

    def __init__(self, offset: int, headers: dict[str, str] | None, value: bytes | None = b"{") -> None:
        self._offset, self._headers, self._value = offset, headers, value

    def headers(self) -> list[tuple[str, bytes]] | None:
        return (
            None if self._headers is None else [(key, text.encode()) for key, text in self._headers.items()]
        )

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

    assert letter is not None
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
    assert from_message(Stored(7, headers)) is None


def test_headers_cannot_command_a_terminal() -> None:
    letter = from_message(Stored(7, HEADERS | {"tower.error": "\x1b]0;owned\x07", "tower.topic": "a\nb"}))

    assert letter is not None
    assert letter.error.isprintable()
    assert letter.topic == "a.b"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_payload_is_shown_as_one_printable_line(value: bytes) -> None:
    assert printable_payload(value).isprintable()


def test_payloads_are_cut_and_say_so() -> None:
    assert printable_payload(b"x" * 3_000).endswith("… (3000 bytes)")
    assert printable_payload(None) == "null"
    assert printable_payload(b"a\x1b[31m\n\xff") == "a\\x1b[31m\\n\\xff"


@settings(deadline=None)
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

    def __init__(self, held: list[StoredDeadLetter]) -> None:
        self.held = held
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

    def read(reader: Topic, _: str, __: int, start: int, end: int) -> Iterator[StoredDeadLetter]:
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


def run(topic: Topic, reason: str | None = None, *, dry_run: bool = False) -> Replay:
    replayed = Replay(SETTINGS, topic, {0, 1, 2}, reason, dry_run=dry_run)  # type: ignore[arg-type]
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


@settings(max_examples=60, deadline=None)
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


def test_only_one_replay_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "var" / "lock"
    with locked(file), pytest.raises(CommandError, match="is running already"), locked(file):
        pass
    with locked(file):
        pass
