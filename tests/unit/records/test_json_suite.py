"""JSONTestSuite (github.com/nst/JSONTestSuite): no crash, and the documentation says what is accepted."""

import json
import re
from functools import cache
from pathlib import Path as File

import pytest

from tests import corpus
from tests.support import fakes
from tests.support.fakes import FakeMessage
from tests.support.kernel import needs_kernel
from tests.support.variants import Path
from workers.batch import Batch
from workers.errors import RecordError
from workers.records import json_records

DOCUMENT = File(__file__).resolve().parents[3] / "docs/records.md"

#: The two files of the suite that are too large to keep as they are.
LARGE = {
    "n_structure_100000_opening_arrays": b"[" * 100_000,
    "n_structure_open_array_object": b'[{"":' * 50_000 + b"\n",
}


@cache
def suite() -> dict[str, bytes]:
    """All files of the suite by their names."""
    files = json.loads((corpus.FOLDER / "json-test-suite.json").read_text())
    return {name: text.encode("latin-1") for name, text in files.items()} | LARGE


@cache
def accepted() -> frozenset[str]:
    """Names of the files that Tower's JSON decoder reads."""
    names = set()
    for name, text in suite().items():
        try:
            json_records.parse(text)
        except RecordError:
            continue
        names.add(name)
    return frozenset(names)


def documented(begin: str) -> set[str]:
    """Names of the suite in the paragraph of the documentation that begins so."""
    paragraph = DOCUMENT.read_text().split(f"\n{begin}", 1)[1].split("\n\n", 1)[0]
    return set(re.findall(r"`([yni]_[^`\s]+)`", paragraph))


def test_the_suite_is_complete() -> None:
    assert len(suite()) == 318
    assert {name[:2] for name in suite()} == {"y_", "n_", "i_"}


def test_every_text_that_must_be_accepted_is() -> None:
    assert {name for name in suite() if name.startswith("y_")} <= accepted()


def test_of_those_that_must_be_refused_the_documented_ones_alone_are_accepted() -> None:
    assert {name for name in accepted() if name.startswith("n_")} == documented("Accepted of `n_`")


def test_of_those_that_may_be_either_the_documented_ones_are_accepted_and_refused() -> None:
    either = {name for name in suite() if name.startswith("i_")}

    assert either & accepted() == documented("Accepted of `i_`")
    assert either - accepted() == documented("Refused of `i_`")


@pytest.mark.parametrize("format_", ["auto", "json"])
@pytest.mark.parametrize("shape", [b"%b", b'{"value":%b}', b"[%b,%b]", b'{"memory":1}\n%b'], ids=repr)
def test_each_file_ends_as_points_or_dead_letters(format_: str, shape: bytes) -> None:
    path = Path(fakes.route(format=format_), native=False)
    for name, text in suite().items():
        batch = Batch()

        path.converter.convert([FakeMessage(shape.replace(b"%b", text))], batch)

        assert len(batch.lines) + len(batch.dead_letters) >= 1, name


@needs_kernel
@pytest.mark.parametrize("shape", [b"%b", b'{"value":%b}', b'{"value":1,%b:2}'], ids=repr)
def test_both_paths_agree_on_each_file(shape: bytes) -> None:
    native, python = (Path(fakes.route(), native=native) for native in (True, False))
    for name, text in suite().items():
        messages = [FakeMessage(shape.replace(b"%b", text))]
        assert native.outcome(messages) == python.outcome(messages), name
