"""The group of all commands: loads them on demand and reports their errors."""

import importlib
from typing import Any

import click

from workers.errors import CommandError, LacksResources, SettingsError
from workers.exit_codes import FAILED, MISCONFIGURED


class LazyGroup(click.Group):
    """A group that imports a command when it is used.

    A worker does not import the operator's commands, which saves memory.

    Args:
        lazy: `module:name` of each command that is imported on demand, by the command's name.
    """

    def __init__(self, *args: Any, lazy: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, for the help."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, None if there is none."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, name = self._lazy[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An error becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            code, text = MISCONFIGURED, str(error)
        except (CommandError, LacksResources) as error:
            code, text = FAILED, str(error)
        click.echo(f"tower: {text}", err=True)
        return ctx.exit(code)
