"""Bytes become records or a reason; nothing else ever comes out."""

import json
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import corpus
from tests.support import fakes
from tests.support.examples import examples
from workers.errors import RecordError
from workers.records import decoder
from workers.records.decoder import detect
from workers.records.encoder import Encoder
from workers.types import MAX_RECORDS, MOST_FIELDS, UNREADABLE, Nanoseconds, NumberName, Reason, Record

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


#: Names under which the lab's number fields are sent.
NUMBERS = Encoder(fakes.route()).number_names


def decode(value: bytes | None, format_: str = "auto") -> list[Record]:
    return decoder.decode(value, format_, NUMBERS)[1]


def reason_of(value: bytes | None, format_: str = "auto") -> str:
    with pytest.raises(RecordError) as caught:
        decode(value, format_)
    return caught.value.reason


@settings(max_examples=examples(250))
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


@settings(max_examples=examples(40))
@given(RECORDS)
def test_a_record_is_the_same_through_json_and_msgpack(record: dict[str, Any]) -> None:
    through_json = decode(json.dumps(record).encode())
    through_msgpack = decode(msgpack.packb(record))

    assert [fields for fields, _ in through_json] == [record]
    assert [fields for fields, _ in through_msgpack] == [record]


@settings(max_examples=examples(40))
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
    def test_the_value_of_another_extension_costs_itself_alone(self, code: int) -> None:
        packed = b"\x82\xa1t\xc7\x08" + code.to_bytes(1, "big", signed=True) + b"\0" * 8 + b"\xa1a\x01"

        assert decode(packed)[0][0] == {"t": UNREADABLE, "a": 1}

    @pytest.mark.parametrize("size", [0, 1, 4, 7, 9, 16])
    def test_another_length_costs_the_value_alone(self, size: int) -> None:
        packed = msgpack.packb({"t": msgpack.ExtType(0, b"\0" * size), "a": [{"b": 1}]})

        assert decode(packed)[0][0] == {"t": UNREADABLE, "a": [{"b": 1}]}


class TestTimestamp:
    """msgpack's own extension, -1."""

    @pytest.mark.parametrize("seconds", [0, 1, 2**32 - 1, 2**32, 2**34, -1, -(2**63), 2**63 - 1])
    @pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999])
    def test_it_is_nanoseconds_in_any_place(self, seconds: int, nanoseconds: int) -> None:
        time = msgpack.Timestamp(seconds, nanoseconds)

        fields = decode(msgpack.packb({"t": time, "list": [time], "map": {"t": time}}))[0][0]

        ns = seconds * 10**9 + nanoseconds
        assert fields == {"t": ns, "list": [ns], "map": {"t": ns}}
        assert {type(value) for value in (fields["t"], fields["list"][0], fields["map"]["t"])} == {
            Nanoseconds
        }

    @pytest.mark.parametrize(
        "time",
        [b"\xd7\xff\xff\xff\xff\xff\0\0\0\0", b"\xc7\x05\xff\0\0\0\0\0"],
        ids=["nanoseconds", "size"],
    )
    def test_one_that_breaks_its_own_rules_is_no_msgpack(self, time: bytes) -> None:
        assert reason_of(b"\x81\xa1t" + time) == Reason.MSGPACK


class TestMsgpack:
    """What its maps and arrays may hold, and may claim to."""

    @settings(max_examples=examples(60))
    @given(RECORDS)
    def test_text_as_bin_is_the_same_text(self, record: dict[str, Any]) -> None:
        """Ruby's strings without an encoding and C's buffers are `bin`."""
        assert decode(msgpack.packb(_as_bin(record))) == [(record, msgpack.packb(_as_bin(record)))]

    @settings(max_examples=examples(60))
    @given(RECORDS)
    def test_a_binary_value_changes_nothing_about_its_neighbours(self, record: dict[str, Any]) -> None:
        """A message with one is read in another way."""
        decoded = decode(msgpack.packb({**record, "0": b"\xff"}))[0][0]

        assert decoded == {**decode(msgpack.packb(record))[0][0], "0": b"\xff"}

    def test_a_bad_element_costs_no_other_one(self) -> None:
        bad = b"\x81\xa1\xff\x01"

        decoded = decode(b"\x93\x81\xa1a\x01" + bad + b"\x81\xa1b\x02")

        assert [decoded[0], decoded[2]] == [({"a": 1}, b"\x81\xa1a\x01"), ({"b": 2}, b"\x81\xa1b\x02")]
        assert decoded[1][1] == bad
        assert decoded[1][0].reason == Reason.MSGPACK

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


def _as_bin(value: Any) -> Any:
    """A value with all text as bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict):
        return {_as_bin(name): _as_bin(inner) for name, inner in value.items()}
    return [_as_bin(inner) for inner in value] if isinstance(value, list) else value


class TestEnvelopes:
    """What may stand before JSON."""

    @settings(max_examples=examples(60))
    @given(RECORDS, st.integers(0, 2**32 - 1))
    def test_json_behind_a_confluent_header_is_that_json(
        self, record: dict[str, Any], schema_id: int
    ) -> None:
        value = b"\0" + schema_id.to_bytes(4, "big") + json.dumps(record).encode()

        assert decode(value) == [(record, value)]
        assert decode(value, "json") == [(record, value)]

    @pytest.mark.parametrize("format_", ["auto", "json"])
    def test_broken_json_behind_a_header_says_both(self, format_: str) -> None:
        with pytest.raises(
            RecordError, match=r"behind a Confluent header \(magic 0, schema id 7\): Input"
        ) as it:
            decode(b'\0\0\0\0\x07{"a":', format_)

        assert it.value.reason == Reason.JSON

    @pytest.mark.parametrize(
        "value", [b'\xef\xbb\xbfhello{"a":1}', b'\0\0\0\0{"a":1}', b'\1\0\0\0\7{"a":1}']
    )
    def test_json_behind_other_bytes_is_none(self, value: bytes) -> None:
        assert reason_of(value) == Reason.TEXT

    @settings(max_examples=examples(60))
    @given(RECORDS.filter(bool))
    def test_json_encoded_twice_is_decoded_twice(self, record: dict[str, Any]) -> None:
        value = json.dumps(json.dumps(record)).encode()

        assert decode(value) == [(record, value)]

    def test_an_array_encoded_twice_is_its_records(self) -> None:
        value = json.dumps(' [{"a":1}, {"b":2}]').encode()

        assert decode(value) == [({"a": 1}, b'{"a":1}'), ({"b": 2}, b'{"b":2}')]

    def test_json_encoded_three_times_is_none(self) -> None:
        assert reason_of(json.dumps(json.dumps(json.dumps({"a": 1}))).encode()) == Reason.TEXT

    def test_a_string_that_holds_broken_json_is_broken(self) -> None:
        assert reason_of(json.dumps('{"a":').encode()) == Reason.JSON


class TestSeveralTexts:
    """Newline-delimited JSON, and a JSON text sequence (RFC 7464)."""

    @settings(max_examples=examples(60))
    @given(st.lists(RECORDS, min_size=2, max_size=5), st.sampled_from(["\n", "\r\n", "\n\n \n"]))
    def test_lines_are_records_each_with_its_own_bytes(
        self, records: list[dict[str, Any]], separator: str
    ) -> None:
        texts = [json.dumps(record) for record in records]

        for end in ("", separator):
            decoded = decode((separator.join(texts) + end).encode())
            assert decoded == [(record, text.encode()) for record, text in zip(records, texts, strict=True)]

    @settings(max_examples=examples(60))
    @given(st.lists(RECORDS, min_size=1, max_size=5))
    def test_a_sequence_is_its_texts(self, records: list[dict[str, Any]]) -> None:
        texts = [json.dumps(record).encode() for record in records]

        decoded = decode(b"".join(b"\x1e" + text + b"\n" for text in texts))

        assert [fields for fields, _ in decoded] == records
        if len(records) > 1:
            assert [raw for _, raw in decoded] == texts

    @pytest.mark.parametrize("bad", ['{"a":', "oops", "[1", '"text"', "7", "null", '{"a":1}}'])
    @pytest.mark.parametrize("place", [1, 2, 3])
    def test_a_bad_line_costs_one_record(self, bad: str, place: int) -> None:
        texts = ['{"n":0}', '{"n":1}', '{"n":2}']
        texts.insert(place, bad)

        for value in ("\n".join(texts), "".join(f"\x1e{text}\n" for text in texts)):
            decoded = decode(value.encode())
            assert [raw.decode() for _, raw in decoded] == texts
            assert [fields for fields, _ in decoded if isinstance(fields, dict)] == [
                {"n": number} for number in range(3)
            ]

    @pytest.mark.parametrize("bad", ['{"a":1', "{bad", '{"a":1,"b', '{"a":nope}'])
    def test_a_bad_first_line_costs_one_record(self, bad: str) -> None:
        decoded = decode(f'{bad}\n{{"n":1}}'.encode())

        assert decoded[0][0].reason == Reason.JSON
        assert decoded[1:] == [({"n": 1}, b'{"n":1}')]

    @pytest.mark.parametrize(
        "text",
        [
            '{"a":[\n{"b":1}\n',
            '{"a":[\n{"b":1},\n{"b":2}\n',
            '{"a":\n{"b":1}\n',
            '[\n{"b":1},\n{"b":2}\n',
            '{"a":nope,"c":[\n{"b":1}\n]}',
            '{\n"a":1,\n"b":\n{"c":2}\n',
            "{'a':1,\n'b':2}\n",
            '{"a":\n{"b":\n{"c":1}\n',
        ],
    )
    def test_a_broken_text_over_several_lines_stays_one(self, text: str) -> None:
        """Its parts are objects, and no records."""
        assert reason_of(text.encode()) == Reason.JSON

    def test_a_text_over_several_lines_is_one_record(self) -> None:
        value = json.dumps({"a": [{"b": 1}, {"c": 2}]}, indent=1).encode()

        assert decode(value) == [({"a": [{"b": 1}, {"c": 2}]}, value)]

    def test_nan_in_a_line_costs_its_value_alone(self) -> None:
        decoded = decode(b'{"a":NaN,"b":1}\n{"b":2}')

        assert [fields["b"] for fields, _ in decoded] == [1, 2]

    @pytest.mark.parametrize("value", [b"\x1e", b"\x1e\n\x1e \n"])
    def test_separators_alone_are_empty(self, value: bytes) -> None:
        assert reason_of(value) == Reason.EMPTY


class TestLegacyText:
    """`memory:123,tx:456`, by key and never by position."""

    @pytest.mark.parametrize(
        ("text", "fields"),
        [
            ("memory:1,tx:2", {"memory": "1", "tx": "2"}),
            ("tx:2,memory:1", {"memory": "1", "tx": "2"}),
            (" memory : 1 ,\ttx:2\r\n", {"memory": "1", "tx": "2"}),
            ("note:a,b,tx:1", {"note": "a,b", "tx": "1"}),
            ("note:a, b ,,tx:1", {"note": "a, b ,", "tx": "1"}),
            ("note:,tx:1", {"note": "", "tx": "1"}),
            ("note:1,:2, :3,a: b ,,tx: 1", {"note": "1,:2, :3", "a": "b ,", "tx": "1"}),
            ("memory:1,tx:2,", {"memory": "1", "tx": "2"}),
            ("tx:1,memory:No Such Instance", {"tx": "1", "memory": "No Such Instance"}),
            ("free_ram:-1.5e3", {"free_ram": "-1.5e3"}),
            ("note:at 12:30, 13:45,tx:1", {"note": "at 12:30, 13:45", "tx": "1"}),
            ('note:"a", "b": c,tx:1', {"note": '"a", "b": c', "tx": "1"}),
            ("eth0.rx-bytes_1:1,tx:2", {"eth0.rx-bytes_1": "1", "tx": "2"}),
            ("tx:2,note:실내,온도:2", {"tx": "2", "note": "실내,온도:2"}),
            ("note:a\tb,tx:1", {"note": "a\tb", "tx": "1"}),
        ],
    )
    def test_names_and_values(self, text: str, fields: dict[str, object]) -> None:
        assert decode(text.encode(), "text") == [(fields, text.encode())]

    def test_no_more_names_are_read_than_a_record_may_ever_have(self) -> None:
        names = ["tx:1", *(f"f{name}:1" for name in range(MOST_FIELDS))]

        assert len(decode(",".join(names[:-1]).encode())[0][0]) == MOST_FIELDS
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
        with pytest.raises(RecordError, match="looks like LTSV"):
            decode(text.encode(), "text")

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("note:a:b", id="no number field"),
            pytest.param("port:8080", id="a number in another field"),
            pytest.param("memory:No Such Instance", id="no number"),
            pytest.param("memory:5|c", id="StatsD"),
            pytest.param("memory:5 tx:6", id="spaces between the fields"),
            pytest.param("memory:5\ntx:6", id="lines"),
            pytest.param("memory:1,tx:2\nmemory:3,tx:4", id="two records"),
            pytest.param("memory:1,memory:2", id="a name twice"),
            pytest.param("memory:1,tx:2,12:30", id="a number field with a part behind it"),
            pytest.param("memory:1,tx:2,온도:3", id="a name that is not plain"),
            pytest.param("memory:1,note:\0", id="a control character"),
        ],
    )
    @pytest.mark.parametrize("format_", ["auto", "text"])
    def test_what_does_not_have_the_labs_shape_is_none(self, text: str, format_: str) -> None:
        assert reason_of(text.encode(), format_) == Reason.TEXT


class TestLimits:
    """Of one message."""

    @pytest.mark.parametrize("pack", [lambda it: json.dumps(it).encode(), msgpack.packb])
    def test_1024_records_are_taken_and_one_more_is_not(self, pack: Any) -> None:
        record = {"a": 1}

        assert len(decode(pack([record] * MAX_RECORDS))) == MAX_RECORDS
        assert reason_of(pack([record] * (MAX_RECORDS + 1))) == Reason.TOO_MANY_RECORDS

    def test_1024_lines_are_taken_and_one_more_is_not(self) -> None:
        for text in (b'{"a":1}\n', b'\x1e{"a":1}\n'):
            assert len(decode(text * MAX_RECORDS)) == MAX_RECORDS
            assert reason_of(text * (MAX_RECORDS + 1)) == Reason.TOO_MANY_RECORDS

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
