"""How the operator's commands are found, and how they fail."""

import importlib
from typing import Any

import click

from workers.errors import CommandError, SettingsError
from workers.exit_codes import FAILED, MISCONFIGURED


class Commands(click.Group):
    """A group whose commands are imported when they are asked for.

    So a worker never loads the operator's commands, which would cost it memory.

    Args:
        lazy: Where each further command is, as `module:name`, by the command's name.
    """

    def __init__(self, *args: Any, lazy: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, for the help."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, None where there is none."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it cannot do is one line and an exit code."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            code, text = MISCONFIGURED, str(error)
        except CommandError as error:
            code, text = FAILED, str(error)
        click.echo(f"tower: {text}", err=True)
        return ctx.exit(code)
