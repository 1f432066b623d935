"""`make install` says in one sentence where it cannot install."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("a:b", "Python makes no virtual environment in a path with a colon", id="colon"),
        pytest.param("x" * 80, "and supervisord's socket in it allows for 79", id="long"),
        pytest.param("가" * 27, "and supervisord's socket in it allows for 79", id="long in bytes"),
    ],
)
def test_a_folder_that_cannot_work_is_refused_before_anything_is_made(
    tmp_path: Path, name: str, why: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    files = ["Makefile", "pyproject.toml", "requirements.lock"]
    for file in files:
        shutil.copy(ROOT / file, folder)

    done = subprocess.run(
        ["make", "--no-print-directory", "install"],
        cwd=folder,
        # Not as a part of a `make check` around, which would change what it prints.
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode != 0
    assert done.stdout == ""
    sentence, last = done.stderr.splitlines()
    assert sentence.startswith(f"tower: cannot be installed in {folder}: ")
    assert sentence.endswith(f"{why}; move this folder")
    assert last.startswith("make: ***")
    assert sorted(path.name for path in folder.iterdir()) == files


@pytest.mark.parametrize(
    ("ports", "options"),
    [
        pytest.param("9190,19190,8186", (9190, 19190, 8186), id="named"),
        pytest.param("free", (0, 0, 0), id="free"),
    ],
)
@pytest.mark.parametrize("target", ["demo", "lab-up"])
def test_the_lab_and_the_demo_take_other_ports(target: str, ports: str, options: tuple[int, ...]) -> None:
    printed = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target, f"PORTS={ports}"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    kafka, controller, influxdb = options
    words = f"--kafka-port {kafka} --controller-port {controller} --influxdb-port {influxdb}"
    assert words in " ".join(printed.replace("\\\n", " ").split())
