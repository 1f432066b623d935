"""Secrets that no repr, log line or traceback shows."""

import json
from pathlib import Path

#: Text shown instead of a secret.
MASK = "***"

#: At the end of a text, a secret that is cut off is masked if at least this many characters are left.
LEAST_CHARACTERS = 4


class Secret:
    """A token or password, from the environment or from a file.

    It is formatted as `***`. A secret from a file can be read again, so that a rotated token takes effect
    without a restart.

    Args:
        value: The secret itself, None if it comes from a file.
        file: The file to read it from; surrounding white space is removed.
        lines: True if it may have several lines, as a PEM key has.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is empty, or the secret has a character that no HTTP header may have: the
            HTTP client's own error would quote the secret.
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
            raise ValueError("contains a line break or control character")
        return text

    def reveal(self) -> str:
        """Return the secret as text; only the code that sends it calls this."""
        return self._value

    def reread(self) -> bool:
        """Read the file again; True if the secret has changed.

        A file that is missing, empty or incomplete, as during a rotation, changes nothing.
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
    """Mask secrets in a text: as they are, escaped, or cut off at the text's end.

    Args:
        text: What a server sent. It may repeat what it received.
        secrets: Texts to mask; empty ones are ignored.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in {secret, json.dumps(secret)[1:-1], repr(secret.encode())[2:-1]}:
            text = text.replace(form, MASK)
            for length in range(len(form) - 1, LEAST_CHARACTERS - 1, -1):
                if text.endswith(form[:length]):
                    text = text[:-length] + MASK
                    break
    return text
