"""A line of line protocol is sent as it came, or it is a dead letter; its neighbours do not matter."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import fakes, line_protocol
from tests.support.examples import examples
from tests.support.fakes import FakeMessage
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.encoder import Encoder
from workers.types import Reason, origin_of

#: A time at Kafka's own, to the nanosecond.
NS = fakes.KAFKA_MS * 10**6 + 456_789

#: What a name, a value or a separator can begin or end with, each more often than in random bytes.
PIECES = [
    b",", b"=", b" ", b"  ", b"\\", b"\\\\", b'"', b"\n", b"\r\n", b"\t", b"#", b"a", b"b", b"v=1", b"i",
    b"u", b"t=x", b" 1", b"1.5e3", b"-", b".", b"\xc3\xa9", b"\xff", b"\0", b"true", b'="x"',
    b"cpu,host=a v=1i 5\n",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=2), max_size=14).map(b"".join)


#: Valid lines without their time.
VALID = [
    pytest.param(b"cpu usage_idle=99.5", id="float"),
    pytest.param(b"cpu a=1,b=-1,c=1.,d=.5,e=1e5,f=1E-5,g=1e+5,h=007", id="every form of a float"),
    pytest.param(b"cpu procs=3i,most=9223372036854775807i,least=-9223372036854775808i", id="integer"),
    pytest.param(b"cpu bytes=18446744073709551615u", id="unsigned"),
    pytest.param(b"cpu a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE", id="boolean"),
    pytest.param(b'cpu note="a, b=c \\"d\\" \\\\ # \\n"', id="string"),
    pytest.param(b'cpu note="two\nlines",v=1', id="line break in a string"),
    pytest.param(b'cpu note=""', id="empty string"),
    pytest.param(b"cpu,a=x,host=pi\\ 5,region=g\\,i\\=st v=1", id="escapes in tags"),
    pytest.param(b"win\\ cpu\\,x v\\ w\\,x\\=y=1", id="escapes in names"),
    pytest.param(b"cpu,path=\\\\server\\share,q=C:\\Windows v=1", id="backslashes that escape nothing"),
    pytest.param(b"cpu,a=two\\\\ words v=1", id="backslash before an escaped space"),
    pytest.param('온도,방=부엌 값=21.5,메모="덥다"'.encode(), id="Korean"),
    pytest.param(b'cpu,a="q" "v=1', id="quotes in names mean nothing"),
    pytest.param(b"cpu=a v=1", id="equals sign in the measurement"),
    pytest.param(b"cpu,host=a host=1", id="a field named like a tag"),
]  # fmt: skip
VALID_LINES: list[bytes] = [case.values[0] for case in VALID]  # type: ignore[misc]


def convert(value: bytes, milliseconds: int | None = fakes.KAFKA_MS, **options: object) -> Batch:
    options = {"format": "line", **options}
    chosen = fakes.route(**options)
    batch = Batch()
    Converter(chosen, Encoder(chosen)).convert([FakeMessage(value, milliseconds=milliseconds)], batch)
    return batch


def reasons(batch: Batch) -> list[str]:
    return [dead.reason for dead in batch.dead_letters]


@pytest.mark.parametrize("line", VALID)
def test_a_valid_line_is_sent_as_it_came(line: bytes) -> None:
    sent = b"%b %d" % (line, NS)

    assert convert(sent).lines == [sent]


def test_tags_are_sent_in_the_order_in_which_influxdb_stores_them() -> None:
    assert convert(b"m,b=2,a=1,c=3 v=1 %d" % NS).lines == [b"m,a=1,b=2,c=3 v=1 %d" % NS]


def test_spaces_between_the_parts_and_the_ends_of_lines_are_not_sent() -> None:
    assert convert(b"  m   v=1   %d  \r\n" % NS).lines == [b"m v=1 %d" % NS]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"cpu", id="measurement alone"),
        pytest.param(b"cpu,host=a", id="no fields"),
        pytest.param(b",host=a v=1", id="no measurement"),
        pytest.param(b"cpu, v=1", id="comma without a tag"),
        pytest.param(b"cpu,host v=1", id="tag without a value"),
        pytest.param(b"cpu,host= v=1", id="empty tag"),
        pytest.param(b"cpu,=a v=1", id="tag without a name"),
        pytest.param(b"cpu,host=a=b v=1", id="equals sign in a tag"),
        pytest.param(b"cpu,host=a\\ v=1", id="backslash at the end of a tag"),
        pytest.param(b"cpu,host=a,host=b v=1", id="tag twice"),
        pytest.param(b"cpu,b=a,a=c,b=a v=1", id="tag twice, not in a row"),
        pytest.param(b"cpu,time=a v=1", id="tag that InfluxDB refuses"),
        pytest.param(b"cpu,_field=a v=1", id="tag that Flux reserves"),
        pytest.param(b"cpu v", id="field without a value"),
        pytest.param(b"cpu v=", id="field with an empty value"),
        pytest.param(b"cpu =1", id="field without a name"),
        pytest.param(b"cpu v=1,", id="comma without a field"),
        pytest.param(b"cpu v=1,v=2", id="field twice"),
        pytest.param(b"cpu v=1 w=2", id="space between fields"),
        pytest.param(b"cpu v=NaN", id="NaN"),
        pytest.param(b"cpu v=+Inf", id="infinity"),
        pytest.param(b"cpu v=1e999", id="more than a double"),
        pytest.param(b"cpu v=+1", id="plus sign"),
        pytest.param(b"cpu v=1.5i", id="fraction of an integer"),
        pytest.param(b"cpu v=9223372036854775808i", id="over 64 bits"),
        pytest.param(b"cpu v=" + b"9" * 5_000 + b"i", id="5,000 digits"),
        pytest.param(b"cpu v=-1u", id="negative unsigned"),
        pytest.param(b"cpu v=18446744073709551616u", id="over 64 bits, unsigned"),
        pytest.param(b"cpu v=yes", id="no boolean"),
        pytest.param(b"cpu v=tRUE", id="boolean in another case"),
        pytest.param(b"cpu v='a'", id="single quotes"),
        pytest.param(b'cpu v="a', id="string without an end"),
        pytest.param(b'cpu v="a\\"', id="string that ends in an escape"),
        pytest.param(b'cpu v="a"b', id="text after a string"),
        pytest.param(b"c\tpu v=1", id="control character in the measurement"),
        pytest.param(b"cpu,a=b\0 v=1", id="NUL in a tag"),
        pytest.param(b"cpu,a=\xff v=1", id="not UTF-8"),
        pytest.param(b'cpu,a=b\\\\ c,d=" v="x"', id="backslashes and quotes, read in two ways"),
        pytest.param(b'c\\"pu v=1', id="escape of some readers only"),
        pytest.param(b"cpu v\\\\=1", id="two backslashes at the end of a field's name"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("time", [b"", b" %d" % NS], ids=["without a time", "with a time"])
def test_a_line_that_influxd_refuses_or_reads_in_two_ways_is_a_dead_letter(
    line: bytes, time: bytes
) -> None:
    batch = convert(line + time)

    assert (batch.lines, reasons(batch)) == ([], [Reason.LINE])
    assert batch.dead_letters[0].origin.value == line + time


@pytest.mark.parametrize("time", [b"1.5", b"x", b"2023-11-14T22:13:20Z", b"1 2", b"9223372036854775807"])
def test_a_time_that_is_no_64_bit_number_of_nanoseconds_is_a_dead_letter(time: bytes) -> None:
    assert reasons(convert(b"cpu v=1 " + time)) == [Reason.LINE]


def test_one_bad_line_costs_one_line() -> None:
    good, bad = b"cpu,host=a v=1i %d" % NS, b"cpu,host v=1i %d" % NS
    value = b"# a comment\n\n" + good + b"\n \t\n" + bad + b"\r\n#x\nmem v=2 %d\n" % NS

    batch = convert(value)

    assert batch.lines == [good, b"mem v=2 %d" % NS]
    assert [(origin_of(origin).element, origin_of(origin).value) for origin in batch.origins] == [
        (0, good),
        (2, b"mem v=2 %d" % NS),
    ]
    (dead,) = batch.dead_letters
    assert (dead.origin.element, dead.origin.value, dead.detail) == (1, bad, "a tag is not valid")
    assert batch.records.total() == 3


def test_a_line_in_a_string_of_a_bad_line_is_no_line() -> None:
    value = b'cpu,host v="x\nroot,admin=1 v=1 %d\n",w=1 %d\nmem v=2 %d' % (NS, NS, NS)

    batch = convert(value)

    assert batch.lines == [b"mem v=2 %d" % NS]
    assert reasons(batch) == [Reason.LINE]


def test_a_string_without_an_end_costs_one_line() -> None:
    batch = convert(b'cpu v="x %d\nmem v=2 %d' % (NS, NS))

    assert batch.lines == [b"mem v=2 %d" % NS]
    assert reasons(batch) == [Reason.LINE]


@pytest.mark.parametrize("value", [b"\n", b"# only\n  # comments", b" \t"])
def test_a_message_without_lines_is_empty(value: bytes) -> None:
    assert reasons(convert(value)) == [Reason.EMPTY]


class TestTimes:
    def test_nanoseconds_are_kept(self) -> None:
        assert convert(b"cpu v=1 %d" % (NS + 1)).lines == [b"cpu v=1 %d" % (NS + 1)]

    def test_a_line_without_a_time_gets_kafkas_and_a_nanosecond_of_its_own(self) -> None:
        batch = convert(b"cpu v=1\ncpu v=2\ncpu v=3")
        times = [line_protocol.parse(line.decode()).time for line in batch.lines]

        assert len(set(times)) == 3
        assert {time // 10**6 for time in times} == {fakes.KAFKA_MS}

    def test_a_line_without_a_time_in_a_message_without_one_is_a_dead_letter(self) -> None:
        assert reasons(convert(b"cpu v=1", milliseconds=None)) == [Reason.NO_TIME]

    def test_a_time_far_from_kafkas_is_not_believed(self) -> None:
        (line,) = convert(b"cpu v=1 1700000").lines

        assert line_protocol.parse(line.decode()).time // 10**6 == fakes.KAFKA_MS

    def test_a_plausible_time_is_believed_if_kafka_has_none(self) -> None:
        assert convert(b"cpu v=1 946684800000000005", milliseconds=None).lines == [
            b"cpu v=1 946684800000000005"
        ]
        assert reasons(convert(b"cpu v=1 -5", milliseconds=None)) == [Reason.NO_TIME]

    def test_with_identity_kafka_two_lines_of_one_nanosecond_are_two_points(self) -> None:
        batch = convert(b"cpu v=1 %d\ncpu v=1 %d" % (NS, NS), identity="kafka")
        times = {line_protocol.parse(line.decode()).time for line in batch.lines}

        assert len(times) == 2
        assert {time // 10**6 for time in times} == {NS // 10**6}


class TestTags:
    def test_the_tags_of_other_formats_are_not_added(self) -> None:
        assert convert(b"cpu v=1 %d" % NS, tags="host=Labs").lines == [b"cpu v=1 %d" % NS]

    def test_tags_of_the_setting_are_added(self) -> None:
        lines = convert(b"cpu,host=a v=1 %d" % NS, line_tags="site=g w,a=b").lines

        assert lines == [b"cpu,a=b,host=a,site=g\\ w v=1 %d" % NS]

    def test_a_lines_own_tag_wins(self) -> None:
        assert convert(b"cpu,host=a v=1 %d" % NS, line_tags="host=b").lines == [b"cpu,host=a v=1 %d" % NS]


@pytest.mark.parametrize(
    ("line", "options", "reason"),
    [
        pytest.param(b"a v=1,w=2,x=3", {"max_fields": 2}, Reason.TOO_MANY_FIELDS, id="fields"),
        pytest.param(b"a,b=1,c=2,d=3 v=1", {"max_fields": 2}, Reason.TOO_MANY_FIELDS, id="tags"),
        pytest.param(b"a,bcdef=1 v=1", {"max_key_bytes": 4}, Reason.KEY_TOO_LONG, id="name of a tag"),
        pytest.param(b"a bcdef=1", {"max_key_bytes": 4}, Reason.KEY_TOO_LONG, id="name of a field"),
        pytest.param(b"abcde v=1", {"max_key_bytes": 4}, Reason.KEY_TOO_LONG, id="measurement"),
        pytest.param(b"a,b=12345 v=1", {"max_tag_bytes": 4}, Reason.TAG_TOO_LONG, id="value of a tag"),
        pytest.param(b'a v="12345"', {"max_text_bytes": 4}, Reason.TEXT_TOO_LONG, id="text"),
        pytest.param(
            b"a," + b",".join(b"t%d=%b" % (tag, b"x" * 60_000) for tag in range(2)) + b" v=1",
            {"max_tag_bytes": 60_000},
            Reason.KEY_TOO_LONG,
            id="what InfluxDB has room for",
        ),
    ],
)
def test_limits_have_their_reasons(line: bytes, options: dict[str, object], reason: Reason) -> None:
    assert reasons(convert(line, fakes.KAFKA_MS, **options)) == [reason]


def test_a_text_as_long_as_allowed_is_stored() -> None:
    assert len(convert(b'a v="1234",w=12345678', max_text_bytes=4).lines) == 1


def test_a_field_that_influxdb_ignores_is_left_out() -> None:
    assert convert(b"a time=5,v=1 %d" % NS).lines == [b"a v=1 %d" % NS]
    assert reasons(convert(b"a time=5 %d" % NS)) == [Reason.NO_FIELDS]


def test_a_line_without_a_time_needs_room_for_its_place() -> None:
    batch = convert(b"a v=1\n" * 1_030)

    assert len(batch.lines) == 1_024
    assert reasons(batch) == [Reason.TOO_MANY_RECORDS] * 6


def test_too_many_lines_are_one_dead_letter() -> None:
    batch = convert(b"a v=1 %d\n" % NS * 10_001)

    assert (batch.lines, reasons(batch)) == ([], [Reason.TOO_MANY_RECORDS])


class TestAuto:
    """Line protocol is told apart from the lab's text and from everything that is no record."""

    @pytest.mark.parametrize(
        "value",
        [
            b"cpu,host=a usage_idle=99.5,procs=3i %d\n" % NS,
            b"cpu,host=a usage_idle=99.5",
            b"cpu usage_idle=99.5 %d" % NS,
            b"# comment\ncpu usage_idle=99.5 %d" % NS,
            b"cpu,bad x=1\ncpu usage_idle=99.5 %d" % NS,
            b"disk:/,host=a used=1i %d" % NS,
        ],
    )
    def test_a_tag_or_a_time_makes_it_one(self, value: bytes) -> None:
        assert len(convert(value, format="auto").lines) == 1

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (b"Connected port=8080", Reason.LINE),
            (b"level=info code=200", Reason.TEXT),
            (b'level=info msg="x y" 1700000000000000000', Reason.TEXT),
            (b"cpu,host=a usage_idle=NaN %d" % NS, Reason.LINE),
            (b"2019-11-20 12:11:09.736  INFO 1 --- [n-1] c.s.Runner : started", Reason.TEXT),
            (b"<34>Oct 11 22:14:15 h su: 'su root' failed", Reason.TEXT),
            (b'10.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /?a=1 HTTP/1.0" 200 23', Reason.TEXT),
        ],
    )
    def test_a_log_is_none(self, value: bytes, reason: Reason) -> None:
        batch = convert(value, format="auto")

        assert (batch.lines, reasons(batch)) == ([], [reason])

    @pytest.mark.parametrize(("before", "lines"), [(1_023, 1), (1_024, 0)])
    def test_only_the_first_lines_are_looked_at(self, before: int, lines: int) -> None:
        assert len(convert(b"x\n" * before + b"cpu v=1 %d" % NS, format="auto").lines) == lines

    def test_the_lab_s_text_is_none(self) -> None:
        (line,) = convert(b"memory:1,tx:2", format="auto").lines

        assert line.startswith(b"labs,")


@settings(max_examples=examples(1_000))
@given(LINES)
@example(b'a,b=c\\\\ d,e=" v="1" 5\n')
@example(b"a v=1 5\\\nb v=1 5")
def test_what_is_sent_is_read_back_line_by_line(value: bytes) -> None:
    """A reader written from the format's rules finds as many lines, and in each all of its parts."""
    batch = convert(value, milliseconds=None)
    body = b"\n".join(batch.lines).decode()

    points = [line_protocol.parse(line) for line in line_protocol.split_lines(body)]

    assert len(points) == len(batch.lines)
    assert all(point.fields and point.measurement for point in points)
    assert batch.records.total() == len(batch.lines) + len(batch.dead_letters)
