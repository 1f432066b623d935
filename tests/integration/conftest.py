"""Chains for the tests, and the foreign tools they use."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from tests.integration.chain import Chain


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a unix socket's has to fit 107 characters."""
    with tempfile.TemporaryDirectory(prefix="tower-") as folder:
        yield Path(folder)


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
    """kcat, from PATH or the distribution's packages; a laptop without either skips, CI fails."""
    found = shutil.which("kcat")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for step in (["apt-get", "update", "-qq"], ["apt-get", "install", "-qq", "-y", "kcat"]):
            subprocess.run(step, check=False, capture_output=True, timeout=180)
        found = shutil.which("kcat")
    if found is None:
        text = "kcat is missing; install your distribution's package kcat"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    return found
