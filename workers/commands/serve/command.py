"""`tower serve`: builds the server and runs it until SIGTERM."""

import errno
import logging
import os
import signal
import sys
import time
from typing import Any, NoReturn

import click
from waitress.server import create_server

from workers import log
from workers.commands.clients import supervisord_probe
from workers.commands.console import silence_waits
from workers.commands.serve.app import Application
from workers.commands.serve.history import History
from workers.commands.serve.kafka_view import KafkaView
from workers.commands.serve.metrics import registry
from workers.commands.serve.observation import OWNERS_KEPT_S, Observer
from workers.commands.serve.pool_points import PoolPoints
from workers.commands.serve.routes import routes
from workers.config.settings import load
from workers.errors import SettingsError
from workers.exit_codes import OK, TURNED_OFF
from workers.expected_workers import expected_workers
from workers.process import pace

#: Seconds between two tries of an address that is in use.
BIND_S = 5.0

#: Requests are short and few: a scrape in 15 s, and one every two seconds for each open page.
THREADS = 4
CONNECTIONS = 50

#: Seconds after which a silent connection is closed.
SILENCE_S = 30

#: Most bytes of a request's headers; a request has no body.
HEADER_BYTES = 16_384


@click.command()
def serve() -> None:
    """Serve metrics, health and a page about the pool, until SIGTERM. supervisord runs it.

    It listens on TOWER_SERVE_ADDRESS and changes nothing. It shows the pool whose TOWER_RUN_DIR it reads.
    With TOWER_SERVE_POINTS_S it also writes points about the pool to InfluxDB.

    \b
    /         the page
    /metrics  for Prometheus
    /live     200 if this process and supervisord answer
    /ready    200 if each partition is read, or waits for Kafka or InfluxDB

    Exit codes: 0 stopped by a signal, 3 TOWER_SERVE_ADDRESS is off, 78 a setting has to be changed.
    """  # noqa: D301 - click needs the control character
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    settings = load(os.environ, credentials=False)
    log.configure(settings.log_level, settings.log_format)
    silence_waits()
    if settings.serve_address is None:
        click.echo("tower: TOWER_SERVE_ADDRESS is off: nothing is served", err=True)
        raise click.exceptions.Exit(TURNED_OFF)
    pace(settings.run_dir / "serve.start")

    kafka = KafkaView(settings, lambda: observer.observe(OWNERS_KEPT_S).owned_here)
    expected = expected_workers(os.environ.get("TOWER_WORKERS"))
    observer = Observer(settings.run_dir, lambda: kafka.latest, expected)
    history = History(observer.observe)
    points = PoolPoints(settings, observer.observe)
    url = os.environ.get(supervisord_probe.VARIABLE)
    application = Application(
        routes(
            settings,
            observer.observe,
            registry=registry(observer.observe, settings.topics[0], lambda: points.failures),
            supervisord=None if url is None else lambda: supervisord_probe.why_silent(url),
            history=history,
            examples=kafka.examples,
        ),
        settings.serve_address.host,
    )
    server = _listen(application, settings.serve_address.host, settings.serve_address.port)
    kafka.start()
    history.start()
    points.start()
    logging.getLogger("tower.serve").info("Serving http://%s", settings.serve_address)
    server.run()


def _listen(application: Application, host: str, port: int) -> Any:
    """Listen on the address; wait if another process has it, because that may end.

    Raises:
        SettingsError: The address is not one of this machine.
    """
    throttled = log.ThrottledLogger(logging.getLogger("tower.serve"))
    while True:
        try:
            return create_server(
                application,
                host=host,
                port=port,
                ident="tower",
                threads=THREADS,
                connection_limit=CONNECTIONS,
                channel_timeout=SILENCE_S,
                max_request_header_size=HEADER_BYTES,
                max_request_body_size=HEADER_BYTES,
                asyncore_use_poll=True,
            )
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingsError(
                    "TOWER_SERVE_ADDRESS", f"cannot listen on {host} port {port}: {error.strerror}"
                ) from None
            throttled.error(
                "in use",
                "%s port %d is in use, trying again every %g s. Set TOWER_SERVE_ADDRESS to a free port, or "
                "to off",
                host,
                port,
                BIND_S,
            )
            time.sleep(BIND_S)


def _exit(_number: int, _frame: Any) -> NoReturn:
    sys.exit(OK)
