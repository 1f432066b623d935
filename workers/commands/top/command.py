"""`tower top`: shows the pool until a key ends it."""

import os
import sys

import click
from rich.console import Console
from rich.live import Live

from workers.commands.console import silence_waits
from workers.commands.serve.history import History
from workers.commands.serve.kafka_view import KafkaView
from workers.commands.serve.observation import OWNERS_KEPT_S, Observer
from workers.commands.status import topics_title
from workers.commands.top.keyboard import Keyboard
from workers.commands.top.view import Order, render
from workers.config.settings import load
from workers.errors import CommandError
from workers.expected_workers import expected_workers

#: Seconds between two pictures; a key is obeyed at once.
EVERY_S = 1.0


@click.command()
def top() -> None:
    """Show partitions, rates, lag and what is wrong in the terminal, live.

    Keys: q quits, s sorts by the next column, r reverses the order, p pauses.

    It reads the state files in TOWER_RUN_DIR and asks Kafka; it does not need `tower serve`.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandError("this is no terminal", "use `tower status --watch 2`, or `tower status --json`")
    settings = load(os.environ, credentials=False)
    silence_waits()
    kafka = KafkaView(settings, lambda: observer.observe(OWNERS_KEPT_S).owned_here)
    expected = expected_workers(os.environ.get("TOWER_WORKERS"))
    observer = Observer(settings.run_dir, lambda: kafka.latest, expected)
    history = History(observer.observe)
    kafka.start()
    history.start()
    title, order = f"{topics_title(settings)}, group {settings.group}", Order()
    observation, past = observer.observe(), history.content()
    with Keyboard() as keyboard, Live(console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            if not order.paused:
                observation, past = observer.observe(), history.content()
            live.update(render(title, observation, past, order), refresh=True)
            key = keyboard.key(EVERY_S)
            if key in {"q", "\x03"}:
                return
            order = order.after(key)
