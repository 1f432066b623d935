"""One worker as a process: builds it from its settings, runs it, and ends with an exit code."""

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from workers import ended, gc_tuning, log
from workers.config.settings import Settings, changed, load
from workers.errors import SettingsError
from workers.exit_codes import CRASHED, MISCONFIGURED, OK

if TYPE_CHECKING:
    from workers.loop import Loop
    from workers.state import State

#: Minimum seconds from one start of a worker to its next. supervisord restarts a crashed worker at once, so
#: a crash at start would otherwise repeat without a pause. The pause is at the start, not at the crash: a
#: library that runs out of memory ends the process before any code of ours can wait.
BETWEEN_STARTS_S = 1.0


def run() -> NoReturn:
    """Run until SIGTERM, then exit: 0 stopped as asked, 1 crashed, 78 a setting has to be changed."""
    _on_stop(_exit_at_start)
    try:
        settings = load(os.environ)
        log.configure(settings.log_level, settings.log_format, settings.worker)
        pace(settings.run_dir / f"worker-{settings.worker or 0}.start")
        _run(settings)
    except SettingsError as error:
        sys.stderr.write(f"tower: {error}\n")
        ended.leave_behind(os.environ, str(error))
        sys.exit(MISCONFIGURED)
    except Exception:
        logging.getLogger("tower").exception(
            "The worker crashed. supervisord restarts it and uncommitted records are read again. If it "
            "crashes again, report the lines below"
        )
        # Not sys.exit: a thread of Kafka's client may be the cause, and must not keep the process alive.
        os._exit(CRASHED)
    _exit()


def pace(
    last_start: Path,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait if the last start was less than `BETWEEN_STARTS_S` ago.

    Args:
        last_start: A file whose modification time is that of the last start. If it cannot be written,
            this returns at once.
        clock: Seconds since the epoch.
        sleep: Waits for a number of seconds.
    """
    with suppress(OSError):
        elapsed_s = clock() - last_start.stat().st_mtime
        # A negative value means that the clock was set back.
        if 0 <= elapsed_s < BETWEEN_STARTS_S:
            sleep(BETWEEN_STARTS_S - elapsed_s)
    with suppress(OSError):
        last_start.touch()


def build(settings: Settings, state: "State", feed_watchdog: Callable[[], None]) -> "Loop":
    """Build a worker's loop with all of its parts. No other code builds them.

    Args:
        settings: The worker's settings.
        state: The worker's counters and state file.
        feed_watchdog: Called in each round of the loop.

    Raises:
        SettingsError: A Kafka property or the file of a certificate is not usable.
    """
    # Imported here, so that a wrong setting is reported without loading the Kafka client.
    from workers.drain import LEAVE_S, Drain, LastResort  # noqa: PLC0415
    from workers.influxdb.delivery import Delivery  # noqa: PLC0415
    from workers.influxdb.writer import Writer  # noqa: PLC0415
    from workers.kafka.consumer import GroupConsumer  # noqa: PLC0415
    from workers.kafka.dead_letters import DeadLetterProducer  # noqa: PLC0415
    from workers.loop import Loop  # noqa: PLC0415
    from workers.parts import Parts  # noqa: PLC0415
    from workers.records.crash_record import CrashRecord  # noqa: PLC0415
    from workers.records.router import Router  # noqa: PLC0415

    def reread_credentials() -> bool:
        return settings.influxdb_token.reread() or settings.influxdb_password.reread()

    crash_file = settings.run_dir / f"worker-{settings.worker or 0}.crash"
    last_resort = LastResort(settings.drain_s + LEAVE_S)
    drain = Drain(settings.drain_s, time.monotonic, last_resort.begin)

    def while_writing() -> None:
        drain.check("InfluxDB has not answered")
        loop.while_writing()

    writer = Writer(settings, while_writing)
    parts = Parts(
        state=state,
        drain=drain,
        converter=Router(settings.routes, crash_record=CrashRecord(crash_file)),
        writer=writer,
        delivery=lambda wait, report: Delivery(
            settings,
            writer,
            wait,
            reread_credentials,
            log.ThrottledLogger(logging.getLogger("tower.loop")),
            report=report,
        ),
        dead_letters=lambda wait: DeadLetterProducer(settings, wait, time.monotonic),
        consumer=lambda on_revoke: GroupConsumer(
            settings, on_revoke, lambda: drain.check("Kafka has not answered")
        ),
    )
    loop = Loop(settings, parts, feed_watchdog, time.monotonic, time.sleep)
    return loop


def _run(settings: Settings) -> None:
    # Imported here, as in `build`.
    from workers.state import State  # noqa: PLC0415
    from workers.watchdog import ROUND_S, Watchdog  # noqa: PLC0415

    number = settings.worker or 0
    state = State(settings.run_dir / f"worker-{number}.json", number, settings.has_several_topics)
    watchdog = Watchdog(ROUND_S + settings.influxdb_timeout_s, sys.stderr)
    watchdog.start()
    loop = build(settings, state, watchdog.feed)
    watchdog.feed()
    _on_stop(loop.stop)
    logging.getLogger("tower").info("Starting with these settings: %s", json.dumps(changed(os.environ)))
    gc_tuning.settle()
    loop.run()


def _on_stop(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


def _exit_at_start(_number: int, _frame: Any) -> NoReturn:
    """Exit on a signal that arrives before the loop exists: no record is in hand yet.

    Not sys.exit: its exception would rise between any two bytecodes, and some code swallows it.
    """
    os._exit(OK)


def _exit() -> NoReturn:
    # Python drops its handlers while it exits: a further signal would then make -15 of the exit code.
    _on_stop(signal.SIG_IGN)
    sys.exit(OK)
