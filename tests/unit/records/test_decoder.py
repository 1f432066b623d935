"""Bytes become records or a reason; nothing else ever comes out."""

import json
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import corpus
from workers.errors import RecordError
from workers.records.decoder import decode, detect
from workers.types import MAX_RECORDS, MOST_FIELDS, Nanoseconds, NumberName, Reason

FORMATS = ["auto", "json", "msgpack", "text", "line"]

#: What a sender can put into a record that both JSON and msgpack carry.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
RECORDS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=6,
)

#: Bytes that are nearly JSON, msgpack or legacy text.
BYTES = st.one_of(
    st.binary(max_size=80),
    st.text('{}[]",:0123456789.eE+-NaInfity \\u\n\ttrueflsn', max_size=60).map(str.encode),
    st.sampled_from(
        [case.value or b"" for case in corpus.load() if len(case.value or b"") < 3_000]
    ).flatmap(
        lambda value: st.tuples(st.integers(0, len(value)), st.binary(max_size=3)).map(
            lambda cut: value[: cut[0]] + cut[1] + value[cut[0] + 1 :]
        )
    ),
)


def reason_of(value: bytes | None, format_: str = "auto") -> str:
    with pytest.raises(RecordError) as caught:
        decode(value, format_)
    return caught.value.reason


@settings(max_examples=250, deadline=None)
@given(BYTES, st.sampled_from(FORMATS))
@example(b"memory:" + b"0" * 5_000, "text")
@example(b"\x81\x91\x91\x01\x01", "auto")
def test_any_bytes_are_records_or_a_reason(value: bytes, format_: str) -> None:
    try:
        records = decode(value, format_)
    except RecordError as error:
        outcomes: set[str] = {error.reason}
    else:
        outcomes = set()
        assert 1 <= len(records) <= MAX_RECORDS
        assert all(isinstance(raw, bytes) for _, raw in records)

    assert outcomes <= set(Reason)


@settings(max_examples=40, deadline=None)
@given(RECORDS)
def test_a_record_is_the_same_through_json_and_msgpack(record: dict[str, Any]) -> None:
    through_json = decode(json.dumps(record).encode())
    through_msgpack = decode(msgpack.packb(record))

    assert [fields for fields, _ in through_json] == [record]
    assert [fields for fields, _ in through_msgpack] == [record]


@settings(max_examples=40, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_an_array_is_its_records_each_with_its_own_bytes(records: list[dict[str, Any]]) -> None:
    for value in (json.dumps(records).encode(), msgpack.packb(records)):
        decoded = decode(value)

        assert [fields for fields, _ in decoded] == records
        assert [decode(raw)[0][0] for _, raw in decoded] == records


@pytest.mark.parametrize(
    ("value", "format_"),
    [
        (b'{"a":1}', "json"),
        (b" \r\n\t[1]", "json"),
        (b"\x80", "msgpack"),
        (b"\x8f", "msgpack"),
        (b"\x90", "msgpack"),
        (b"\x9f", "msgpack"),
        (b"\xdc\0\0", "msgpack"),
        (b"\xdf\0\0\0\0", "msgpack"),
        (b"memory:1", "text"),
        (b"\xc0", "text"),
        (b"\xa1a", "text"),
        ("ü:1".encode(), "text"),
        (b" ", "text"),
    ],
)
def test_the_format_is_told_by_the_first_byte(value: bytes, format_: str) -> None:
    assert detect(value) == format_


@pytest.mark.parametrize(("value", "reason"), [(None, Reason.EMPTY), (b"", Reason.EMPTY)])
@pytest.mark.parametrize("format_", FORMATS)
def test_no_value_is_empty_in_every_format(value: bytes | None, reason: str, format_: str) -> None:
    assert reason_of(value, format_) == reason


def test_a_fixed_format_is_not_guessed() -> None:
    assert reason_of(b"memory:1", "json") == Reason.JSON
    assert reason_of(b'{"memory":1}', "msgpack") == Reason.MSGPACK
    assert reason_of(b'{"memory":1}', "text") == Reason.TEXT


class TestEventTime:
    """Fluentd's extension 0."""

    def test_it_is_nanoseconds_and_says_so(self) -> None:
        value = msgpack.packb({"t": msgpack.ExtType(0, b"\x65\x53\xf1\x00\x00\x00\x00\x05")})

        time = decode(value)[0][0]["t"]

        assert isinstance(time, Nanoseconds)
        assert time == 1_700_000_000_000_000_005

    @pytest.mark.parametrize("code", [1, 5, 127, -2, -128])
    def test_any_other_extension_is_refused(self, code: int) -> None:
        packed = b"\x81\xa1t\xc7\x08" + code.to_bytes(1, "big", signed=True) + b"\0" * 8

        assert reason_of(packed) == Reason.MSGPACK

    @pytest.mark.parametrize("size", [0, 1, 4, 7, 9, 16])
    def test_another_length_is_refused(self, size: int) -> None:
        assert reason_of(msgpack.packb({"t": msgpack.ExtType(0, b"\0" * size)})) == Reason.MSGPACK


class TestMsgpack:
    """What its maps and arrays may hold, and may claim to."""

    def test_a_number_as_a_name_is_its_digits_and_says_what_it_was(self) -> None:
        fields = decode(msgpack.packb({"status": {200: 5, -1: 6}}))[0][0]["status"]

        assert fields == {"200": 5, "-1": 6}
        assert {type(name) for name in fields} == {NumberName}

    @pytest.mark.parametrize(
        "key",
        [b"\xc0", b"\xcb" + b"\0" * 8, b"\x90", b"\x91\x01", b"\x80"],
        ids=repr,
    )
    def test_a_name_of_any_other_kind_is_none_and_is_never_hashed(self, key: bytes) -> None:
        assert decode(b"\x82" + key + b"\x01\xa1b\x02")[0][0] == {None: 1, "b": 2}

    @pytest.mark.parametrize(
        "value",
        [b"\x91\x80\x80", b"\x90\x80", b"\x92\x80", b"\x91\x81\xa1", b"\x91\xc1", b"\xdc\xff\xff\x80"],
    )
    def test_an_array_that_ends_early_or_late_is_no_msgpack(self, value: bytes) -> None:
        assert reason_of(value) == Reason.MSGPACK

    @pytest.mark.parametrize(
        "many", [[1] * (MOST_FIELDS + 1), dict.fromkeys(map(str, range(MOST_FIELDS + 1)), 1)], ids=type
    )
    def test_what_holds_more_than_a_record_may_ever_have_is_not_read_further(self, many: object) -> None:
        assert reason_of(msgpack.packb({"a": many})) == Reason.TOO_MANY_FIELDS

    def test_as_much_as_a_record_may_ever_have_is_read(self) -> None:
        assert len(decode(msgpack.packb({"a": [1] * MOST_FIELDS}))[0][0]["a"]) == MOST_FIELDS


class TestLegacyText:
    """`memory:123,tx:456`, by key and never by position."""

    @pytest.mark.parametrize(
        ("text", "fields"),
        [
            ("memory:1,tx:2", {"memory": "1", "tx": "2"}),
            ("tx:2,memory:1", {"memory": "1", "tx": "2"}),
            (" memory : 1 ,\ttx:2\r\n", {"memory": "1", "tx": "2"}),
            ("note:a:b", {"note": "a:b"}),
            ("note:a,b,tx:1", {"note": "a,b", "tx": "1"}),
            ("note:a, b ,,tx:1", {"note": "a, b ,", "tx": "1"}),
            ("note:", {"note": ""}),
            ("note:1,:2, :3,a: b ,", {"note": "1,:2, :3", "a": "b ,"}),
            ("a:1,a:2", {"a": "2"}),
            ("note:at 12:30, 13:45,tx:1", {"note": "at 12:30, 13:45", "tx": "1"}),
            ('note:"a", "b": c,tx:1', {"note": '"a", "b": c', "tx": "1"}),
            ("eth0.rx-bytes_1:1,온도:2", {"eth0.rx-bytes_1": "1", "온도": "2"}),
            ("note:a\tb,tx:1", {"note": "a\tb", "tx": "1"}),
        ],
    )
    def test_names_and_values(self, text: str, fields: dict[str, object]) -> None:
        assert decode(text.encode(), "text") == [(fields, text.encode())]

    def test_no_more_names_are_read_than_a_record_may_ever_have(self) -> None:
        names = [f"f{name}:1" for name in range(MOST_FIELDS + 1)]

        assert len(decode(",".join(names[1:]).encode())[0][0]) == MOST_FIELDS
        assert reason_of(",".join(names).encode()) == Reason.TOO_MANY_FIELDS

    @pytest.mark.parametrize(
        "text",
        [
            *["", " ", "memory", "1,2,3", ",", ":", ":1", ",a:1", "a,b:1", "a\n, :1"],
            *["12:30,a:1", '"a":1', "<a>:1", "a b:1", "2026-11-26T07:50:00+09:00\t{"],
        ],
    )
    def test_what_does_not_begin_with_a_name_is_none(self, text: str) -> None:
        assert reason_of((text or "\n").encode(), "text") == Reason.TEXT

    @pytest.mark.parametrize("text", ["a:1\tb:2", "a:1,b:2\tc:3", "a:1\t\tb:2", "a:\tb:2", "a:x y\t b :2"])
    def test_fields_with_tabs_between_them_are_another_format(self, text: str) -> None:
        with pytest.raises(RecordError, match="LTSV is not supported"):
            decode(text.encode(), "text")


class TestLimits:
    """Of one message."""

    @pytest.mark.parametrize("pack", [lambda it: json.dumps(it).encode(), msgpack.packb])
    def test_1024_records_are_taken_and_one_more_is_not(self, pack: Any) -> None:
        record = {"a": 1}

        assert len(decode(pack([record] * MAX_RECORDS))) == MAX_RECORDS
        assert reason_of(pack([record] * (MAX_RECORDS + 1))) == Reason.TOO_MANY_RECORDS

    @pytest.mark.parametrize(
        "value", [b"[" * 100_000, b'{"":' * 100_000, b"\x91" * 100_000, b"\x81\xa0" * 100_000]
    )
    def test_endless_nesting_ends(self, value: bytes) -> None:
        assert reason_of(value) == Reason.TOO_DEEP


def test_a_detail_names_places_and_types_but_quotes_nothing() -> None:
    for value in (b'{"a":"CANARY', b'{"CANARY":CANARY}', b"\x81\xa6CANARY\xc1", b"CANARY"):
        with pytest.raises(RecordError) as caught:
            decode(value)

        assert "CANARY" not in str(caught.value)
