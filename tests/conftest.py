"""The lab all tests that need servers share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.topology import LabOptions
from tests.support.examples import load_profiles

load_profiles()


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Real Kafka (one node) and real InfluxDB on free ports, down and gone at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="tower-lab-") as folder,
        Lab(Path(folder) / "lab", LabOptions.free_ports()) as up,
    ):
        yield up


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a short path: a unix socket's has to fit 107 characters."""
    with tempfile.TemporaryDirectory(prefix="tower-") as folder:
        yield Path(folder)
