"""A part of a document that is made from what a run has written, between two comments that name it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from pathlib import Path


def put(document: Path, part: str, text: str) -> None:
    """Put text between `<!-- PART -->` and `<!-- end of PART -->`, in place of what stands there.

    Args:
        document: a Markdown file.
        part: the part's name.
        text: without the comments.

    Raises:
        LabError: the document has no such part.
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    before, after = document.read_text(), f"{begin}\n{text}\n{end}"
    made, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: after, before, flags=re.DOTALL
    )
    if not count:
        raise LabError(f"{document} has no `{begin}` … `{end}`")
    document.write_text(made)
