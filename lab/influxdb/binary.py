"""Where the program `influxd` comes from: PATH, the user's cache, a Docker engine, or a build."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.errors import LabError, MissingError
from lab.influxdb import build
from lab.system.files import cache_folder, locked
from lab.system.progress import Progress
from lab.system.server_process import environment

#: The official image; its program is a plain file that runs without the engine.
IMAGE = "influxdb:2.8"
PRINT = (IMAGE, "-c", 'exec cat "$(command -v influxd)"')
#: Seconds for the image to come over a slow line.
PULL_S = 900.0
#: Seconds to wait for somebody else's build.
LOCK_S = 3600.0


def influxd(progress: Progress) -> Path:
    """An InfluxDB 2.x server program, made on first use if there is none.

    Raises:
        MissingError: None is there and none can be made; says what is missing.
        LabError: Making it failed.
    """
    program = on_path(progress) or cached()
    if program is not None:
        return program
    with locked(cache_folder() / "influxd.lock", LOCK_S, progress):
        # Another `up` may have made it meanwhile.
        return cached() or _make(progress)


def on_path(progress: Progress) -> Path | None:
    """The `influxd` on PATH, if it is a 2.x."""
    name = shutil.which("influxd")
    if name is None:
        return None
    its_version = version(Path(name))
    if its_version is not None and its_version.startswith("2."):
        return Path(name)
    progress.say(f"  {name} is InfluxDB {its_version or 'of unknown version'}, not 2.x: not used")
    return None


def cached() -> Path | None:
    """The newest one in the user's cache folder."""
    programs = sorted(cache_folder().glob("influxd-*/influxd"), key=_order, reverse=True)
    for program in programs:
        if os.access(program, os.X_OK):
            return program
    return None


def version(program: Path) -> str | None:
    """What the program says its version is, such as `2.7.12`; None if it does not run."""
    try:
        done = subprocess.run(
            [str(program), "version"],
            env=environment(),
            capture_output=True,
            timeout=20,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"InfluxDB v?(\d+\.\d+\.\d+)", done.stdout)
    return match.group(1) if match else None


def _order(program: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", program.parent.name))


def _make(progress: Progress) -> Path:
    if docker_answers():
        return _keep(_from_docker, progress)
    missing = build.missing()
    if missing:
        lines = "\n".join(f"  - {line}" for line in missing)
        raise MissingError(
            "InfluxDB is missing. Any one of these helps:\n"
            "  - an `influxd` 2.x on PATH\n"
            "  - a Docker engine that this user may talk to (`docker info`)\n"
            f"  - what its build (about 7 minutes, once) still lacks:\n{_indent(lines)}"
        )
    return _keep(build.build, progress)


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _keep(make: build.Make, progress: Progress) -> Path:
    """Let `make` write the program into the cache; a half-made one never gets its name."""
    # One name, since the lock is held: what a killed command has left goes away here.
    work = cache_folder() / "influxd.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        program = make(work, progress)
        program.chmod(0o755)
        its_version = version(program)
        if its_version is None:
            raise LabError("the influxd that was just made does not run on this machine")
        cached_program = cache_folder() / f"influxd-{its_version}" / "influxd"
        cached_program.parent.mkdir(exist_ok=True)
        return program.rename(cached_program)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def docker_answers() -> bool:
    """Whether there is a Docker engine that talks to this user."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and bool(done.stdout.strip())


def _from_docker(work: Path, progress: Progress) -> Path:
    """Copy the program out of the official image.

    A plain process is easier to look after, to kill and to freeze than a container.
    """
    program = work / "influxd"
    with progress.step(f"taking influxd from the image {IMAGE}"), program.open("wb") as file:
        try:
            subprocess.run(
                ["docker", "run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", *PRINT],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                timeout=PULL_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise LabError(f"docker could not give influxd: {' '.join(said)[:300]}") from error
        except subprocess.TimeoutExpired as error:
            raise LabError(f"the image {IMAGE} did not come within {PULL_S:.0f} s") from error
    return program
