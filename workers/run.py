"""One worker as a process: from its settings to its exit code."""

import logging
import os
import signal
import sys
import time
from typing import NoReturn

from workers import garbage, log
from workers.errors import SettingsError
from workers.exits import CRASHED, MISCONFIGURED, OK
from workers.settings import Settings, load

#: Seconds before a crashed worker exits: supervisord starts it again at once, and without this a crash at
#: start would spin.
CRASH_PAUSE_S = 1.0


def run() -> NoReturn:
    """Run until SIGTERM, then exit: 0 stopped as asked, 1 crashed, 78 an option has to be changed."""
    try:
        settings = load(os.environ)
        log.configure(settings.log_level)
        _run(settings)
    except SettingsError as error:
        sys.stderr.write(f"tower: {error}\n")
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
    garbage.settle()
    loop.run()
