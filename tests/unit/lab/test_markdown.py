"""A part of a document is replaced, and nothing else."""

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.markdown import put


def test_a_part_is_replaced_between_its_comments_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text("a\n<!-- sums -->\nold\n<!-- end of sums -->\nb \\1\n")

    put(document, "sums", r"new \1")
    put(document, "sums", r"newer \1")

    assert document.read_text() == "a\n<!-- sums -->\nnewer \\1\n<!-- end of sums -->\nb \\1\n"


def test_a_document_without_the_part_is_named(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text("<!-- sums -->\n")

    with pytest.raises(LabError, match=r"d\.md has no .*end of sums"):
        put(document, "sums", "")
