"""A secret on its way into a file that only its owner may read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workers.errors import CommandError


class Draft:
    """A file not yet in its place.

    Args:
        path: Where it will stand.
        part: Where it is written.
    """

    def __init__(self, path: Path, part: Path) -> None:
        self._path, self._part = path, part

    def keep(self, secret: str) -> None:
        """Write the secret and move the file to its place, whole and with mode 0600.

        Raises:
            OSError: It cannot be written.
        """
        with self._part.open("w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(self._path)


@contextmanager
def drafted(path: Path) -> Iterator[Draft]:
    """A draft of a file, made before the secret is: one that could not be kept would be lost.

    Raises:
        CommandError: The file cannot be made there.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield Draft(path, part)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}; name another file") from None
    finally:
        with suppress(OSError):
            part.unlink()


def kept(path: Path) -> str:
    """The secret in a file, empty where there is none.

    Raises:
        CommandError: It is there and cannot be read.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from None
