"""A part of a document that is made from what a run has written, between two comments that name it."""

import re
from pathlib import Path

from lab.errors import LabError


def put(document: Path, part: str, text: str) -> None:
    """Put text between `<!-- PART -->` and `<!-- end of PART -->`, in place of what stands there.

    Args:
        document: A Markdown file.
        part: The part's name.
        text: Without the comments.

    Raises:
        LabError: The document has no such part.
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    before, after = document.read_text(), f"{begin}\n{text}\n{end}"
    new_text, count = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: after, before, flags=re.DOTALL
    )
    if not count:
        raise LabError(f"{document} has no `{begin}` … `{end}`")
    document.write_text(new_text)
