"""Secrets that no repr, log line or traceback shows."""

import json
from pathlib import Path

#: What stands in place of a secret.
MASK = "***"

#: Least characters of a secret's beginning that are masked at the end of a text.
LEAST_CHARACTERS = 4


class Secret:
    """A token or password, from the environment or from a file.

    Formatting it gives `***`. One that comes from a file can be read again, so that a rotated token is
    taken up without a restart.

    Args:
        value: The secret itself, None where it comes from a file.
        file: The file it is read from; surrounding white space is not part of it.
        lines: True where it may have several lines, as a key in PEM has.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is empty, or the secret has a character that fits in no HTTP header: the
            HTTP client's own complaint about that would quote the secret.
    """

    __slots__ = ("_file", "_lines", "_value")

    def __init__(self, value: str | None = None, file: Path | None = None, lines: bool = False) -> None:
        self._file = file
        self._lines = lines
        self._value = self._checked(value or "") if file is None else self._read(file)

    def _read(self, file: Path) -> str:
        text = file.read_text(encoding="utf-8").strip()
        if not text:
            raise ValueError(f"{file} is empty")
        return self._checked(text)

    def _checked(self, text: str) -> str:
        if not (self._lines or text.isprintable()):
            raise ValueError("has a line break or control character in it")
        return text

    def reveal(self) -> str:
        """The secret as text, for the one place that sends it."""
        return self._value

    def reread(self) -> bool:
        """Read the file again; True where the secret has changed.

        A file that is missing, empty or half written for a moment (a rotation in progress) changes nothing.
        """
        if self._file is None:
            return False
        try:
            fresh = self._read(self._file)
        except (OSError, ValueError):
            return False
        changed = fresh != self._value
        self._value = fresh
        return changed

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)


def masked(text: str, *secrets: str) -> str:
    """A foreign text without our secrets: as they are, escaped, or cut off at the text's end.

    Args:
        text: What a server sent, which may repeat what it was sent.
        secrets: What must not be shown; empty ones are left out.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in {secret, json.dumps(secret)[1:-1], repr(secret.encode())[2:-1]}:
            text = text.replace(form, MASK)
            for length in range(len(form) - 1, LEAST_CHARACTERS - 1, -1):
                if text.endswith(form[:length]):
                    text = text[:-length] + MASK
                    break
    return text
