"""A pool from the wheel alone: installed into an environment of its own, started by one command each."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.chain import Chain, record
from tests.support.shell import feeding
from workers.config.settings_file import PREFIX

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.integration

#: Seconds for one command; an installation without a package cache fetches ten packages.
COMMAND_S = 200.0

#: Seconds that a restart under load may take, on two busy cores.
RESTART_S = 45.0


class Installed:
    """Tower as a package, and a folder with a pool.

    Args:
        folder: Where the environment and the pool live.
    """

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "env" / "bin"
        self.pool = folder / "my pool"
        self.environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}

    def __call__(
        self, *words: str, code: int = 0, cwd: Path | None = None, more: Mapping[str, str] | None = None
    ) -> str:
        """Output of a command; it must end with `code`."""
        done = subprocess.run(
            words,
            cwd=cwd or self.pool,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def make_pool(self) -> None:
        self(str(self.bin / "tower"), "init", str(self.pool), cwd=self.pool.parent)

    def tower(self, *words: str, code: int = 0, **more: str) -> str:
        return self(str(self.bin / "tower"), *words, code=code, more=more)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy: a build leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "workers", source / "workers", symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "supervisor.conf"):
        shutil.copy(ROOT / name, source)
    run_uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, str(source))
    (built,) = (source / "dist").glob("tower-*.whl")
    return built


def run_uv(*words: str) -> None:
    """Run uv with this machine's configuration of package registries."""
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "--quiet", *words], check=True, timeout=COMMAND_S, stdin=subprocess.DEVNULL)


@pytest.fixture
def installed(wheel: Path, short_folder: Path) -> Iterator[Installed]:
    """The wheel, installed; its pool is stopped at the end."""
    installed = Installed(short_folder)
    python = str(installed.bin / "python")
    run_uv("venv", "--python", sys.executable, str(installed.bin.parent))
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    run_uv("pip", "install", "--python", python, *lock, str(wheel))
    try:
        yield installed
    finally:
        if installed.pool.is_dir():
            installed.tower("down")


def test_the_wheel_has_the_product_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        carried = archive.read("workers/commands/init/supervisor.conf").decode()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"workers"}
    assert carried == (ROOT / "supervisor.conf").read_text()
    assert any(name.startswith("workers/_kernel.") and name.endswith(".so") for name in names)


def test_a_pool_without_a_checkout_is_made_started_changed_and_scaled_by_one_command_each(
    installed: Installed, chain: Callable[..., Chain]
) -> None:
    pipeline = chain()
    installed.make_pool()
    # A wrong setting is told before anything starts.
    assert "TOWER_INFLUXDB_TOKEN: is missing" in installed.tower("up", code=78)
    settings = installed.pool / "tower.toml"
    write_settings(settings, pipeline.environment)

    with feeding(pipeline, lambda: record(0)):
        started = installed.tower("up", TOWER_WORKERS="2")
        assert started.count(" runs, partition ") == 2
        assert "no problem found" in installed.tower("status", TOWER_WORKERS="2")
        assert installed.tower("up", TOWER_WORKERS="2").count(" runs, partition ") == 2

        # A change that is wrong stops nothing.
        settings.write_text(settings.read_text() + "batch_lines = 0\n")
        assert "TOWER_BATCH_LINES" in installed.tower("restart", code=78)
        settings.write_text(settings.read_text().replace("batch_lines = 0", "batch_lines = 77"))

        # One that is right, and a third worker.
        begun = time.monotonic()
        restarted = installed.tower("restart", TOWER_WORKERS="3")
        assert restarted.count(" runs, partition ") == 3
        assert time.monotonic() - begun < RESTART_S

    pipeline.drain()
    sent = sum(pipeline.lab.topics.log_ends(pipeline.name).values())
    assert "The pool has stopped" in installed.tower("down")
    assert len(pipeline.sequences()) == sent


def test_a_worker_that_does_not_start_is_told_with_its_reason(
    installed: Installed, chain: Callable[..., Chain]
) -> None:
    pipeline = chain()
    installed.make_pool()
    write_settings(installed.pool / "tower.toml", pipeline.environment)
    # What only the workers see: a file that is gone when they read it.
    conf = installed.pool / "supervisor.conf"
    conf.write_text(conf.read_text().replace("MALLOC_ARENA_MAX", 'TOWER_INFLUXDB_CA="x",MALLOC_ARENA_MAX'))

    output = installed.tower("up", code=1)

    assert output.count("TOWER_INFLUXDB_CA: is not a setting of Tower") == 3
    assert "tower check" in output


def write_settings(file: Path, environment: dict[str, str]) -> None:
    """Write a chain's settings as an operator does."""
    lines = [
        f"{name.removeprefix(PREFIX).lower()} = {value!r}"
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX) and name != f"{PREFIX}WORKERS"
    ]
    file.write_text("\n".join(lines) + "\n")
