"""The house keeps its shape: imports flow one way, and a module stays small and has a plain name."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

#: What each top-level package may import.
PACKAGES = {
    "workers": {"workers"},
    "lab": {"lab", "workers"},
    "bench": {"bench", "lab", "workers"},
}

#: What each part of `workers` may import of the others, from the top down. A module that stands beside the
#: packages is a part of its own.
LAYERS = {
    "__main__": {"commands", "process"},
    "commands": {
        "message_headers",
        "batch",
        "config",
        "drain",
        "errors",
        "exit_codes",
        "kafka",
        "log",
        "expected_workers",
        "process",
        "records",
        "state",
        "types",
    },
    "pool_size": {"expected_workers"},
    "process": {
        "config",
        "drain",
        "ended",
        "errors",
        "exit_codes",
        "gc_tuning",
        "influxdb",
        "kafka",
        "log",
        "loop",
        "parts",
        "records",
        "state",
        "watchdog",
    },
    "report": {"batch", "influxdb", "kafka", "log", "parts", "records", "types"},
    "loop": {"batch", "committer", "config", "errors", "parts", "report", "state", "types"},
    "parts": {"drain", "influxdb", "kafka", "records", "state"},
    "kafka": {"message_headers", "config", "errors", "log", "retry", "types"},
    "influxdb": {"batch", "config", "errors", "histogram", "log", "retry", "types"},
    "records": {"message_headers", "_kernel", "batch", "config", "errors", "log", "types"},
    "ended": {"config", "errors", "state"},
    "state": {"count_window", "errors", "log", "types"},
    "committer": {"batch", "types"},
    "drain": {"errors"},
    "batch": {"types"},
    "config": {"errors", "types"},
}

#: Where each library that speaks to the outside may be imported.
LIBRARIES = {
    "confluent_kafka": {"workers/kafka", "workers/commands"},
    "h11": {"workers/influxdb"},
    "ssl": {"workers/config", "workers/influxdb", "workers/commands/clients"},
    "http": {"workers/commands/clients"},
    "waitress": {"workers/commands/serve"},
    "prometheus_client": {"workers/commands/serve"},
}

#: Names of modules that said nothing to an engineer from outside.
BANNED = {
    "incarnation",
    "sight",
    "mark",
    "moves",
    "reach",
    "finding",
    "step",
    "letters",
    "heads",
    "moment",
    "take",
    "garbage",
    "translator",
    "refusal",
    "fate",
    "mend",
    "exchange",
    "everything",
    "manager",
    "helper",
    "helpers",
    "util",
    "utils",
    "handler",
}

#: Lines at which a module has more than one noun.
MOST_LINES = 300


def modules(package: str) -> list[Path]:
    """The Python modules below a folder of the project."""
    return sorted((ROOT / package).rglob("*.py"))


@cache
def imported(module: Path) -> tuple[str, ...]:
    """The full names of everything a module imports, wherever in it the import stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def imported_packages(module: Path) -> set[str]:
    """The top-level packages of this project that a module imports."""
    return {name.split(".")[0] for name in imported(module)} & {"workers", "lab", "bench", "tests"}


def part_of(name: str) -> str:
    """The part of `workers` a full name belongs to: `workers.kafka.commits.Commits` is in `kafka`."""
    return name.split(".")[1]


def imported_parts(module: Path) -> set[str]:
    """The parts of `workers` that a module imports, without constants of the package itself."""
    names = (name for name in imported(module) if name.startswith("workers."))
    return {part_of(name) for name in names} - {"__version__"}


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    for module in modules(package):
        assert imported_packages(module) <= PACKAGES[package], module


def test_inside_workers_imports_flow_one_way() -> None:
    for module in modules("workers"):
        part = module.relative_to(ROOT / "workers").with_suffix("").parts[0]

        assert imported_parts(module) - {part} <= LAYERS.get(part, set()), module


def test_the_layers_have_no_circle() -> None:
    seen: set[str] = set()
    while len(seen) < len(LAYERS):
        free = {
            part for part, below in LAYERS.items() if not (below & LAYERS.keys()) - seen - {part}
        } - seen
        assert free, f"a circle among {sorted(LAYERS.keys() - seen)}"
        seen |= free


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_a_library_that_speaks_to_the_outside_is_imported_in_its_own_rooms(library: str) -> None:
    for module in modules("workers"):
        if any(name.split(".")[0] == library for name in imported(module)):
            folder = module.parent.relative_to(ROOT).as_posix()

            assert any(folder.startswith(room) for room in LIBRARIES[library]), module


def test_only_the_process_and_the_commands_read_the_environment() -> None:
    readers = {
        module.relative_to(ROOT / "workers").parts[0]
        for module in modules("workers")
        if re.search(r"\bos\.(environ|getenv)\b", module.read_text())
    }

    assert readers <= {"process.py", "config", "commands"}


def test_only_the_process_and_the_commands_print() -> None:
    printers = {
        module.relative_to(ROOT / "workers").parts[0]
        for module in modules("workers")
        if re.search(r"\b(print\(|sys\.(stdout|stderr)\b|click\.echo)", module.read_text())
    }

    assert printers <= {"process.py", "watchdog.py", "commands"}


def sources() -> list[Path]:
    """All modules of the product, the lab and the bench, the kernel's among them."""
    native = sorted((ROOT / "workers" / "native").glob("*.[ch]"))
    return [module for package in PACKAGES for module in modules(package)] + native


def test_no_module_is_too_long_to_have_one_noun() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}

    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_module_has_a_name_of_a_private_dialect() -> None:
    assert [path for path in [*sources(), *modules("tests")] if path.stem in BANNED] == []


def test_no_two_classes_of_a_package_share_a_name() -> None:
    for package in PACKAGES:
        names = Counter(
            node.name
            for module in modules(package)
            for node in ast.parse(module.read_text()).body
            if isinstance(node, ast.ClassDef)
        )

        assert [name for name, count in names.items() if count > 1] == []


def test_the_checks_see_a_wrong_import(tmp_path: Path) -> None:
    module = tmp_path / "wrong.py"
    module.write_text(
        "from lab.kafka.node import Node\nimport bench.load.produce\nfrom workers import loop\n"
    )

    assert imported_packages(module) == {"lab", "bench", "workers"}
    assert imported_parts(module) == {"loop"}
