"""One small bug: a text of a source file, and what takes its place."""

import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkout import ROOT

#: The lists of mutants.
LISTS = ("delivery.toml", "kernel.toml")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, named by what it breaks.

    Attributes:
        name: What is wrong with it.
        file: The source file, from the checkout's root.
        old: A text that stands in the file once.
        new: What takes its place.
        tests: The test files or tests that must notice it.
        sanitized: Whether the tests run with sanitizers, and then the fuzzer.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    sanitized: bool = False

    @property
    def is_native(self) -> bool:
        """Whether the C kernel has to be built with it."""
        return self.file.endswith((".c", ".h"))

    def problem(self, root: Path = ROOT) -> str:
        """Return why it cannot be put in; empty if it can."""
        path = root / self.file
        if not path.is_file():
            return f"{self.file} does not exist"
        count = path.read_text().count(self.old)
        if count != 1:
            return f"its old text stands {count} times in {self.file}, not once"
        if self.old == self.new:
            return "it changes nothing"
        missing = [test for test in self.tests if not (root / test.partition("::")[0]).exists()]
        return f"{missing[0]} does not exist" if missing else "" if self.tests else "it names no test"

    @contextmanager
    def put_in(self, root: Path) -> Iterator[None]:
        """Change the file below `root`, and change it back."""
        path = root / self.file
        text = path.read_text()
        path.write_text(text.replace(self.old, self.new))
        try:
            yield
        finally:
            path.write_text(text)


def load(lists: Sequence[str] = LISTS) -> Iterator[Mutant]:
    """Read the mutants of some lists.

    Raises:
        ValueError: Two have the same name.
    """
    names: set[str] = set()
    for name in lists:
        content = tomllib.loads((Path(__file__).parent / name).read_text())
        for entry in content["mutant"]:
            tests = entry.get("tests") or content["tests"].get(entry["file"], [])
            mutant = Mutant(
                entry["name"],
                entry["file"],
                entry["old"],
                entry["new"],
                tuple(tests),
                entry.get("sanitized", False),
            )
            if mutant.name in names:
                raise ValueError(f"two mutants are named {mutant.name!r}")
            names.add(mutant.name)
            yield mutant
