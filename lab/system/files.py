"""Files and folders of the lab: the cache, secrets, atomic writes and locks."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lab.errors import BusyError, LabError
from lab.system.progress import Progress


def cache_folder() -> Path:
    """The user's cache folder for Tower, made if it is not there.

    Raises:
        LabError: It cannot be made.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says to ignore a relative path.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    folder = root / "tower"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"cannot make the cache folder {folder}: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder that you can write"
        ) from error
    return folder


def write_atomically(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file that readers see whole or not at all; `mode` holds from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(text)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_secret(path: Path, secret: str) -> None:
    """Write a secret so that only its owner can read it (0600, in a folder of mode 0700)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_atomically(path, secret + "\n", 0o600)


def read_secret(path: Path) -> str | None:
    """The secret in a file, or None if there is no such file."""
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


@contextmanager
def locked(path: Path, timeout_s: float, progress: Progress) -> Iterator[None]:
    """Hold the lock file `path`. The kernel lets go of it when its holder dies, however it dies.

    Raises:
        BusyError: Somebody else held it for `timeout_s` seconds.
    """
    file = _lock(path)
    if file is None:
        with progress.step(f"waiting for another command ({path})"):
            deadline = time.monotonic() + timeout_s
            while file is None:
                if time.monotonic() >= deadline:
                    raise BusyError(
                        f"another command has held {path} for {timeout_s:.0f} s; wait for it to "
                        f"end, or see which it is with `fuser {path}`"
                    )
                time.sleep(0.2)
                file = _lock(path)
    with file:
        yield


def _lock(path: Path) -> IO[str] | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    if _taken(file) and _still(file, path):
        return file
    file.close()
    return None


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still(file: IO[str], path: Path) -> bool:
    """Whether `path` is still the file that was locked: its folder may have been removed."""
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
