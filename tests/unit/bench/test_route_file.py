"""A user's route for the bench: it reads the run's own topic, and its points can be looked up."""

import tomllib
from pathlib import Path

import pytest

from bench.harness.route_file import BenchRoute
from lab.errors import LabError
from tests.support import fakes
from workers.config import routes_file

ROUTE = """
[[route]]
name = "machines"
topics = ["one", "^two"]
measurement = "machines"
bucket = "elsewhere"
tag_fields = ["deviceId"]
"""


def saved(folder: Path, text: str) -> Path:
    file = folder / "routes.toml"
    file.write_text(text)
    return file


def test_a_route_reads_the_topic_of_the_run_and_writes_to_its_bucket(tmp_path: Path) -> None:
    route = BenchRoute.read(saved(tmp_path, ROUTE))

    (table,) = tomllib.loads(route.write(tmp_path, "bench-1").read_text())["route"]

    assert table == {
        "name": "machines",
        "topics": ["bench-1"],
        "measurement": "machines",
        "tag_fields": ["deviceId"],
    }
    assert route.measurement == "machines"


def test_tower_reads_what_was_written(tmp_path: Path) -> None:
    file = BenchRoute.read(saved(tmp_path, ROUTE)).write(tmp_path, "bench-1")

    (route,) = routes_file.read(str(file), fakes.settings().limits, "bucket")

    assert (route.topics, route.bucket) == (("bench-1",), "bucket")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("x =", "cannot be read", id="no TOML"),
        pytest.param(ROUTE + ROUTE, "one \\[\\[route\\]\\]", id="two routes"),
        pytest.param(ROUTE.replace('"machines"\nb', '"{topic}"\nb'), "fixed measurement", id="by topic"),
        pytest.param(ROUTE + 'measurement_field = "name"\n', "fixed measurement", id="by field"),
        pytest.param(ROUTE + 'drop = ["seq"]\n', "keep the field seq", id="no seq"),
        pytest.param(ROUTE + 'keep = ["memory"]\n', "keep the field seq", id="seq not kept"),
    ],
)
def test_a_route_that_cannot_be_measured_says_why(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(LabError, match=why):
        BenchRoute.read(saved(tmp_path, text))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        BenchRoute.read(tmp_path / "none.toml")
