"""One at a time: a command that must not run twice at once on this machine."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from workers.errors import CommandError


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock file; the kernel lets go of it when its holder ends, however it ends.

    Raises:
        CommandError: Another process holds it, or it cannot be made.
    """
    with ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            held = stack.enter_context(file.open("a"))
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another process is at it and holds {file}", "wait for its end") from None
        except OSError as error:
            raise CommandError(f"{file} cannot be made: {error.strerror}", "set TOWER_RUN_DIR") from None
        yield
