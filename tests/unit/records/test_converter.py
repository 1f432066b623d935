"""Every message ends as lines or dead letters, whatever is in it."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import corpus
from tests.corpus import STORED, Case
from tests.support import fakes
from tests.support.examples import examples
from tests.support.fakes import FakeMessage, partition
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.types import Message, Reason, origin_of

CORPUS = [pytest.param(case, id=case.name) for case in corpus.load()]

#: A message's value: what senders send, and what nobody should.
VALUES = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.sampled_from([case.value for case in corpus.load() if len(case.value or b"") < 2_000]),
)


#: Each test of an outcome runs twice: in Python alone, and with the C kernel taking what it can.
both_paths = pytest.mark.parametrize("native", [False, True], ids=["python", "native"])


def converted(messages: Sequence[Message], *, native: bool = True, **options: object) -> Batch:
    chosen_route = fakes.route(**options)
    batch = Batch()
    Converter(chosen_route, Encoder(chosen_route), native).convert(messages, batch)
    return batch


def account(messages: Sequence[Message], native: bool) -> dict[str, object]:
    """The outcome of a conversion, in a form that can be compared."""
    default_route = fakes.route()
    encoder, batch = Encoder(default_route), Batch()
    Converter(default_route, encoder, native).convert(messages, batch)
    return {
        "lines": batch.lines,
        "origins": [origin_of(origin) for origin in batch.origins],
        "dead letters": [(letter.origin, letter.reason, letter.detail) for letter in batch.dead_letters],
        "next_offsets": batch.next_offsets,
        "records": batch.records,
        "size": batch.size,
        "left out": encoder.values_omitted,
        "times": encoder.times.counts,
    }


def outcomes(batch: Batch) -> list[str]:
    """For each record, in the order of the messages, what became of it."""
    stored = [(origin.message.offset(), origin.element, STORED) for origin in map(origin_of, batch.origins)]
    dead = [
        (letter.origin.message.offset(), letter.origin.element, letter.reason)
        for letter in batch.dead_letters
    ]
    return [outcome for _, _, outcome in sorted(stored + dead)]


def fields_of(line: bytes) -> str:
    """The fields of a line: from the first space that is not escaped to the last space."""
    return re.split(r"(?<!\\) ", line.decode(), maxsplit=1)[1].rsplit(" ", 1)[0]


def time_of(line: bytes, *, precise: bool) -> datetime:
    """The time of a line to the millisecond, or to the second: the digits below are identity."""
    milliseconds = int(line.rsplit(b" ", 1)[1]) // 10**6
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=milliseconds)
    return moment if precise else moment.replace(microsecond=0)


#: One sample under the names of the lab's Pi, of an older sender and of the points.
SENT = [
    {"tx_bytes": "11", "tx_drops": "0", "cpu_load": "3.80", "free_ram": "16479928", "disk_util": "7"},
    {"tx": "11", "txDropped": "0", "cpu": "3.80", "memory": "16479928", "disk": "7"},
    {"tx": "11", "tx_dropped": "0", "CPU_Usage": "3.80", "memory": "16479928", "disk": "7"},
]


@both_paths
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda record: json.dumps(record).encode(), id="json"),
        pytest.param(lambda record: json.dumps([record]).encode(), id="array"),
        pytest.param(msgpack.packb, id="msgpack"),
        pytest.param(lambda record: ",".join(map(":".join, record.items())).encode(), id="text"),
    ],
)
def test_each_sender_of_the_lab_fills_the_same_fields_in_each_format(
    form: Callable[[dict[str, str]], bytes], native: bool
) -> None:
    batch = converted([FakeMessage(form(record)) for record in SENT], native=native)

    assert [fields_of(line) for line in batch.lines] == [
        "tx=11,tx_dropped=0,CPU_Usage=3.8,memory=16479928,disk=7"
    ] * len(SENT)


@both_paths
@pytest.mark.parametrize("case", CORPUS)
def test_each_payload_of_the_corpus_has_its_outcome(case: Case, native: bool) -> None:
    batch = converted([FakeMessage(case.value)], native=native)

    assert outcomes(batch) == list(case.expect)


@both_paths
@pytest.mark.parametrize("case", [case for case in CORPUS if case.values[0].fields])  # type: ignore[union-attr]
def test_each_stored_payload_has_its_fields(case: Case, native: bool) -> None:
    batch = converted([FakeMessage(case.value)], native=native)

    assert [fields_of(line) for line in batch.lines] == list(case.fields)


@both_paths
@pytest.mark.parametrize("case", [case for case in CORPUS if case.values[0].at])  # type: ignore[union-attr]
def test_each_stored_payload_has_its_time(case: Case, native: bool) -> None:
    batch = converted([FakeMessage(case.value)], native=native)

    times = [time_of(line, precise="." in at) for line, at in zip(batch.lines, case.at, strict=True)]
    assert times == [datetime.fromisoformat(at) for at in case.at]


@both_paths
@pytest.mark.parametrize("case", CORPUS)
def test_a_payload_leaves_its_neighbours_alone(case: Case, native: bool) -> None:
    before, after = FakeMessage(place=6), FakeMessage(place=8)

    batch = converted([before, FakeMessage(case.value, place=7), after], native=native)

    assert outcomes(batch) == [STORED, *case.expect, STORED]


@pytest.mark.parametrize("case", CORPUS)
def test_a_payload_read_again_by_either_path_gives_the_same_account(case: Case) -> None:
    message = FakeMessage(case.value, number=3, place=11)

    assert account([message], native=False) == account([message], native=True)


@pytest.mark.parametrize("case", CORPUS)
@pytest.mark.parametrize("format_", ["json", "msgpack", "text"])
def test_a_payload_in_the_wrong_format_is_lines_or_dead_letters(case: Case, format_: str) -> None:
    batch = converted([FakeMessage(case.value)], format=format_)

    assert len(batch.lines) + len(batch.dead_letters) == batch.records[partition(0)] >= 1


def test_the_corpus_covers_every_reason_a_worker_finds_itself() -> None:
    # These have tests of their own: they need a megabyte, InfluxDB, a route, or very many records.
    elsewhere = {Reason.TOO_LARGE, Reason.REFUSED, Reason.NO_TIME, Reason.MEASUREMENT}
    elsewhere |= {Reason.TOO_MANY_NAMES, Reason.TOO_MANY_SERIES, Reason.TYPE_CONFLICT}
    elsewhere |= {Reason.PARTITION_TOO_HIGH, Reason.CRASH}

    reasons = {reason for case in corpus.load() for reason in case.reasons}

    assert reasons == set(Reason) - elsewhere


def test_the_names_of_the_corpus_are_distinct_and_its_files_are_all_used() -> None:
    cases = corpus.load()
    index = (corpus.FOLDER / "index.toml").read_text()

    assert len({case.name for case in cases}) == len(cases)
    assert [file.name for file in corpus.PAYLOADS.iterdir() if f'"{file.name}"' not in index] == []


@settings(max_examples=examples(80))
@given(st.lists(st.tuples(st.integers(0, 3), VALUES), max_size=12))
def test_every_message_ends_as_lines_or_dead_letters(messages: list[tuple[int, bytes | None]]) -> None:
    fake_messages = [FakeMessage(value, number, place) for place, (number, value) in enumerate(messages)]

    batch = converted(fake_messages)

    assert len(batch.lines) == len(batch.origins)
    assert len(batch.lines) + len(batch.dead_letters) == batch.records.total() >= len(fake_messages)
    assert batch.next_offsets == {partition(message.number): message.place + 1 for message in fake_messages}
    assert batch.dead_size == sum(len(message.origin.value or b"") for message in batch.dead_letters)
    assert batch.size == sum(len(line) + 1 for line in batch.lines)
    ended = {origin_of(message).message.offset() for message in batch.origins}
    ended |= {message.origin.message.offset() for message in batch.dead_letters}
    assert ended == {message.place for message in fake_messages}


def test_a_record_over_the_limit_is_a_dead_letter_undecoded() -> None:
    batch = converted([FakeMessage(b'{"memory":1}' + b" " * 90)], max_record_bytes=100)

    assert outcomes(batch) == [Reason.TOO_LARGE]


def test_a_record_of_the_limit_is_stored() -> None:
    batch = converted([FakeMessage(b'{"memory":1}' + b" " * 88)], max_record_bytes=100)

    assert outcomes(batch) == [STORED]


def test_a_record_without_any_time_is_a_dead_letter() -> None:
    batch = converted([FakeMessage(milliseconds=None)])

    assert outcomes(batch) == [Reason.NO_TIME]


def test_a_record_with_a_time_needs_none_of_kafka() -> None:
    batch = converted([FakeMessage(b'{"timestamp":1700000000,"memory":1}', milliseconds=None)])

    assert batch.lines == [b"labs,host=Labs,region=GIST memory=1 1700000000000000000"]


def test_the_dead_letter_of_an_element_holds_its_own_bytes() -> None:
    batch = converted([FakeMessage(b'[{"memory":1}, "two" ,{"memory":3}]')])

    assert [(letter.origin.element, letter.origin.value) for letter in batch.dead_letters] == [
        (1, b'"two"')
    ]


def test_the_dead_letter_of_a_message_holds_all_its_bytes() -> None:
    value = b'\xef\xbb\xbf{"disk":"none"}'

    batch = converted([FakeMessage(value)])

    assert [letter.origin.value for letter in batch.dead_letters] == [value]


def test_no_detail_quotes_the_record() -> None:
    secret = b"CANARY"
    values = [
        secret,
        b'{"a":"' + secret,
        b'["' + secret + b'"]',
        b"\x81\xa6" + secret,
        b'{"":"' + secret + b'"}',
    ]

    batch = converted([FakeMessage(value, place=place) for place, value in enumerate(values)])

    assert len(batch.dead_letters) == len(values)
    assert [letter.detail for letter in batch.dead_letters if "CANARY" in letter.detail] == []
