"""The kernel takes common lines of line protocol, and makes of every line what the Python path makes."""

from typing import cast

import pytest
from confluent_kafka import Message as KafkaMessage
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.support import fakes
from tests.support.examples import examples
from tests.support.kernel import needs_kernel
from tests.support.variants import Path
from tests.unit.records.test_line_protocol import LINES, NS, PIECES
from workers.types import MOST_LINES, Message

#: Without the kernel, both paths are the same one.
pytestmark = needs_kernel

#: Settings under which both paths are compared.
OPTIONS: list[dict[str, object]] = [
    {"format": "line"},
    {"format": "auto"},
    {"format": "line", "line_tags": "site=gist"},
    {"format": "auto", "line_tags": "b=1,host=Labs,zone=a b,value_of=x", "max_series": 40},
    {"format": "line", "line_tags": 'a=x,a b=y,z"=z'},
    {"format": "auto", "max_fields": 2, "max_key_bytes": 6, "max_tag_bytes": 3, "max_text_bytes": 4},
    {"format": "json"},
]

#: Names, values and times that make a line valid more often than random bytes do.
NAME = st.sampled_from(
    ["a", "b", "cpu", "host", "time", "_field", "value_of", "longer_than_16_bytes", "é", "x y"]
)
ODD = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
NUMBER = st.one_of(
    st.integers(-(2**64), 2**65).map(str),
    st.integers(-(2**64), 2**65).map("{}i".format),
    st.integers(-5, 2**65).map("{}u".format),
    st.floats().map(repr),
    st.sampled_from(
        ["1.", ".5", "-", "1e5", "1E-7", "1e999", "1e99", "00", "-0i", "1.5i", "9" * 120, "1" * 101 + ".5"]
    ),
)
VALUE = st.one_of(
    NUMBER,
    st.sampled_from(
        ["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE", "tRUE", "no", "truex", ""]
    ),
    st.text('ab"\\,= \n\0é', max_size=8).map('"{}"'.format),
)
TIME = st.one_of(
    st.just(""),
    st.integers(NS - 10**15, NS + 10**15).map(" {}".format),
    st.integers(NS - 10**9, NS + 10**9).map(" {}".format),
    st.sampled_from([" 0", " -1", " 01", " 9223372036854775806", " 9223372036854775807", " 1 ", "  5"]),
)
END = st.sampled_from(["", "\n", "\r\n", " ", "\n\n", "\n#", f"\nb c=1 {NS}", "\nb c=1 5"])


def pairs(
    name: st.SearchStrategy[str], value: st.SearchStrategy[str], least: int
) -> st.SearchStrategy[str]:
    pair = st.tuples(name, value).map("=".join)
    return st.lists(pair, min_size=least, max_size=4).map(",".join)


def joined(parts: tuple[str, str, str, str, str]) -> bytes:
    measurement, tags, fields, time, end = parts
    return f"{measurement}{',' if tags else ''}{tags} {fields}{time}{end}".encode()


STRUCTURED = st.tuples(
    NAME | ODD, pairs(NAME | ODD, NAME | ODD, 0), pairs(NAME | ODD, VALUE, 1), TIME, END
).map(joined)


#: Valid lines, nearly all of which the kernel takes.
WORD = st.text("abcde_é.:/0", min_size=1, max_size=9).filter(lambda word: word != "#")
VALID = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map("{}i".format),
    st.integers(0, 10**19 - 1).map("{}u".format),
    st.floats(-1e9, 1e9).map("{:f}".format),
    st.integers(-(10**9), 10**9).map(str),
    st.sampled_from(["true", "f", "TRUE"]),
    st.text("abc,= é\n", max_size=8).map('"{}"'.format),
)
PLAIN = st.tuples(
    WORD,
    st.dictionaries(WORD, WORD, max_size=3).map(lambda tags: ",".join(map("=".join, sorted(tags.items())))),
    st.dictionaries(WORD, VALID, min_size=1, max_size=4).map(
        lambda fields: ",".join(map("=".join, fields.items()))
    ),
    st.integers(NS - 10**9, NS + 10**9).map(" {}".format),
    st.sampled_from(["", "\n"]),
).map(joined)
#: The same with one place changed.
CHANGED = st.tuples(PLAIN, st.floats(0, 1), st.sampled_from([0, 1]), st.sampled_from(PIECES)).map(
    lambda change: (
        change[0][: int(change[1] * len(change[0]))]
        + change[3]
        + change[0][int(change[1] * len(change[0])) + change[2] :]
    )
)


def message(value: bytes, place: int = 0) -> Message:
    stamp = (1, fakes.KAFKA_MS)
    made = KafkaMessage(topic="resource", partition=0, offset=place, value=value, timestamp=stamp)
    return cast("Message", made)


#: Several lines in one message, as Telegraf's batches are; nearly all are plain.
BATCH = st.lists(PLAIN | PLAIN | PLAIN | CHANGED | LINES, min_size=2, max_size=5).map(
    lambda lines: b"\n".join(line.removesuffix(b"\n") for line in lines)
)


@pytest.fixture(scope="module", params=OPTIONS, ids=str)
def both(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    route = fakes.route(**request.param)
    return Path(route, native=True), Path(route, native=False)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("cpu usage_idle=99.5", id="float"),
        pytest.param("cpu,cpu=cpu0,host=pi-5 usage_idle=99.52,usage_user=0,procs=3i", id="tags and types"),
        pytest.param("cpu a=1,b=-1.5,c=1.,e=1e5,f=1E-5,g=1e+5", id="forms of a float"),
        pytest.param("disk,path=/ free=9223372036854775807i,used=1u,ok=true,no=F", id="large numbers"),
        pytest.param('system uptime_format="12 days, \\"x\\" \n 3:04"', id="string"),
        pytest.param('온도,방=부엌 값=21.5,메모="덥다"', id="Korean"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("format_", ["auto", "line"])
def test_the_kernel_takes_common_lines(line: str, end: str, format_: str) -> None:
    path = Path(fakes.route(format=format_), native=True)
    sent = f"{line} {NS}"

    outcome = path.outcome([message(f"{sent}{end}".encode())])

    assert outcome["lines"] == [sent.encode()]
    assert path.converter.by_kernel == 1


@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(PLAIN | CHANGED | STRUCTURED | LINES | BATCH, min_size=1, max_size=6))
@example(values=[b"\xef\xbb\xbfa v=1 %d" % NS, b"a v=1 %d\n" % NS, b"a,b=c v=1 01"])
def test_both_paths_make_the_same_of_lines(both: tuple[Path, Path], values: list[bytes]) -> None:
    messages = [message(value, place) for place, value in enumerate(values)]

    native, python = both

    assert native.outcome(messages) == python.outcome(messages)


@settings(max_examples=examples(100))
@given(PLAIN)
def test_the_kernel_takes_nearly_all_plain_lines(value: bytes) -> None:
    """Comparing both paths would compare Python with itself otherwise."""
    path = Path(fakes.route(format="line"), native=True)

    outcome = path.outcome([message(value)])

    assume(path.converter.by_kernel or not value[:1].isascii())
    assert outcome["lines"] == [value.removesuffix(b"\n")]


def test_what_the_kernel_knows_of_a_series_does_not_let_another_line_pass() -> None:
    """It keeps the names of a valid line's fields, and checks a line of the same series by these."""
    native = Path(fakes.route(format="line"), native=True)
    python = Path(fakes.route(format="line"), native=False)
    fields = [
        "a=1,b=2", "a=1,b=2", "a=1", "a=1,b=2,c=3", "a=1,b=2,c=3,b=4", "a=1,b=2,c=3,d=4", "b=2,a=1",
        "a=1,a=2", "a=1,b=x", "a=1,b=2,", "a=1 b=2", "time=1,a=2", "a=1,b=2,time=3", 'a="b=2,c=3",b=2',
        'a="', "a", "a=",
    ]  # fmt: skip
    lines = [f"m,t={tag} {text} {NS}" for text in fields * 2 for tag in ("1", "2", "\u00e9")]
    lines += [f"m{number} v=1,w{number}=2 {NS}" for number in range(300)] * 2
    messages = [message(line.encode(), place) for place, line in enumerate(lines)]
    messages += [message(line.encode()[:-25]) for line in lines]

    assert native.outcome(messages) == python.outcome(messages)
    assert native.converter.by_kernel > 600


LINE_TAGS = [
    pytest.param("", "m", "m", id="none"),
    pytest.param("b=1", "m", "m,b=1", id="a line without tags"),
    pytest.param("b=1", "m,a=0,c=2", "m,a=0,b=1,c=2", id="between its tags"),
    pytest.param("z=1,b=1", "m,c=2", "m,b=1,c=2,z=1", id="around them"),
    pytest.param("b=1,bb=2", "m,b=0", "m,b=0,bb=2", id="the line's own wins"),
    pytest.param("b=1", "m,ba=0", "m,b=1,ba=0", id="a name that begins the same"),
]


@pytest.mark.parametrize(("tags", "series", "expected"), LINE_TAGS)
@pytest.mark.parametrize("count", [1, 3])
def test_the_kernel_takes_several_lines_and_adds_constant_tags(
    tags: str, series: str, expected: str, count: int
) -> None:
    path = Path(fakes.route(format="auto", line_tags=tags), native=True)
    python = Path(fakes.route(format="auto", line_tags=tags), native=False)
    value = "".join(f"{series} v={place}i {NS + place}\n" for place in range(count)).encode()
    messages = [message(value, place) for place in range(2)]

    outcome = path.outcome(messages)

    assert (
        outcome["lines"] == [f"{expected} v={place}i {NS + place}".encode() for place in range(count)] * 2
    )
    assert outcome == python.outcome(messages)
    assert (path.converter.by_kernel, path.converter.by_python) == (2 * count, 0)


@pytest.mark.parametrize("bad", ["m v=", "m,x v=1 1", "", "# m", "m v=1 5", f"a\\ b v=1 {NS}"])
def test_one_bad_line_costs_one_line_and_the_kernel_takes_the_next_message(bad: str) -> None:
    native = Path(fakes.route(format="line"), native=True)
    python = Path(fakes.route(format="line"), native=False)
    good = [f"m,t={place} v={place} {NS + place}" for place in range(3)]
    value = "\n".join([*good[:2], bad, good[2]]).encode()
    messages = [message(value), message("\n".join(good).encode(), 1)]

    outcome = native.outcome(messages)

    assert outcome == python.outcome(messages)
    assert set(map(str.encode, good)) <= set(outcome["lines"])
    assert native.converter.by_kernel == 3


@pytest.mark.parametrize("count", [MOST_LINES, MOST_LINES + 1])
def test_a_message_with_too_many_lines_is_one_dead_letter_and_counts_no_series(count: int) -> None:
    native = Path(fakes.route(format="line"), native=True)
    value = "\n".join(f"m,t={place} v=1 {NS}" for place in range(count)).encode()

    outcome = native.outcome([message(value)])

    is_taken = count == MOST_LINES
    assert len(outcome["lines"]) == native.converter.by_kernel == (MOST_LINES if is_taken else 0)
    assert native.converter._encoder.cardinality.counts["series"] == (MOST_LINES if is_taken else 0)
