"""Records become points as their route says, whichever topic they come from."""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import fakes, line_protocol
from tests.support.examples import examples
from tests.support.fakes import KAFKA_MS, FakeMessage
from tests.support.kernel import needs_kernel
from workers.batch import Batch
from workers.config import topic_tags
from workers.config.route import Route
from workers.errors import SettingsError
from workers.records import field_types
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.records.expansion import MOST_BYTES, MOST_TIMES
from workers.records.router import KEPT, Router
from workers.types import Message, origin_of

PLAIN = replace(
    fakes.route(tags="", rename="", tag_fields="", number_fields="", measurement="m"), topics=("resource",)
)


def route(**keys: Any) -> Route:
    """A route without the names of the lab."""
    return replace(PLAIN, **keys)


def batch(one: Route | list[Route], *messages: FakeMessage, native: bool = True) -> Batch:
    made = Batch()
    Router(one if isinstance(one, list) else [one], native).convert(
        cast("list[Message]", list(messages)), made
    )
    return made


def lines(one: Route, *records: Any, pack: Any = json.dumps) -> list[str]:
    """The lines of records, without their times."""
    values = [packed.encode() if isinstance(packed := pack(record), str) else packed for record in records]
    made = batch(one, *(FakeMessage(value, place=place) for place, value in enumerate(values)))
    return [line.decode().rpartition(" ")[0] for line in made.lines]


def reasons(one: Route, record: Any) -> list[str]:
    return [str(dead.reason) for dead in batch(one, FakeMessage(json.dumps(record).encode())).dead_letters]


class TestTypes:
    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            (7, "7i"), (-7, "-7i"), (2**53 + 1, "9007199254740993i"), (2**63 - 1, f"{2**63 - 1}i"),
            (7.0, "7i"), ("7", "7i"), (" 7 ", "7i"), ("7.0", "7i"),
            ("9007199254740993", "9007199254740993i"),
            (2**63, None), (7.5, None), (1e300, None), ("7.5", None), ("x", None), (True, None),
            ("0x7", None),
            ("\u0661", None),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("pack", [json.dumps, msgpack.packb])
    def test_an_integer_is_exact_or_left_out(self, value: Any, stored: str | None, pack: Any) -> None:
        (line,) = lines(route(integer_fields=("n",)), {"n": value, "a": 1}, pack=pack)

        assert line == ("m a=1" if stored is None else f"m n={stored},a=1")

    def test_a_time_is_no_integer(self) -> None:
        """It was looked for among 2^64 numbers, one by one, which stopped the worker."""
        event_time = msgpack.ExtType(0, struct.pack(">II", KAFKA_MS // 1000, 5))

        assert lines(route(integer_fields=("n",)), {"n": event_time, "a": 1}, pack=msgpack.packb) == [
            "m a=1"
        ]

    @given(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.booleans(), st.none()))
    def test_a_written_integer_is_the_one_that_was_sent(self, value: Any) -> None:
        written = field_types.integer(value)

        if written is not None:
            sent = value.decode() if isinstance(value, bytes) else value
            assert int(written.removesuffix("i")) == Decimal(sent)

    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            (True, "true"), (False, "false"), (1, "true"), (0, "false"), (1.0, "true"), ("True", "true"),
            ("0", "false"), (2, None), ("yes", None), ("", None), ("x", None), ([], None),
        ],
    )  # fmt: skip
    def test_a_boolean_is_true_or_false_or_left_out(self, value: Any, stored: str | None) -> None:
        (line,) = lines(route(boolean_fields=("b",)), {"b": value, "a": 1})

        assert line == ("m a=1" if stored is None else f"m b={stored},a=1")

    @pytest.mark.parametrize(
        ("value", "stored"),
        [(7, '"7"'), (True, '"true"'), (1.5, '"1.5"'), ("x", '"x"'), (None, None), ("0012", '"0012"')],
    )
    def test_a_text_stays_a_text(self, value: Any, stored: str | None) -> None:
        (line,) = lines(route(text_fields=("t",)), {"t": value, "a": 1})

        assert line == ("m a=1" if stored is None else f"m t={stored},a=1")

    def test_a_renamed_field_has_the_type_of_its_new_name(self) -> None:
        typed = route(rename=(("count", "n"),), integer_fields=("n",))

        assert lines(typed, {"count": 7}, {"n": 7}, {"count": 8, "n": 7}) == [
            "m n=7i",
            "m n=7i",
            "m count=8i,n=7i",
        ]


class TestFields:
    def test_dropped_fields_are_not_stored(self) -> None:
        assert lines(route(drop=("b", "o_x")), {"a": 1, "b": 2, "o": {"x": 1, "y": 2}}) == ["m a=1,o_y=2"]

    def test_of_kept_fields_only_these_are_stored_besides_tags_and_time(self) -> None:
        kept = route(keep=("a",), tag_fields=("t",))

        assert lines(kept, {"a": 1, "b": 2, "t": "x", "time": KAFKA_MS // 1000}) == ["m,t=x a=1"]

    def test_a_record_with_only_dropped_fields_is_a_dead_letter(self) -> None:
        assert reasons(route(drop=("a",)), {"a": 1}) == ["no_fields"]


class TestMeasurement:
    @pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_kernel)])
    def test_it_may_come_from_a_field(self, native: bool) -> None:
        one = route(measurement_field="kind", tag_fields=("t",))
        values = [b'{"kind":"cpu load","t":"x","a":1}', b'{"t":"x","a":1}', b'{"kind":"","a":1}']
        made = batch(
            one, *(FakeMessage(value, place=place) for place, value in enumerate(values)), native=native
        )

        assert [line.decode().rpartition(" ")[0] for line in made.lines] == [
            "cpu\\ load,t=x a=1",
            "m,t=x a=1",
            "m a=1",
        ]

    @pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_kernel)])
    def test_one_that_would_be_a_comment_is_a_dead_letter(self, native: bool) -> None:
        made = batch(route(measurement_field="kind"), FakeMessage(b'{"kind":"#x","a":1}'), native=native)

        assert [str(dead.reason) for dead in made.dead_letters] == ["measurement"]
        assert made.lines == []

    def test_it_may_be_the_topics_name(self) -> None:
        assert lines(route(measurement="x.{topic}"), {"a": 1}) == ["x.resource a=1"]


class TestMessageTags:
    def test_key_and_headers_topic_and_partition_become_tags(self) -> None:
        one = route(
            key_tag="k", header_tags=(("h", "head"), ("none", "none")), topic_tag="topic", partition_tag="p"
        )
        message = FakeMessage(b'{"a":1}', 3, named=b"dev 1", head=(("h", b"1"), ("h", b"2")))

        (line,) = batch(one, message).lines

        assert line.startswith(b"m,head=2,k=dev\\ 1,p=3,topic=resource a=1 ")

    def test_a_field_of_that_name_does_not_replace_them(self) -> None:
        one = route(key_tag="k")

        (line,) = batch(one, FakeMessage(b'{"a":1,"k":"of the record"}', named=b"of the message")).lines

        assert line.startswith(b"m,k=of\\ the\\ message a=1 ")

    def test_a_key_that_is_no_text_is_a_dead_letter(self) -> None:
        made = batch(route(key_tag="k"), FakeMessage(b'{"a":1}', named=b"\xff"))

        assert [str(dead.reason) for dead in made.dead_letters] == ["text"]

    def test_a_message_without_key_has_no_such_tag(self) -> None:
        (line,) = batch(route(key_tag="k", header_tags=(("h", "h"),)), FakeMessage(b'{"a":1}')).lines

        assert line.startswith(b"m a=1 ")

    @pytest.mark.parametrize("head", [(), (("h", None),), (("h", b"v"), ("h", None))])
    def test_without_key_and_header_the_records_own_fields_are_the_tags(
        self, head: tuple[tuple[str, bytes | None], ...]
    ) -> None:
        one = route(key_tag="k", header_tags=(("h", "h"),))

        (line,) = batch(one, FakeMessage(b'{"a":1,"k":"own","h":"own"}', head=head)).lines

        assert line.startswith(b"m,h=own,k=own a=1 ")


class TestArray:
    ROUTE = route(array=("d", "s"), tag_fields=("host", "id"))
    RECORD: ClassVar = {"host": "a", "d": {"x": 1, "s": [{"id": 1, "v": 2}, {"id": 2, "v": 3, "x": 9}]}}

    @pytest.mark.parametrize("pack", [json.dumps, msgpack.packb])
    def test_each_element_is_a_record_with_the_fields_around(self, pack: Any) -> None:
        assert lines(self.ROUTE, self.RECORD, pack=pack) == [
            "m,host=a,id=1 d_x=1,v=2",
            "m,host=a,id=2 d_x=1,v=3,x=9",
        ]

    @pytest.mark.parametrize("pack", [json.dumps, msgpack.packb])
    def test_the_bytes_of_an_element_give_its_line_again(self, pack: Any) -> None:
        packed = pack(self.RECORD)
        made = batch(self.ROUTE, FakeMessage(packed.encode() if isinstance(packed, str) else packed))

        for line, source in zip(made.lines, made.origins, strict=True):
            (again,) = batch(self.ROUTE, FakeMessage(origin_of(source).value)).lines
            assert again.rpartition(b" ")[0] == line.rpartition(b" ")[0]

    @pytest.mark.parametrize(
        "before",
        [
            pytest.param(b"\xef\xbb\xbf", id="byte order mark"),
            pytest.param(b"\xef\xbb\xbf\0\0\0\0\7", id="both"),
            pytest.param(b"\0\0\0\0\7", id="a schema's id"),
            pytest.param(b"", id="nothing"),
        ],
    )
    def test_the_elements_of_json_are_json_whatever_stands_before_it(self, before: bytes) -> None:
        """As msgpack, half a surrogate pair ended the worker."""
        made = batch(route(array=("a",)), FakeMessage(before + b'{"a":[{"x":NaN,"y":"\\ud800"},{"x":1}]}'))

        (dead,) = made.dead_letters
        assert (str(dead.reason), dead.origin.value) == ("text", b'{"a":[{"x":NaN,"y":"\\ud800"}]}')
        assert [origin_of(source).value for source in made.origins] == [b'{"a":[{"x":1}]}']

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(msgpack.ExtType(0, struct.pack(">II", KAFKA_MS // 1000, 5)), id="EventTime"),
            pytest.param(msgpack.Timestamp(KAFKA_MS // 1000, 5), id="timestamp"),
            pytest.param(msgpack.Timestamp(2**62, 5), id="timestamp beyond 64 bits of nanoseconds"),
            pytest.param(msgpack.Timestamp(-5, 5), id="timestamp before 1970"),
            pytest.param(msgpack.ExtType(5, b"x"), id="extension"),
            pytest.param({7: 1, -7: 2, True: 3, "7": 4}, id="names that are numbers"),
            pytest.param(b"\xff", id="bytes"),
        ],
    )
    def test_an_element_of_msgpack_keeps_its_types_in_its_own_bytes(self, value: Any) -> None:
        one = route(array=("a",))
        converter = Converter(one, Encoder(one))

        ((record, raw),) = converter.decode(msgpack.packb({"x": 1, "a": [{"v": value}]}))

        ((again, _),) = converter.decode(raw)
        assert (again, type(again["v"])) == (record, type(record["v"]))
        assert list(map(type, again["v"])) == list(map(type, record["v"])) if type(value) is dict else True

    @pytest.mark.parametrize("levels", range(960, 1000))
    def test_nesting_that_can_be_read_and_not_written_is_a_dead_letter(self, levels: int) -> None:
        """Not the element alone, whose own bytes cannot be written."""
        deep = b"[" * levels + b"]" * levels
        made = batch(route(array=("a",)), FakeMessage(b'{"a":[{"x":1},{"y":' + deep + b"}]}"))

        assert [str(dead.reason) for dead in made.dead_letters] == ["too_deep"]
        is_element = made.dead_letters[0].origin.element == 1
        assert len(made.lines) == is_element

    @pytest.mark.parametrize("pack", [json.dumps, msgpack.packb])
    def test_lines_that_repeat_long_names_take_no_more_than_a_batch(self, pack: Any) -> None:
        """A field's name begins with the names around it, so two kilobytes become 70."""
        record = {"n" * 250: {f"{place:x}": 1 for place in range(200)}, "a": [{"v": 1}] * 1_000}
        packed = pack(record)
        value = packed.encode() if isinstance(packed, str) else packed
        made = batch(route(array=("a",)), FakeMessage(value))

        assert MOST_BYTES < made.size < MOST_BYTES + 100_000
        assert {str(dead.reason) for dead in made.dead_letters} == {"too_large"}
        assert len(made.lines) + len(made.dead_letters) == 1_000
        assert max(len(dead.origin.value or b"") for dead in made.dead_letters) < 3_000

    def test_a_larger_limit_of_records_has_room_for_the_elements_of_such_records(self) -> None:
        large = route(array=("a",), limits=replace(PLAIN.limits, max_record_bytes=10 * MOST_BYTES))
        record = {"a": [{"v": "v" * 60_000}] * (MOST_BYTES // 60_000 * MOST_TIMES)}

        assert reasons(large, record) == []
        assert reasons(large, {"a": record["a"], "around": ["a" * 60_000] * 200}) == ["too_large"]

    def test_elements_of_one_message_never_share_a_point(self) -> None:
        record = {"host": "a", "d": {"s": [{"v": 1}] * 1000}}

        assert len(set(batch(self.ROUTE, FakeMessage(json.dumps(record).encode())).lines)) == 1000

    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            ({"host": "a", "v": 1}, ["not_a_record"]),
            ({"d": {"s": {"v": 1}}}, ["not_a_record"]),
            ({"d": {"s": []}}, ["empty"]),
            ({"d": {"s": [7, {"v": 1}, None]}}, ["not_a_record", "not_a_record"]),
            ({"d": {"s": [{"v": 1}] * 1025}}, ["too_many_records"]),
            ({"note": "n" * 60_000, "d": {"s": [{"v": 1}] * (MOST_BYTES // 60_000 + 1)}}, ["too_large"]),
        ],
    )
    def test_what_is_no_element_is_a_dead_letter(self, record: Any, expected: list[str]) -> None:
        assert reasons(self.ROUTE, record) == expected


class TestTopics:
    def test_each_message_takes_the_route_of_its_topic(self) -> None:
        both = [route(topics=("a", "^b"), measurement="{topic}"), route(topics=("c",), measurement="other")]
        messages = [
            FakeMessage(b'{"x":1}', 0, place, name) for place, name in enumerate(["c", "a", "b2", "c", "a"])
        ]

        made = batch(both, *messages)

        names = {
            line.partition(b" ")[0]: origin_of(source).message.topic()
            for line, source in zip(made.lines, made.origins, strict=True)
        }
        assert names == {b"other": "c", b"a": "a", b"b2": "b2"}
        assert {str(partition): offset for partition, offset in made.next_offsets.items()} == {
            "a[0]": 5, "b2[0]": 3, "c[0]": 4,
        }  # fmt: skip
        assert sum(made.records.values()) == 5

    def test_a_topic_without_a_route_is_a_wrong_setting(self) -> None:
        with pytest.raises(SettingsError, match="has no route for topic x"):
            batch([route(topics=("a",)), route(topics=("b",))], FakeMessage(name="x"))

    def test_the_converters_of_many_topics_do_not_fill_the_memory(self) -> None:
        router = Router([route(topics=("^t",))])
        made = Batch()
        for place in range(3 * KEPT):
            router.convert([cast("Message", FakeMessage(b'{"x":null,"y":1}', name=f"t{place}"))], made)

        assert len(router._converters) == KEPT
        assert router.counts["values_omitted"] == 3 * KEPT
        assert router.counts["records_by_kernel"] + router.counts["records_by_python"] == 3 * KEPT

    def test_the_counts_have_their_names_from_the_start(self) -> None:
        counts = Router([route(topics=("^t",))]).counts

        assert counts["values_omitted"] == counts["records_by_kernel"] == 0


def of_two_topics(count: int) -> Iterator[FakeMessage]:
    """Records of two topics with equal values, times, partitions and offsets."""
    for place in range(count // 2):
        for topic in ("a", "b"):
            yield FakeMessage(b'{"v":1,"time":1700000000}', place % 4, place // 4, topic)


@pytest.mark.sized
@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_kernel)])
@pytest.mark.parametrize(
    "routes",
    [
        pytest.param([route(topics=("a", "b"))], id="one route"),
        pytest.param([route(topics=("^.",))], id="a pattern"),
        pytest.param([route(name="1", topics=("a",)), route(name="2", topics=("b",))], id="two routes"),
    ],
)
def test_no_two_records_of_two_topics_meet(routes: list[Route], native: bool) -> None:
    count = examples(200_000 if native else 20_000)
    made = batch(topic_tags.added(routes), *of_two_topics(count), native=native)

    points = {(line.partition(b" ")[0], line.rpartition(b" ")[2]) for line in made.lines}

    assert len(points) == len(made.lines) == count


def test_without_the_topic_tag_they_would_meet() -> None:
    made = batch([route(topics=("a", "b"))], *of_two_topics(1000))

    assert len(set(made.lines)) == 500


def test_both_are_read_back_as_points_of_their_topic() -> None:
    made = batch(topic_tags.added([route(topics=("a", "b"))]), *of_two_topics(2))

    assert [line_protocol.parse(line.decode()).tags for line in made.lines] == [
        {"topic": "a"},
        {"topic": "b"},
    ]
