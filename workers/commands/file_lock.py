"""A lock for commands that must not run twice at the same time on this machine."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from workers.errors import CommandError


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file inside the block. The operating system releases it when the process ends.

    Raises:
        CommandError: Another process holds it, or it cannot be created.
    """
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(file.open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"this command is running already (it holds {file})", "wait until it ends"
            ) from None
        except OSError as error:
            raise CommandError(
                f"{file} cannot be created: {error.strerror}", "set TOWER_RUN_DIR to another folder"
            ) from None
        yield
