"""The house keeps its shape: imports flow one way."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ALLOWED = {
    "workers": {"workers"},
    "lab": {"lab", "workers"},
    "bench": {"bench", "lab", "workers"},
}


def imported_rooms(module: Path) -> set[str]:
    """The rooms of this project that one module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names & {"workers", "lab", "bench", "tests"}


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    for module in sorted((ROOT / room).rglob("*.py")):
        assert imported_rooms(module) <= ALLOWED[room], module


def test_the_import_check_sees_a_wrong_import(tmp_path: Path) -> None:
    module = tmp_path / "wrong.py"
    module.write_text("from lab.kafka.node import Node\nimport bench.load.produce\n")

    assert imported_rooms(module) == {"lab", "bench"}
