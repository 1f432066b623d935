"""Progress of the lab's waits: a spinner and pictures on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType

#: Seconds between two plain lines of one step, without a terminal.
PLAIN_INTERVAL_S = 2.0


class Step:
    """One thing the lab waits for, with a note that may change while it does."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.detail = ""
        self.picture: RenderableType | None = None
        self.began = time.monotonic()

    def note(self, detail: str) -> None:
        """Show a few words on the progress, such as `2 of 3 nodes serve`."""
        self.detail = detail

    def draw(self, picture: RenderableType) -> None:
        """Show a picture below the step while it lasts, on a terminal."""
        self.picture = picture

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the step began."""
        return time.monotonic() - self.began

    def content(self) -> RenderableType:
        """Return the line and the picture below it."""
        return str(self) if self.picture is None else Group(str(self), self.picture)

    def __str__(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.text}{detail} ({self.elapsed_s:.0f} s)"


class Progress:
    """The steps of one command. Writes to standard error, which keeps `--json` output clean.

    Args:
        quiet: Print nothing (tests).
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._quiet = quiet

    def say(self, text: str) -> None:
        """Print one line that stays."""
        self._console.print(text, markup=False)

    def picture(self, picture: RenderableType) -> None:
        """Print a picture that stays, on a terminal."""
        if self._console.is_terminal:
            self._console.print(picture)

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show `text` until the block ends, with the seconds it has taken."""
        step = Step(text)
        if self._quiet:
            yield step
            return
        done = threading.Event()
        show = self._spin if self._console.is_terminal else self._tick
        ticker = threading.Thread(target=show, args=(step, done), daemon=True)
        ticker.start()
        try:
            yield step
        except BaseException:
            done.set()
            ticker.join()
            self.say(f"  {step} - not done")
            raise
        done.set()
        ticker.join()
        self.say(f"  {step}")

    def _spin(self, step: Step, done: threading.Event) -> None:
        with self._console.status(step.content()) as status:
            while not done.wait(0.2):
                status.update(step.content())

    def _tick(self, step: Step, done: threading.Event) -> None:
        while not done.wait(PLAIN_INTERVAL_S):
            self.say(f"  {step} ...")
