"""Files that hold a secret."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workers.errors import CommandError


class SecretDraft:
    """A temporary file that becomes the secret file once the secret is in it.

    Args:
        path: The secret file.
        part: The temporary file beside it.
    """

    def __init__(self, path: Path, part: Path) -> None:
        self._path, self._part = path, part

    def save(self, secret: str) -> None:
        """Write the secret and move the file to its place in one step.

        Raises:
            OSError: It cannot be written.
        """
        with self._part.open("w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(self._path)


@contextmanager
def secret_draft(path: Path, group: int | None = None) -> Iterator[SecretDraft]:
    """Create the temporary file before the secret is generated: a secret that cannot be saved is lost.

    Args:
        path: The secret file. Only its owner may read it (0600).
        group: Id of a group that may read it too (0640).

    Raises:
        CommandError: The file cannot be created there, or not given to the group.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if group is not None:
                # The owner stays: root without capabilities can only read its own files, and the next run
                # has to read this one.
                os.fchmod(descriptor, 0o640)
                os.fchown(descriptor, -1, group)
        finally:
            os.close(descriptor)
        yield SecretDraft(path, part)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}", "name another file") from None
    finally:
        with suppress(OSError):
            part.unlink()


def read_secret(path: Path) -> str:
    """Read the secret in a file; empty if there is no such file.

    Raises:
        CommandError: The file exists and cannot be read.
    """
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from None
