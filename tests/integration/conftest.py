"""Chains for the tests, and the foreign tools they use."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from tests.support.chain import Chain


@pytest.fixture
def chain(lab: Lab, short_folder: Path) -> Iterator[Callable[..., Chain]]:
    """Makes chains that are stopped at the test's end."""
    with ExitStack() as stack:

        def make(**how: Any) -> Chain:
            return stack.enter_context(Chain(lab, short_folder, **how))

        yield make


@pytest.fixture(scope="module")
def bare(lab: Lab) -> Iterator[Chain]:
    """A chain whose pool never runs."""
    with tempfile.TemporaryDirectory(prefix="tower-") as folder:
        yield Chain(lab, Path(folder))


@pytest.fixture(scope="session")
def kcat() -> str:
    """Path of kcat."""
    return program("kcat", "kcat")


@pytest.fixture(scope="session")
def snmpd() -> str:
    """Path of snmpd; snmpget is there too."""
    program("snmpget", "snmp")
    return program("snmpd", "snmpd")


def program(name: str, package: str) -> str:
    """A program, from PATH or the distribution's packages; a laptop without either skips, CI fails."""
    # Debian keeps servers where only root's PATH looks.
    path = f"{os.environ['PATH']}:/usr/sbin"
    path_of_program = shutil.which(name, path=path)
    if path_of_program is None and os.geteuid() == 0 and shutil.which("apt-get"):
        # In this runlevel an installed service is not started.
        env = os.environ | {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
        steps = (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", package])
        with _installing():
            # Another process may just have installed it.
            for step in steps if shutil.which(name, path=path) is None else ():
                subprocess.run(step, check=False, capture_output=True, timeout=180, env=env)
        path_of_program = shutil.which(name, path=path)
    if path_of_program is None:
        text = f"{name} is missing; install your distribution's package {package}"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return path_of_program


@contextmanager
def _installing() -> Iterator[None]:
    """Wait for other test processes that install: apt-get fails if two run at the same time."""
    with (Path(tempfile.gettempdir()) / "tower-apt-get.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
