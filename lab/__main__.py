"""`python -m lab`: the lab from the command line."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lab.demo import Demo
from lab.influxdb import binary
from lab.kafka import runtime
from lab.lab import Lab
from lab.provision import PARTITIONS, TOPIC
from lab.senders.feed import Feed, Sender
from lab.senders.formats import Format
from lab.senders.sample import COMMUNITY, INTERFACE, Snmp, psutil_sample
from lab.status import read, show
from lab.system.command_group import RET_FAILED, CommandGroup
from lab.system.progress import Progress
from lab.topology import CONTROLLER_PORT, INFLUXDB_PORT, KAFKA_PORT, LabOptions, Topology

#: The lab is not up, or not all of it serves (`status`).
RET_NOT_SERVING = 3


def data_option(command: Callable[..., None]) -> Callable[..., None]:
    """The data folder."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".lab"),
        show_default=True,
        help="Folder for the lab's data.",
    )(command)


@click.group("lab", cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Real Kafka 4.2 and real InfluxDB 2.x on this machine, without Docker.

    Exit codes: 0 done; 1 failed, the message says why; 2 wrong options;
    3 a server does not answer (status).
    """


@main.command()
def prepare() -> None:
    """Fetch or build what the lab needs, once: later starts do not wait for it."""
    progress = Progress()
    click.echo(f"Java and Kafka: {runtime.java(progress).executable}")
    click.echo(f"InfluxDB: {binary.influxd(progress)}")


@main.command()
@data_option
@click.option(
    "--topology",
    type=click.Choice([topology.value for topology in Topology]),
    help="single: one combined node. cluster: controllers 0 to 2 and brokers 3 to 5, "
    "replication 3.  [default: as in the data folder, else single]",
)
@click.option("--host", help="Name that the servers listen on and advertise.  [default: localhost]")
@click.option(
    "--kafka-port", type=int, help=f"Port of the first broker; 0: free ports.  [default: {KAFKA_PORT}]"
)
@click.option(
    "--controller-port",
    type=int,
    help=f"Port of the first controller; 0: free ports.  [default: {CONTROLLER_PORT}]",
)
@click.option(
    "--influxdb-port", type=int, help=f"Port of InfluxDB; 0: a free port.  [default: {INFLUXDB_PORT}]"
)
def up(data: Path, topology: str | None, **wanted: Any) -> None:
    """Start the servers that do not run yet, and wait until all of them answer.

    The data folder keeps the ports: a second `up` uses the same ones.
    """
    lab = Lab(data, LabOptions(Topology(topology) if topology else None, **wanted)).up()
    show(read(lab))


@main.command()
@data_option
@click.option("--purge", is_flag=True, help="Remove the data folder too.")
def down(data: Path, *, purge: bool) -> None:
    """Stop everything; the data stays for the next `up`."""
    Lab(data).down(purge=purge)


@main.command()
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(data: Path, *, as_json: bool) -> None:
    """Show the servers and whether they answer; exit code 3 if one does not."""
    lab_status = read(Lab(data))
    if as_json:
        click.echo(json.dumps(lab_status, indent=2))
    else:
        show(lab_status)
    if not all(server["serving"] for server in [*lab_status["nodes"], lab_status["influxdb"]]):
        sys.exit(RET_NOT_SERVING)


@main.command()
@data_option
@click.option("--lines", default=20, show_default=True, help="Lines of each server's log.")
def logs(data: Path, lines: int) -> None:
    """Print the end of every server's log."""
    lab = Lab(data)
    for server in [*lab.nodes, lab.influxdb]:
        click.echo(f"{server.name}: {server.log}\n{server.log_tail(lines)}")


@main.command()
@data_option
def provision(data: Path) -> None:
    """Create org, bucket, mapping, users, tokens and topics if they are missing."""
    Lab(data).provision()


@main.command()
@data_option
def env(data: Path) -> None:
    """Print the workers' settings for this lab: `eval "$(python -m lab env)"`."""
    for name, value in Lab(data).worker_environment().items():
        click.echo(f"export {name}={shlex.quote(value)}")


@main.command()
@data_option
@click.option("--bootstrap-servers", help="Brokers to send to.  [default: this lab's]")
@click.option("--topic", default=TOPIC, show_default=True)
@click.option(
    "--format",
    "form",
    type=click.Choice([form.value for form in Format]),
    default=Format.JSON.value,
    show_default=True,
)
@click.option(
    "--device",
    "devices",
    multiple=True,
    help="deviceId of the records; may be repeated.  [default: no deviceId, as the lab's Pi sends them]",
)
@click.option("--count", default=0, help="Rounds; 0: until interrupted.  [default: 0]")
@click.option("--interval", default=1.0, show_default=True, help="Seconds between rounds.")
@click.option("--numbered", is_flag=True, help="Number the records in a field `seq`.")
@click.option(
    "--snmp", metavar="HOST[:PORT]", help="Read the values from snmpd, with the Pi's own shell command."
)
@click.option("--interface", default=INTERFACE, show_default=True, help="Interface index (--snmp).")
def feed(
    *,
    data: Path,
    bootstrap_servers: str | None,
    topic: str,
    form: str,
    devices: tuple[str, ...],
    count: int,
    interval: float,
    snmp: str | None,
    interface: int,
    numbered: bool,
) -> None:
    """Sample this machine once a second and send it as the lab's Fluentd does.

    The formats json and msgpack have the fields that the lab's Pi sends, text has those of the Flume years.
    The community for --snmp comes from SNMP_COMMUNITY.  [default: public]
    """
    source = psutil_sample
    if snmp is not None:
        source = Snmp(snmp, os.environ.get("SNMP_COMMUNITY", COMMUNITY), interface).sample
    sender = Sender(bootstrap_servers or Lab(data).bootstrap_servers, topic)
    stream = Feed(sender, source, Format(form), devices, numbered)
    progress = Progress()
    try:
        with progress.step(f"feeding {topic}") as step:
            stream.run(count, interval, step.note)
    finally:
        sender.poll(0.5)
        click.echo(f"{sender.delivered_count} records delivered to Kafka, {sender.failed} not")


@main.command()
@click.option("--keep", is_flag=True, help="Leave lab and pool running, on the lab's own ports.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), default=Path(".lab"))
@click.option("--records", default=30_000, show_default=True, help="Number of synthetic records.")
@click.option("--seconds", default=10, show_default=True, help="Seconds over which the records are sent.")
@click.option("--workers", default=PARTITIONS, show_default=True, help="Number of workers.")
@click.option("--kafka-port", type=int)
@click.option("--controller-port", type=int)
@click.option("--influxdb-port", type=int)
def demo(*, keep: bool, data: Path, records: int, seconds: int, workers: int, **ports: int | None) -> None:
    """Start lab and pool, send records, and check what became of each of them.

    The exit code is 0 only if every record is stored once, or is a dead letter once. Without --keep the
    demo uses free ports and a temporary folder, and stops everything at the end. With --keep it uses the
    lab's own ports and the folder --data  [default: .lab], and everything stays up.
    """
    free = {name: port if keep or port is not None else 0 for name, port in ports.items()}
    wanted = LabOptions(None if keep else Topology.SINGLE, None, **free)
    run = Demo(wanted, records, seconds, workers, data if keep else None, Progress())
    if not run.run():
        sys.exit(RET_FAILED)


if __name__ == "__main__":
    main(prog_name="python -m lab")
