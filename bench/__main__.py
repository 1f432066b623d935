"""`python -m bench`: how fast Tower is, at what cost, and what limits it."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from bench.command import Numbers, Output, close, output, shape_of, shaped
from bench.load.record import Clock, Unit
from bench.measure.outage import OutageKind
from bench.peers.peer import PEERS
from lab.errors import LabError
from lab.markdown import put
from lab.system.command_group import CommandGroup
from lab.system.progress import Progress

#: Records of a measurement, by default.
RECORDS = 1_000_000
records = click.option("--records", type=click.IntRange(1_000), default=RECORDS, show_default=True)
workers = click.option(
    "--workers",
    type=click.IntRange(1, 200),
    default=3,
    show_default=True,
    help="Number of workers and of partitions.",
)
rate = click.option(
    "--rate", type=click.FloatRange(1), default=1_000, show_default=True, help="Records a second."
)


@click.group("bench", cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure how fast Tower is, what it costs, and what limits it.

    Exit codes: 0 done; 1 failed, the message says why; 2 wrong options; 4 records were lost or duplicated.
    """


@main.command()
@click.option("--bootstrap-servers", required=True, help="The brokers.")
@click.option("--topic", required=True, help="Topic to fill; it must exist.")
@click.option("--records", type=click.IntRange(1), default=100_000, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(0), default=0.0, help="Records a second; 0: as fast as possible."
)
@click.option(
    "--keys", is_flag=True, help="Send the device as message key, instead of using the partitions in turn."
)
@shaped
def produce(
    bootstrap_servers: str, topic: str, records: int, rate: float, keys: bool, **shape: Any
) -> None:
    """Fill a topic with synthetic Fluentd records, numbered in `seq`."""
    from bench.load.produce import LoadProducer, Target  # noqa: PLC0415
    from lab.kafka.topics import TopicAdmin  # noqa: PLC0415

    partitions = TopicAdmin(bootstrap_servers, 1).partitions(topic)
    if not partitions:
        raise LabError(f"there is no topic {topic} at {bootstrap_servers}; create it first")
    record_shape = shape_of(records, **shape)
    if rate:
        record_shape = replace(record_shape, clock=Clock(time.time() * 1000, 1000 / rate))
    load = LoadProducer(Target(bootstrap_servers, topic, partitions, keys), record_shape)
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
@records
@workers
@click.option(
    "--route",
    "route_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of one [[route]] that says how records become points; its topics are replaced.  "
    "[default: the lab's route]",
)
@shaped
@output
def throughput(records: int, workers: int, route_file: Path | None, out: Output, **shape: Any) -> None:
    """Measure the pool on a topic that is filled beforehand; look for every record in InfluxDB."""
    from bench.harness.route_file import BenchRoute  # noqa: PLC0415
    from bench.measure import throughput  # noqa: PLC0415

    route = BenchRoute.read(route_file) if route_file else None
    with out.rig() as rig:
        out.finish(throughput.run(rig, shape_of(records, **shape), records, workers=workers, route=route))


@main.command()
@records
@workers
@shaped
@output
def conflict(records: int, workers: int, out: Output, **shape: Any) -> None:
    """Measure what records that InfluxDB rejects cost the others: type conflicts, and too old ones."""
    from bench.measure import conflict  # noqa: PLC0415

    with out.rig() as rig:
        out.finish(conflict.run(rig, shape_of(records, **shape), records, workers=workers))


@main.command()
@records
@shaped
@output
def ceiling(records: int, out: Output, **shape: Any) -> None:
    """Measure influxd alone: gzip bodies made beforehand, over 2 and 3 connections."""
    from bench.measure import ceiling  # noqa: PLC0415

    with out.rig() as rig:
        best, trials = ceiling.measure(rig, shape_of(records, **shape), records)
        out.finish({"kind": "ceiling"} | ceiling.as_json(best, trials))


@main.command()
@rate
@click.option("--seconds", type=click.FloatRange(1), default=20, show_default=True)
@workers
@output
def latency(rate: float, seconds: float, workers: int, out: Output) -> None:
    """Measure the time from produced to queryable in InfluxDB at a fixed rate."""
    from bench.measure import latency  # noqa: PLC0415

    with out.rig() as rig:
        out.finish(latency.run(rig, rate, seconds, workers=workers))


@main.command()
@records
@click.option("--workers", "counts", type=Numbers(), default="1,3,6,12,48", show_default=True)
@click.option(
    "--delays",
    type=Numbers(),
    default="0,20,100",
    show_default=True,
    help="Milliseconds added to a round trip to InfluxDB.",
)
@click.option(
    "--hosts/--no-hosts", default=True, help="Also measure two hosts (network namespaces; needs root)."
)
@shaped
@output
def scale(
    records: int, counts: list[int], delays: list[int], hosts: bool, out: Output, **shape: Any
) -> None:
    """Measure the CPU a record costs with more workers, on two hosts, and with a slower network."""
    from bench.measure import scale  # noqa: PLC0415

    with out.rig() as rig:
        record_shape = shape_of(records, **shape)
        out.finish(
            scale.run(rig, record_shape, records, counts=counts, delays=delays, two_hosts=hosts),
        )


@main.command()
@rate
@click.option(
    "--seconds", type=click.FloatRange(1), default=30, show_default=True, help="Length of the outage."
)
@click.option(
    "--how", type=click.Choice([kind.value for kind in OutageKind]), default="freeze", show_default=True
)
@workers
@shaped
@output
def outage(rate: float, seconds: float, how: str, workers: int, out: Output, **shape: Any) -> None:
    """Measure lag, memory and catch-up when InfluxDB is away."""
    from bench.measure import outage  # noqa: PLC0415

    record_shape = shape_of(int(rate * (seconds + outage.BEFORE_S)), **shape)
    with out.rig() as rig:
        out.finish(
            outage.run(rig, record_shape, rate=rate, seconds=seconds, how=OutageKind(how), workers=workers)
        )


@main.command()
@records
@shaped
@output
def profile(records: int, out: Output, **shape: Any) -> None:
    """Measure how a worker's time splits over consume, convert, write and commit."""
    from bench.measure import profile  # noqa: PLC0415

    with out.rig() as rig:
        out.finish(profile.run(rig, shape_of(records, **shape), records))


@main.command()
@records
@click.option(
    "--cap",
    type=click.FloatRange(5),
    default=60,
    show_default=True,
    help="Seconds after which a slow peer is stopped.",
)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(list(PEERS)),
    multiple=True,
    default=list(PEERS),
    help="Compare with this peer only; may be repeated.",
)
@shaped
@output
def compare(records: int, cap: float, peers: tuple[str, ...], out: Output, **shape: Any) -> None:
    """Measure Tower, Telegraf, tutorial code and kafka-influxdb on the same records.

    With --unit s the peers lose records: they store one point per series and time.
    """
    from bench.measure import compare  # noqa: PLC0415

    shape["unit"] = shape["unit"] or Unit.MILLISECOND
    with out.rig() as rig:
        out.finish(compare.run(rig, shape_of(records, **shape), records, cap_s=cap, peers=peers))


@main.command(name="all")
@click.option(
    "--short/--full", default=True, help="Under 15 minutes, or about an hour with more records and cases."
)
@output
def all_(short: bool, out: Output) -> None:
    """Run every measurement, and rewrite one report after each of them."""
    from bench.measure import suite  # noqa: PLC0415

    result_set = suite.ResultSet(out.json_file, out.html_file)
    with out.rig() as rig:
        suite.run(rig, suite.SHORT if short else suite.FULL, result_set)
    close(result_set)


@main.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("page", type=click.Path(dir_okay=False, path_type=Path))
def report(results: Path, page: Path) -> None:
    """Write the HTML report PAGE from RESULTS, a JSON file of `all`."""
    from bench.report import page as report  # noqa: PLC0415

    content = json.loads(results.read_text())
    report.write(page, content["results"], content["failures"])


@main.command()
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Write them into docs/benchmarks.md.")
def tables(results: Path, write: bool) -> None:
    """Print the figures of RESULTS, a JSON file of `all`, as Markdown."""
    from bench.report import tables  # noqa: PLC0415

    all_results = json.loads(results.read_text())["results"]
    if not write:
        click.echo(tables.everything(all_results))
        return
    document = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
    put(document, "figures of a run", tables.everything(all_results))


if __name__ == "__main__":
    main()
