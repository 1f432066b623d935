"""A terminal of its own for a program, and pictures of what it shows."""

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte
from pyte.screens import Char
from rich import _export_format
from rich.console import Console
from rich.style import Style
from rich.text import Text

#: rich's picture without the font that it loads from elsewhere.
SVG_FORMAT = re.sub(r"@font-face \{\{.*?\}\}\n", "", _export_format.CONSOLE_SVG_FORMAT, flags=re.DOTALL)

#: What pyte calls colours that rich has other names for.
COLOURS = {"brown": "yellow"}


class Terminal:
    """Runs a program in a terminal.

    Args:
        command: Its argv.
        columns: Width of the terminal.
        lines: Height of the terminal.
        cwd: Folder it runs in.
        environment: Its environment.
    """

    def __init__(
        self, command: Sequence[str], columns: int, lines: int, cwd: Path, environment: Mapping[str, str]
    ) -> None:
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._keyboard, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            cwd=cwd,
            env={**environment, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)},
            start_new_session=True,
        )
        os.close(inside)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._keyboard)

    @property
    def lines(self) -> list[str]:
        """What it shows, without spaces at the end of lines."""
        return [line.rstrip() for line in self._screen.display]

    def until(self, condition: Callable[[list[str]], bool], timeout_s: float) -> None:
        """Read what the program prints until the lines are as wanted.

        Raises:
            TimeoutError: They were not in time, or the program has ended before.
        """
        deadline = time.monotonic() + timeout_s
        while not condition(self.lines):
            ready, _, _ = select.select([self._keyboard], [], [], max(0.0, deadline - time.monotonic()))
            try:
                content = os.read(self._keyboard, 65536) if ready else b""
            except OSError:
                content = b""
            if not content:
                raise TimeoutError("the terminal shows\n" + "\n".join(self.lines))
            self._stream.feed(content)

    def svg(self, title: str, first: str = "", last: str = "") -> str:
        """Draw what it shows.

        Args:
            title: Title of the window.
            first: The first line is the one that contains this.
            last: The last line is the first one after it that contains this.
        """
        lines = self.lines
        begin = next(number for number, line in enumerate(lines) if first in line)
        if last:
            end = next(number for number in range(begin, len(lines)) if last in lines[number]) + 1
        else:
            end = max(number for number, line in enumerate(lines) if line) + 1
        console = Console(
            record=True,
            width=self._screen.columns,
            file=io.StringIO(),
            force_terminal=True,
            color_system="256",
        )
        for number in range(begin, end):
            row = self._screen.buffer[number]
            text = Text(no_wrap=True)
            shown = [row[column] for column in range(len(lines[number]))]
            # One element for all characters of one style, not one for each.
            for style, chars in groupby(shown, _style):
                text.append("".join(char.data for char in chars), style)
            console.print(text)
        return console.export_svg(title=title, code_format=SVG_FORMAT)


def _style(char: Char) -> Style:
    def colour(name: str) -> str | None:
        if name == "default":
            return None
        name = COLOURS.get(name, name)
        return f"#{name}" if re.fullmatch(r"[0-9a-f]{6}", name) else name.replace("bright", "bright_")

    return Style(
        color=colour(char.fg),
        bgcolor=colour(char.bg),
        bold=char.bold,
        italic=char.italics,
        reverse=char.reverse,
    )
