"""`tower init` writes the files of a pool that runs without a checkout."""

import configparser
import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workers.commands.init import pool_files
from workers.commands.init.command import LONGEST_PATH
from workers.commands.main import tower
from workers.config import settings_file
from workers.config.settings import load

ROOT = Path(__file__).resolve().parents[3]

TOKEN = {"TOWER_INFLUXDB_TOKEN": "secret"}


def init(folder: Path) -> Result:
    return CliRunner().invoke(tower, ["init", str(folder)])


def test_a_folder_has_all_files_and_a_private_var(tmp_path: Path) -> None:
    result = init(tmp_path / "pool")

    assert result.exit_code == 0
    assert {file.name for file in (tmp_path / "pool").iterdir()} == {
        "supervisor.conf",
        "tower.toml",
        "tower.service",
        "var",
    }
    assert (tmp_path / "pool" / "var").stat().st_mode & 0o777 == 0o700


def test_files_of_an_operator_are_kept(tmp_path: Path) -> None:
    (tmp_path / "tower.toml").write_text('topic = "mine"\n')

    result = init(tmp_path)

    assert (tmp_path / "tower.toml").read_text() == 'topic = "mine"\n'
    assert "kept" in result.output


def test_a_path_that_is_too_long_for_the_socket_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * LONGEST_PATH)

    result = init(folder)

    assert result.exit_code == 1
    assert f"{LONGEST_PATH} bytes" in result.output
    assert not folder.exists()


def test_the_limit_of_the_path_is_that_of_make_install() -> None:
    assert f"LONGEST_PATH := {LONGEST_PATH}\n" in (ROOT / "Makefile").read_text()


def test_the_settings_file_changes_nothing_until_it_is_edited(tmp_path: Path) -> None:
    file = tmp_path / "tower.toml"
    file.write_text(pool_files.settings_file())

    assert settings_file.read(str(file)) == {}


def test_each_line_of_the_settings_file_is_a_setting_with_its_default(tmp_path: Path) -> None:
    file = tmp_path / "tower.toml"
    lines = [line.removeprefix("#") for line in pool_files.settings_file().splitlines()]
    settings_of_the_file = [line for line in lines if line and not line.startswith(" ")]
    # A worker's number and files of secrets have no default.
    left_out = ("worker =", "influxdb_token_file", "influxdb_password_file")
    file.write_text("\n".join(line for line in settings_of_the_file if not line.startswith(left_out)))

    assert tomllib.loads(file.read_text())
    by_the_file = load({"TOWER_CONFIG": str(file)} | TOKEN)
    for name in set(vars(by_the_file)) - {"influxdb_token", "influxdb_password"}:
        assert getattr(by_the_file, name) == getattr(load(TOKEN), name)


@pytest.mark.parametrize(
    "python",
    [
        "/opt/tower/bin/python",
        "/opt/it's here/bin/python",
        "/50%/python",
        "/$HOME/`id`/python",
        '/a "b" ;c/python',
        "/back\\slash",
        "/연구실/python",
    ],
)
def test_supervisord_starts_the_interpreter_whatever_its_path(python: str) -> None:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;", "\t;"))
    parser.read_string(pool_files.supervisor_conf(Path(python)))

    # What supervisord does: its variables first, then the words of a command line.
    command = shlex.split(parser["program:worker"]["command"].replace("%%", "%"))
    asked = subprocess.run(
        [*command[:2], command[2].replace("exec ", "printf %s ", 1).replace(" -m workers run", "")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout == python


def test_an_interpreter_that_cannot_stand_in_the_file_is_refused() -> None:
    with pytest.raises(ValueError, match="control character"):
        pool_files.supervisor_conf(Path("/opt/a\nb/python"))


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"),
    reason="there is no systemd-analyze",
)
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    folder = tmp_path / "a pool"
    folder.mkdir()
    unit = tmp_path / "tower.service"
    unit.write_text(pool_files.systemd_unit(folder, Path("/usr/bin/env")))

    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
