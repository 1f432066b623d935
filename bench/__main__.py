"""`python -m bench`: how fast Tower is, at what cost, and what limits it."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from bench.record import Clock, Shape, Unit
from lab.errors import LabError
from lab.progress import Progress
from lab.wire import Format

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

#: A figure could not be taken; the message says why.
RET_FAILED = 1
#: It was taken, and records were lost or duplicated.
RET_WRONG = 4


class Group(click.Group):
    """Commands whose LabError is one message and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Under nohup a hang-up is meant to be ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _interrupted)
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"bench: {error}", err=True)
            sys.exit(RET_FAILED)


def _interrupted(number: int, _: FrameType | None) -> None:
    # Leaves by the same way as failures do, which stops what was started.
    sys.exit(128 + number)


def options(*made: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator."""

    def decorate(command: Any) -> Any:
        for option in reversed(made):
            command = option(command)
        return command

    return decorate


output = options(
    click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result here."),
    click.option(
        "--html", "html_file", type=click.Path(path_type=Path), help="Write a report with plots here."
    ),
    click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of a lab to use, which stays up. Without it one is started and removed.",
    ),
)
shaped = options(
    click.option(
        "--format",
        "form",
        type=click.Choice([each.value for each in Format]),
        default="json",
        show_default=True,
        help="How records are written.",
    ),
    click.option(
        "--devices", type=click.IntRange(1, 50_000), default=1, show_default=True, help="Senders."
    ),
    click.option(
        "--size", type=click.IntRange(0, 60_000), default=0, help="Fill records up to so many bytes."
    ),
    click.option(
        "--bad", type=click.FloatRange(0, 1), default=0.0, help="Share that cannot become points."
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="Other seeds, other values."),
    click.option(
        "--unit",
        type=click.Choice([each.value for each in Unit]),
        default="ms",
        show_default=True,
        help="Precision of `timestamp` in JSON.",
    ),
    click.option(
        "--step-ms",
        type=click.FloatRange(0, 60_000),
        default=1.0,
        show_default=True,
        help="Milliseconds between two records' times.",
    ),
)


def shape_of(count: int, form: str, step_ms: float = 1.0, unit: str = "ms", **more: Any) -> Shape:
    """Records whose times end now."""
    start = int(time.time() * 1000 - count * step_ms)
    return Shape(Clock(start, step_ms), Format(form), unit=Unit(unit), **more)


def finish(result: dict[str, Any], json_file: Path | None, html_file: Path | None) -> None:
    """Write and print a result; a wrong account is an exit code."""
    del html_file
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(result, indent=1) + "\n")
    console = Console(highlight=False)
    table = Table(show_header=False)
    for name, value in result.items():
        if isinstance(value, (int, float, str)):
            table.add_row(name, f"{value:,}" if isinstance(value, (int, float)) else value)
    console.print(table)
    if result.get("lost") or result.get("duplicated") or result.get("unknown"):
        click.echo("bench: the account does not hold: see lost, duplicated and unknown", err=True)
        sys.exit(RET_WRONG)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """How fast Tower is, at what cost, and what limits it. All figures of a run are taken in that run.

    Exit codes: 0 done; 1 it could not be done, the message says why; 2 wrong options; 4 records were
    lost or duplicated.
    """


@main.command()
@click.option("--bootstrap-servers", required=True, help="The brokers.")
@click.option("--topic", required=True, help="An existing topic.")
@click.option("--records", type=click.IntRange(1), default=100_000, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, help="Records a second; 0: as fast as it goes."
)
@click.option("--keys", is_flag=True, help="Keyed by device, instead of partitions in turn.")
@shaped
def produce(
    bootstrap_servers: str, topic: str, records: int, rate: float, keys: bool, **shape: Any
) -> None:
    """Fill a topic with synthetic Fluentd records, numbered in `seq`."""
    from bench.produce import Load, Target  # noqa: PLC0415
    from lab.topics import Topics  # noqa: PLC0415

    partitions = Topics(bootstrap_servers, 1).partitions(topic)
    if not partitions:
        raise LabError(f"there is no topic {topic} at {bootstrap_servers}; make it first")
    made = shape_of(records, **shape)
    if rate:
        made = Shape(
            Clock(time.time() * 1000, 1000 / rate), made.form, made.devices, made.size, made.bad, made.seed
        )
    load = Load(Target(bootstrap_servers, topic, partitions, keys), made)
    with Progress().step(f"producing {records:,} records to {topic}") as step:
        if rate:
            began = time.monotonic()
            load.pace(0, rate, records)
            load.finish()
            seconds = time.monotonic() - began
        else:
            seconds = load.fill(0, records, step.note)
        step.note(f"{records / seconds:,.0f} a second")


@main.command()
@click.option("--records", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@click.option(
    "--workers", type=click.IntRange(1, 200), default=3, show_default=True, help="And partitions."
)
@shaped
@output
def throughput(
    records: int,
    workers: int,
    json_file: Path | None,
    html_file: Path | None,
    data: Path | None,
    **shape: Any,
) -> None:
    """Drain a prefilled topic with the pool, and look for every record in InfluxDB."""
    from bench import throughput  # noqa: PLC0415
    from bench.rig import Rig  # noqa: PLC0415

    with Rig(Progress(), data) as rig:
        finish(
            throughput.run(rig, shape_of(records, **shape), records, workers=workers), json_file, html_file
        )


@main.command()
@click.option("--records", type=click.IntRange(1_000), default=1_000_000, show_default=True)
@shaped
@output
def ceiling(
    records: int, json_file: Path | None, html_file: Path | None, data: Path | None, **shape: Any
) -> None:
    """What influxd alone takes: ready-made gzip bodies over 2 and 3 connections."""
    from bench import ceiling  # noqa: PLC0415
    from bench.rig import Rig  # noqa: PLC0415

    with Rig(Progress(), data) as rig:
        best, trials = ceiling.measure(rig, shape_of(records, **shape), records)
        finish({"kind": "ceiling"} | ceiling.as_json(best, trials), json_file, html_file)


if __name__ == "__main__":
    main()
