"""The commands as programs see them: help, exit codes, and that a worker loads none of them."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workers import __version__
from workers.commands.console import age, table
from workers.commands.lazy_group import LazyGroup
from workers.commands.main import OPERATOR, tower
from workers.errors import CommandError, SettingsError
from workers.exit_codes import FAILED, MISCONFIGURED

ROOT = Path(__file__).resolve().parents[3]


def test_a_worker_loads_no_command_of_the_operator() -> None:
    script = (
        "import sys; sys.argv = ['tower', 'run']\n"
        "import workers.__main__, workers.loop, workers.kafka.consumer\n"
        "try: workers.__main__.main()\n"
        "except SystemExit as end: print(end.code)\n"
        "print(sorted({each.split('.')[0] for each in sys.modules} & {'click', 'rich'}))\n"
        "print([each for each in sys.modules if each.startswith('workers.commands')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"TOWER_NO": "1"},
    )

    assert done.stdout.split() == ["78", "[]", "[]"]
    assert "TOWER_NO" in done.stderr


@pytest.mark.parametrize(
    "words", [[], *([name] for name in OPERATOR), ["dlq", "list"], ["dlq", "replay"], ["run"]]
)
def test_each_command_has_help(words: list[str]) -> None:
    done = CliRunner().invoke(tower, [*words, "--help"])

    assert done.exit_code == 0
    assert "Usage:" in done.stdout


@pytest.mark.parametrize(
    "words", [["check"], ["status"], ["replay"], ["dlq", "list"], ["dlq", "replay"], ["run"]]
)
def test_the_help_tells_the_exit_codes(words: list[str]) -> None:
    assert "Exit codes:" in CliRunner().invoke(tower, [*words, "--help"]).stdout


@pytest.mark.parametrize(
    "words", [["check"], ["status"], ["replay", "--from", "latest"], ["dlq", "list"], ["provision"]]
)
def test_an_unknown_option_of_the_environment_is_named_and_ends_with_78(words: list[str]) -> None:
    done = CliRunner().invoke(tower, words, env={"TOWER_TOPICS": "x"})

    assert done.exit_code == MISCONFIGURED
    assert done.stderr.startswith("tower: TOWER_TOPICS: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_property_of_kafka_ends_check_with_78() -> None:
    env = {"TOWER_INFLUXDB_TOKEN": "x", "TOWER_KAFKA_NO_SUCH_PROPERTY": "1"}

    done = CliRunner().invoke(tower, ["check"], env=env)

    assert done.exit_code == MISCONFIGURED
    assert "TOWER_KAFKA_NO_SUCH_PROPERTY" in done.stderr


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["replay"], "either --from or --since"),
        (["replay", "--from", "earliest", "--since", "2h"], "either --from or --since"),
        (["dlq", "replay", "--reason", "bad"], "'bad'"),
    ],
)
def test_a_wrong_use_says_what_would_be_right(words: list[str], needed: str) -> None:
    done = CliRunner().invoke(tower, words)

    assert done.exit_code == 2
    assert needed in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [(CommandError("broken", "mend it"), FAILED), (SettingsError("TOWER_X", "is wrong"), MISCONFIGURED)],
)
def test_what_a_command_cannot_do_is_one_line(error: Exception, code: int) -> None:
    @click.command()
    def broken() -> None:
        raise error

    group = LazyGroup(name="tower")
    group.add_command(broken)
    done = CliRunner().invoke(group, ["broken"])

    assert done.exit_code == code
    assert done.stderr == f"tower: {error}\n"


def test_a_table_puts_numbers_to_the_right_and_nothing_as_a_dash() -> None:
    text = table(("name", "count"), [("a", 1), ("bc", None), ("d", 200)])

    assert text.splitlines() == ["name  count", "a         1", "bc        -", "d       200"]


def test_an_empty_table_is_its_head() -> None:
    assert table(("a", "b"), []) == "a  b"


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (300, "5 min"), (9_000, "2.5 h"), (345_600, "4 days")]
)
def test_a_span_of_time_is_told_in_one_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_the_version_is_the_packages_own() -> None:
    shown = CliRunner().invoke(tower, ["--version"]).stdout.split()

    assert shown == ["tower", __version__] == ["tower", metadata.version("tower")]
