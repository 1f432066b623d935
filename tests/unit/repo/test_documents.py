"""The README is true where a program can tell."""

import re
from pathlib import Path

import pytest

from tests.integration.test_lab_text import STEPS
from workers.config.secret import Secret
from workers.config.settings import options, variable
from workers.types import Reason

README = (Path(__file__).resolve().parents[3] / "README.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line[:1] == "|"
]


@pytest.mark.parametrize("option", options(), ids=lambda option: str(option.name))
def test_each_setting_stands_in_the_table_with_its_default(option: object) -> None:
    name = variable(option)  # type: ignore[arg-type]
    metadata = option.metadata  # type: ignore[attr-defined]
    default = f"`{metadata['default']}`" if metadata["default"] else metadata["lab"]
    text = metadata["text"] + (f"; or {name}_FILE" if metadata["parse"] is Secret else "")

    assert [name, default, text] in ROWS


def test_the_table_names_no_setting_that_does_not_exist() -> None:
    known = {variable(option) for option in options()}

    assert {row[0] for row in ROWS if len(row) == 3 and row[0].startswith("TOWER_")} == known


def test_each_reason_of_a_dead_letter_is_explained() -> None:
    explained = {row[0].strip("`") for row in ROWS if len(row) == 2}

    assert explained >= set(Reason)


def test_the_steps_on_the_nuc_are_those_the_integration_test_follows() -> None:
    section = README.partition("\n## On the NUC\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\| (.+?) \|", section, re.MULTILINE)

    assert steps == ["step of the lab", *STEPS]


def test_no_placeholder_is_left() -> None:
    assert "@@" not in README
