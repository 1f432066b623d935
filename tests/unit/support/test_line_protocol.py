"""The tests' own reader of line protocol refuses what InfluxDB refuses, and reads what it reads."""

import pytest

from tests.support.line_protocol import Point, parse, split_lines


@pytest.mark.parametrize(
    ("line", "point"),
    [
        ("m a=1 5", Point("m", {}, {"a": 1.0}, 5)),
        ("m,t=x a=1,b=true 5", Point("m", {"t": "x"}, {"a": 1.0, "b": True}, 5)),
        ('m a="x,y z=1" 5', Point("m", {}, {"a": "x,y z=1"}, 5)),
        ('m a="x\ny" 5', Point("m", {}, {"a": "x\ny"}, 5)),
        ('m a="\\"\\\\" 5', Point("m", {}, {"a": '"\\'}, 5)),
        ("m\\,x,t\\ u=a\\=b a\\ b=1 5", Point("m,x", {"t u": "a=b"}, {"a b": 1.0}, 5)),
        ('m a\\="b=1,c="x,y" 5', Point("m", {}, {'a="b': 1.0, "c": "x,y"}, 5)),
    ],
)
def test_a_line_is_read(line: str, point: Point) -> None:
    assert parse(line) == point


@pytest.mark.parametrize(
    "line",
    [
        *("", "m", "m 5", "#m a=1 5", "m a= 5", "m =1 5", "m a=nan 5", "m a=1", "m a=1e 5"),
        *("m,t= a=1 5", "m,t a=1 5", "m,t=x,t=y a=1 5", "m,t=x\ny a=1 5", 'm a="x 5', 'm a="x"y 5'),
    ],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse(line)


def test_a_body_is_cut_at_line_breaks_outside_strings() -> None:
    assert split_lines('m a="x\ny" 5\nm,t=" a=1 6\nm b=2 7') == ['m a="x\ny" 5', 'm,t=" a=1 6', "m b=2 7"]
