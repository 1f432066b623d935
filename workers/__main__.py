"""`python -m workers` and `tower`: run a worker, or one of the operator's commands."""

import gc
import logging
import os
import signal
import sys
import time

import click

from workers import log
from workers.commands.group import Commands
from workers.errors import SettingsError
from workers.exits import CRASHED, MISCONFIGURED, OK
from workers.settings import Settings, load

#: Seconds before a crashed worker exits: supervisord starts it again at once, and without this a crash at
#: start would spin.
CRASH_PAUSE_S = 1.0

#: Objects that may be made, and not freed, before the garbage collector looks for cycles among them.
#: Python's 700 would have it look at every batch several times, and find nothing: messages and lines are
#: freed by their counts. Measured: a tenth of a worker's CPU.
YOUNG_OBJECTS = 50_000

#: The operator's commands; a worker imports none of them.
OPERATOR = {
    "check": "workers.commands.check:check",
    "dlq": "workers.commands.dlq:dlq",
    "provision": "workers.commands.provision:provision",
    "replay": "workers.commands.replay:replay",
    "status": "workers.commands.status:status",
}


@click.group(cls=Commands, lazy=OPERATOR, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Tower moves every record of a Kafka topic into InfluxDB.

    Settings come from the environment and from the file TOWER_CONFIG names; the README lists them.
    """


@main.command()
def run() -> None:
    """Run one worker until SIGTERM; supervisord runs one per partition.

    Exit codes: 0 stopped as asked, 1 crashed, 78 an option has to be changed.
    """
    try:
        settings = load(os.environ)
        log.configure(settings.log_level)
        _run(settings)
    except SettingsError as error:
        click.echo(f"tower: {error}", err=True)
        sys.exit(MISCONFIGURED)
    except Exception:
        logging.getLogger("tower").exception("worker crashed; it is started again in a moment")
        time.sleep(CRASH_PAUSE_S)
        # Not sys.exit: the client's threads may be what broke, and must not keep the process.
        os._exit(CRASHED)
    sys.exit(OK)


def _run(settings: Settings) -> None:
    # Imported here so that a wrong option is told without loading the Kafka client.
    from workers.loop import Loop  # noqa: PLC0415
    from workers.state import State  # noqa: PLC0415

    number = settings.worker or 0
    state = State(settings.run_dir / f"worker-{number}.json", number)
    loop = Loop(settings, state)
    signal.signal(signal.SIGTERM, loop.stop)
    signal.signal(signal.SIGINT, loop.stop)
    gc.collect()
    # What is there now stays until the end, and need not be looked through again.
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
    loop.run()


if __name__ == "__main__":
    main()
