"""One worker as a process: from its settings to its exit code."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from workers import gc_tuning, log
from workers.config.settings import Settings, load
from workers.errors import SettingsError
from workers.exit_codes import CRASHED, MISCONFIGURED, OK

#: Least seconds from one start of a worker to its next: supervisord starts one that crashed again at once,
#: and without this a crash at start would spin. Kept at the start and not at the crash, since a library
#: that finds no memory ends the process before anybody can wait.
BETWEEN_STARTS_S = 1.0


def run() -> NoReturn:
    """Run until SIGTERM, then exit: 0 stopped as asked, 1 crashed, 78 an option has to be changed."""
    _on_stop(_leave)
    try:
        settings = load(os.environ)
        log.configure(settings.log_level)
        pace(settings.run_dir / f"worker-{settings.worker or 0}.start")
        _run(settings)
    except SettingsError as error:
        sys.stderr.write(f"tower: {error}\n")
        sys.exit(MISCONFIGURED)
    except Exception:
        logging.getLogger("tower").exception("worker crashed; it is started again in a moment")
        # Not sys.exit: the client's threads may be what broke, and must not keep the process.
        os._exit(CRASHED)
    sys.exit(OK)


def pace(mark: Path) -> None:
    """Wait where the last start was less than `BETWEEN_STARTS_S` ago.

    Args:
        mark: A file whose time is that of the last start. Where it cannot be written nothing is waited for.
    """
    with suppress(OSError):
        since = time.time() - mark.stat().st_mtime
        # A negative one says that the clock was put back, and nothing of the start.
        if 0 <= since < BETWEEN_STARTS_S:
            time.sleep(BETWEEN_STARTS_S - since)
    with suppress(OSError):
        mark.touch()


def _run(settings: Settings) -> None:
    # Imported here so that a wrong option is told without loading the Kafka client.
    from workers.loop import Loop  # noqa: PLC0415
    from workers.state import State  # noqa: PLC0415
    from workers.watchdog import ROUND_S, Watchdog  # noqa: PLC0415

    number = settings.worker or 0
    state = State(settings.run_dir / f"worker-{number}.json", number)
    watchdog = Watchdog(ROUND_S + settings.influxdb_timeout_s)
    loop = Loop(settings, state, alive=watchdog.feed)
    _on_stop(loop.stop)
    gc_tuning.settle()
    loop.run()


def _on_stop(handler: Callable[[int, Any], None]) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def _leave(_number: int, _frame: Any) -> NoReturn:
    """Stopped while it starts: there is nothing in hand, and it ends as asked."""
    sys.exit(OK)
