"""A group of commands that ends with a message and an exit code, whatever goes wrong."""

import signal
import sys
from types import FrameType
from typing import Any

import click

from lab.errors import LabError

#: What was asked for was not done; the message says why.
RET_FAILED = 1


class CommandGroup(click.Group):
    """Commands whose LabError is one message and an exit code, never a traceback.

    The group's name begins the message.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hang-up is meant to be ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupted)
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"{self.name}: {error}", err=True)
            sys.exit(RET_FAILED)


def _interrupted(number: int, _: FrameType | None) -> None:
    # Exits as after a failure, so that what was started is stopped.
    sys.exit(128 + number)
