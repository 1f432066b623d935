"""`tower map` shows what the documents say."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support import fakes
from workers.commands.main import tower
from workers.config.options import keys
from workers.config.route import Route
from workers.config.settings import load
from workers.exit_codes import FAILED, MISCONFIGURED, OK

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "routes.md").read_text()
EXAMPLES = dict(
    re.findall(r"\n### ([^\n]+)\n(.*?)(?=\n### |\Z)", DOCUMENT.partition("\n## Examples\n")[2], re.DOTALL)
)
#: A block of code: its language and its lines.
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROUTE = '[[route]]\nname = "one"\ntopics = ["a"]\ninteger_fields = ["n"]\ndrop = ["d"]\n'


def ran(folder: Path, routes: str, sample: str, *options: str) -> tuple[int, str]:
    """Exit code and output of `tower map`."""
    (folder / "routes.toml").write_text(routes)
    (folder / "sample.json").write_text(sample)
    environ = {"TOWER_ROUTES": str(folder / "routes.toml")}
    done = CliRunner().invoke(tower, ["map", "--test", str(folder / "sample.json"), *options], env=environ)
    return done.exit_code, done.output


def block(example: str, language: str) -> str:
    """The block of code of a language in an example."""
    (text,) = (body for name, body in FENCE.findall(example) if name == language)
    return str(text)


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_prints_for_each_example_what_the_document_says(name: str, tmp_path: Path) -> None:
    routes, sample, output = (block(EXAMPLES[name], language) for language in ("toml", "json", ""))
    topic = ("--topic", "telegraf") if '"^telegraf"' in routes else ()

    assert ran(tmp_path, routes, sample, *topic) == (OK, output)


def test_the_example_of_the_lab_is_the_route_of_the_variables(tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text(block(EXAMPLES["The lab"], "toml"))

    (route,) = load({"TOWER_INFLUXDB_TOKEN": "t", "TOWER_ROUTES": str(tmp_path / "routes.toml")}).routes

    assert {**vars(route), "name": ""} == vars(fakes.route())


def test_the_table_of_keys_is_the_codes() -> None:
    table = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.+) \|$", DOCUMENT, re.MULTILINE)
    default = {option.name: option.metadata["in_file"] for option in keys(Route)}

    assert table == [
        (
            option.name,
            f"`{default[option.name]}`" if default[option.name] else "",
            option.metadata["key_text"],
        )
        for option in keys(Route)
    ]


def test_without_a_file_it_shows_the_labs_route() -> None:
    done = CliRunner().invoke(tower, ["map", "--timestamp", str(fakes.KAFKA_MS)], input='{"free_ram":7}')

    assert done.exit_code == OK
    assert done.output.startswith("labs,host=Labs,region=GIST memory=7 1700000000123")


def test_it_names_what_is_left_out_and_why(tmp_path: Path) -> None:
    code, output = ran(tmp_path, ROUTE, '{"v":1,"n":"x","d":1,"time":1700000000}')

    assert code == OK
    assert "  left out, because the value does not fit: n\n  left out by the route: d\n" in output


def test_a_dead_letter_is_shown_with_its_reason_among_its_neighbours(tmp_path: Path) -> None:
    code, output = ran(tmp_path, ROUTE, '[{"v":1,"time":1700000000},7,{"n":"x","time":1700000000}]')

    assert code == FAILED
    assert output.startswith("a v=1 ")
    assert "\ndead letter not_a_record: int\ndead letter no_fields: " in output


def test_a_record_without_a_time_gets_the_time_of_now_and_is_told_so(tmp_path: Path) -> None:
    code, output = ran(tmp_path, ROUTE, '{"v":1}')

    assert code == OK
    assert "it gets Kafka's timestamp" in output


def test_for_programs_there_is_json(tmp_path: Path) -> None:
    code, output = ran(tmp_path, ROUTE, '{"v":1,"d":2,"time":1700000000}', "--json")

    records: list[dict[str, Any]] = json.loads(output)
    assert code == OK
    assert [record["dropped"] for record in records] == [["d"]]


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        pytest.param(
            ("--route", "two"), FAILED, "there is no route two; use --route with one of one", id="route"
        ),
        pytest.param(("--topic", "b"), FAILED, "route one does not read topic b", id="topic"),
        pytest.param(("--header", "x"), FAILED, "x is no header", id="header"),
    ],
)
def test_a_wrong_option_is_told_with_what_to_do(
    tmp_path: Path, options: tuple[str, ...], code: int, text: str
) -> None:
    done, output = ran(tmp_path, ROUTE, "{}", *options)

    assert done == code
    assert text in output


def test_of_several_routes_one_has_to_be_named(tmp_path: Path) -> None:
    both = ROUTE + ROUTE.replace("one", "two").replace('"a"', '"b"')

    assert ran(tmp_path, both, "{}") == (
        FAILED,
        "tower: there are several routes; use --route with one of one, two\n",
    )
    assert ran(tmp_path, both, '{"v":1,"time":1700000000}', "--route", "two")[1].startswith("b v=1 ")


def test_a_wrong_file_is_told_with_the_name_of_the_route(tmp_path: Path) -> None:
    code, output = ran(tmp_path, ROUTE + "forma = 'json'\n", "{}")

    assert code == MISCONFIGURED
    assert output == "tower: TOWER_ROUTES: route one: forma is not a key of a route; did you mean format?\n"


def test_key_and_headers_can_be_given(tmp_path: Path) -> None:
    keyed = ROUTE + "key_tag = 'k'\nheader_tags = { h = 'head' }\n"

    _, output = ran(tmp_path, keyed, '{"v":1,"time":1700000000}', "--key", "x", "--header", "h=y")

    assert output.startswith("a,head=y,k=x v=1 ")


#: What users of Telegraf's parsers and of the Connect sink asked for in public, told anew: keys of a route,
#: a record, and the lines without their times.
ASKED = [
    pytest.param(
        'array = "data"\nmeasurement_field = "tool"\ntag_fields = ["station", "curve"]\n'
        'keep = ["value"]\ntime_fields = ["at"]',
        [{"tool": "t7", "step": 5, "station": 16, "curve": "Torque", "data": [
            {"value": 0.5, "at": "2023-10-10T03:05:54.212Z"},
            {"value": 1, "at": "2023-10-10T03:05:54.545Z"},
        ]}],
        ["t7,curve=Torque,station=16 value=0.5", "t7,curve=Torque,station=16 value=1"],
        id="curves of a tool: telegraf 14079",
    ),
    pytest.param(
        'measurement_field = "name"\ntag_fields = ["uuid"]',
        {"time": "1506111298264000001", "uuid": "12", "name": "cpu_utilization", "value": 40},
        ["cpu_utilization,uuid=12 value=40"],
        id="measurement from the record: stream-reactor 287",
    ),
    pytest.param(
        'array = "tables"\ntag_fields = ["outputnumber"]\nmeasurement = "dc"',
        {"time": 1700000000, "volts": -54.1, "tables": [
            {"outputnumber": 0, "a": -2.7}, {"outputnumber": 1, "a": -1.3},
        ]},
        ["dc,outputnumber=0 volts=-54.1,a=-2.7", "dc,outputnumber=1 volts=-54.1,a=-1.3"],
        id="a table of outputs: telegraf 6437",
    ),
    pytest.param(
        'measurement = "events"\ntag_fields = ["version", "platform"]\nkeep = ["width"]',
        {"time": 1700000000, "version": "1.2", "platform": "x", "width": 1080, "ip": "10.0.0.1"},
        ["events,platform=x,version=1.2 width=1080"],
        id="some fields and some tags: stream-reactor 494",
    ),
    pytest.param(
        'measurement = "test"\ninteger_fields = ["count"]',
        {"time": 1700000000, "count": 2, "ratio": 2},
        ["test count=2i,ratio=2"],
        id="an integer column: fluent-bit 9120",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("route", "record", "lines"), ASKED)
def test_what_users_of_others_asked_for_can_be_said(
    tmp_path: Path, route: str, record: Any, lines: list[str]
) -> None:
    text = f"[[route]]\nname = 'one'\ntopics = ['a']\n{route}\n"

    code, output = ran(tmp_path, text, json.dumps(record), "--json")

    assert code == OK
    assert [found["line"].rpartition(" ")[0] for found in json.loads(output)] == lines
