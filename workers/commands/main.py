"""The command line: all commands."""

import click

from workers import __version__
from workers.commands.lazy_group import LazyGroup

#: The operator's commands, imported on demand.
OPERATOR = {
    "check": "workers.commands.check.command:check",
    "dlq": "workers.commands.dlq.command:dlq",
    "down": "workers.commands.lifecycle.command:down",
    "init": "workers.commands.init.command:init",
    "map": "workers.commands.map.command:map_",
    "provision": "workers.commands.provision.command:provision",
    "replay": "workers.commands.replay.command:replay",
    "restart": "workers.commands.lifecycle.command:restart",
    "serve": "workers.commands.serve.command:serve",
    "status": "workers.commands.status:status",
    "top": "workers.commands.top.command:top",
    "up": "workers.commands.lifecycle.command:up",
}


@click.version_option(__version__, prog_name="tower", message="%(prog)s %(version)s")
@click.group(cls=LazyGroup, lazy=OPERATOR, context_settings={"help_option_names": ["-h", "--help"]})
def tower() -> None:
    """Tower writes the records of a Kafka topic to InfluxDB.

    Settings come from the environment and from the file that TOWER_CONFIG names; docs/settings.md lists
    them.
    """


@tower.command()
def run() -> None:
    """Run one worker until SIGTERM. supervisord runs TOWER_WORKERS of them.

    Exit codes: 0 stopped by a signal, 1 crashed, 78 a setting has to be changed.
    """
    from workers import process  # noqa: PLC0415

    process.run()
