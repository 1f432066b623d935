"""The figures of acknowledged writes, and the classes of the others."""

from collections.abc import Callable

import pytest

from tests.support import fakes, server
from tests.support.server import Answer
from workers.errors import Misconfigured, TooLarge, Unavailable, WriteError
from workers.influxdb.retry_class import RETRY_CLASSES, retry_class
from workers.influxdb.write_figures import WriteFigures
from workers.influxdb.writer import Writer

LINES = [b"labs a=1 1700000000000000000", b"labs a=2 1700000001500000000"]


def ticking(*readings: float) -> Callable[[], float]:
    """A clock that shows these times in turn."""
    left = list(readings)
    return lambda: left.pop(0)


def test_before_the_first_write_there_is_no_last_point() -> None:
    content = WriteFigures().content()

    assert content["last_point"] is None
    assert sum(content["write_seconds"]["counts"]) == 0


def test_an_acknowledged_write_is_counted_with_its_time_and_its_lines() -> None:
    with server.serving() as influxdb:
        writer = Writer(fakes.settings(influxdb_url=influxdb.url), clock=ticking(10.0, 10.02))
        writer.write(LINES, 5.0)
        writer.close()

    content = writer.figures.content()
    assert content["last_point"] == 1_700_000_001.5
    assert content["write_lines"]["sum"] == 2
    assert content["write_seconds"]["sum"] == pytest.approx(0.02)
    assert (
        dict(zip(content["write_seconds"]["bounds"], content["write_seconds"]["counts"], strict=False))[
            0.025
        ]
        == 1
    )


def test_a_204_without_influxdbs_headers_is_counted_and_the_first_one_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server.serving() as influxdb:
        writer = Writer(fakes.settings(influxdb_url=influxdb.url))
        influxdb.answer(Answer(204, headers=server.MARKS))
        writer.write(LINES, 5.0)
        assert writer.figures.content()["unmarked"] == 0
        assert not caplog.records

        influxdb.answer(Answer(204), Answer(204))
        writer.write(LINES, 5.0)
        writer.write(LINES, 5.0)
        writer.close()

    assert writer.figures.content()["unmarked"] == 2
    (line,) = (record.getMessage() for record in caplog.records)
    assert "without InfluxDB's headers" in line
    assert "TOWER_INFLUXDB_URL" in line


def test_a_write_that_failed_is_not_counted() -> None:
    with server.serving() as influxdb:
        influxdb.answer(Answer(503))
        writer = Writer(fakes.settings(influxdb_url=influxdb.url))
        with pytest.raises(Unavailable):
            writer.write(LINES, 5.0)
        writer.close()

    assert writer.figures.content()["last_point"] is None


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (Unavailable(0, "refused"), "no_answer"),
        (TooLarge(0, "did not answer within 30 s"), "timeout"),
        (TooLarge(413, ""), "too_large"),
        (Unavailable(429, ""), "busy"),
        (Unavailable(408, ""), "busy"),
        (Unavailable(503, ""), "server_error"),
        (Unavailable(599, ""), "server_error"),
        (Unavailable(418, ""), "other"),
        (Misconfigured(401, ""), "credentials"),
        (Misconfigured(404, ""), "not_found"),
    ],
)
def test_each_failed_write_has_a_class_of_the_closed_list(error: WriteError, name: str) -> None:
    assert retry_class(error) == name
    assert name in RETRY_CLASSES
