"""Single keys of a terminal, without waiting for Enter."""

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Self


class Keyboard:
    """Reads keys. A context manager that leaves the terminal as it was.

    Args:
        descriptor: The terminal; standard input by default.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._descriptor)
        tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def key(self, timeout_s: float) -> str:
        """Return the next key; empty if none is pressed in time. The end of the input is `q`."""
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return ""
        return os.read(self._descriptor, 1).decode("ascii", "replace") or "q"
