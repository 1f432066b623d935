"""What the bench's commands share: options, exit codes, how a result is written."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.harness.rig import Rig
from bench.load.record import FORMS, LINE, Clock, RecordShape, Unit
from bench.measure.suite import ResultSet
from bench.report import page
from bench.report.goals import figures
from lab.system.command_group import RET_FAILED
from lab.system.progress import Progress

#: The measurement ended, and records were lost or duplicated.
RET_WRONG = 4


class Numbers(click.ParamType[list[int]]):
    """Whole numbers separated by commas."""

    name = "n,n,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Parse the numbers."""
        if isinstance(value, list):
            return value
        try:
            return [int(part) for part in str(value).split(",") if part.strip()]
        except ValueError:
            self.fail(f"{value} is not a list of whole numbers such as 1,3,6", param, ctx)


def options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator."""

    def decorate(command: Any) -> Any:
        for option in reversed(decorators):
            command = option(command)
        return command

    return decorate


@dataclass(frozen=True)
class Output:
    """Where a command's lab is and where its result goes."""

    json_file: Path | None
    html_file: Path | None
    data: Path | None

    def rig(self) -> Rig:
        """Return the lab and everything a measurement creates in it."""
        return Rig(Progress(), self.data)

    def finish(self, result: dict[str, Any]) -> None:
        """Write and print a result; exit with `RET_WRONG` if records were lost or duplicated."""
        if self.json_file is not None:
            self.json_file.parent.mkdir(parents=True, exist_ok=True)
            self.json_file.write_text(json.dumps(result, indent=1) + "\n")
        if self.html_file is not None:
            page.write(self.html_file, [result])
        show(result)
        if result.get("lost") or result.get("duplicated") or result.get("unknown"):
            click.echo("bench: records were lost or duplicated: see lost, duplicated and unknown", err=True)
            sys.exit(RET_WRONG)


def close(result_set: ResultSet) -> None:
    """Print the figures beside their goals; exit with a code if one is missing or records were lost."""
    table = Table("figure", "value", "goal", "measured on")
    for figure in figures(result_set.results):
        colour = "green" if figure.reached else "yellow"
        table.add_row(figure.name, f"[{colour}]{figure.text}[/]", figure.goal_text, figure.note)
    Console(highlight=False).print(table)
    for name, why in result_set.failures.items():
        click.echo(f"bench: {name} could not be measured: {why}", err=True)
    if result_set.html_file is not None:
        click.echo(f"report: {result_set.html_file}")
    if result_set.wrong:
        click.echo("bench: records were lost or duplicated: see lost, duplicated and unknown", err=True)
        sys.exit(RET_WRONG)
    if result_set.failures:
        sys.exit(RET_FAILED)


def show(result: dict[str, Any]) -> None:
    """Print the figures."""
    table = Table(show_header=False)
    for name, value in result.items():
        if isinstance(value, (int, float, str)):
            table.add_row(name, f"{value:,}" if isinstance(value, (int, float)) else value)
    Console(highlight=False).print(table)


def output(command: Any) -> Any:
    """Give a command the options of an `Output`, which it gets as `out`."""

    @click.option(
        "--json", "json_file", type=click.Path(path_type=Path), help="Write the result to this file."
    )
    @click.option(
        "--html",
        "html_file",
        type=click.Path(path_type=Path),
        help="Write a report with plots to this file.",
    )
    @click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of a lab to use; it stays up.  [default: a temporary lab]",
    )
    @wraps(command)
    def with_output(json_file: Path | None, html_file: Path | None, data: Path | None, **rest: Any) -> Any:
        return command(out=Output(json_file, html_file, data), **rest)

    return with_output


shaped = options(
    click.option(
        "--format",
        "form",
        type=click.Choice(FORMS),
        default="json",
        show_default=True,
        help="Format of the records.",
    ),
    click.option(
        "--devices",
        type=click.IntRange(1, 50_000),
        default=1,
        show_default=True,
        help="Number of devices that send.",
    ),
    click.option(
        "--size", type=click.IntRange(0, 60_000), default=0, help="Pad records to this many bytes."
    ),
    click.option(
        "--bad",
        type=click.FloatRange(0, 1),
        default=0.0,
        help="Share of records that cannot become points, from 0 to 1.",
    ),
    click.option(
        "--lines-per-message",
        "per_message",
        type=click.IntRange(1, 10_000),
        default=1,
        show_default=True,
        help="Lines of each message of line protocol, as Telegraf's `use_batch_format` sends them.",
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="Seed of the random values."),
    click.option(
        "--unit",
        type=click.Choice([unit.value for unit in Unit]),
        help="Precision of `time` in JSON and msgpack.  [default: s, the lab's own; ms for compare]",
    ),
    click.option(
        "--step-ms",
        type=click.FloatRange(0, 60_000),
        default=1.0,
        show_default=True,
        help="Milliseconds between two records' times.",
    ),
)


def shape_of(
    count: int, form: str, step_ms: float = 1.0, unit: str | None = None, **more: Any
) -> RecordShape:
    """Records whose times end now."""
    if more.get("per_message", 1) > 1 and form != LINE:
        raise click.UsageError("--lines-per-message needs --format line")
    start = int(time.time() * 1000 - count * step_ms)
    return RecordShape(Clock(start, step_ms), form, unit=Unit(unit or Unit.SECOND), **more)
