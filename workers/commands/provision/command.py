"""`python -m workers provision`: what Tower needs in Kafka and InfluxDB, made where it is missing."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from workers.commands.clients.influxdb_api import Influxdb
from workers.commands.clients.kafka_admin import Cluster
from workers.commands.provision.action import Done, Step
from workers.commands.provision.influxdb import Provisioner
from workers.commands.provision.kafka import topics
from workers.commands.provision.secret_file import kept
from workers.config.settings import Settings, load
from workers.errors import CommandError

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--partitions", type=click.IntRange(1, 4096), default=3, show_default=True, help="Of the topic."
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    help="Copies of each partition.  [default: 3, or as many as there are brokers]",
)
@click.option(
    "--admin-token-file",
    type=FILE,
    help="File with InfluxDB's admin token; else INFLUXDB_ADMIN_TOKEN. Without either, only Kafka is done.",
)
@click.option(
    "--worker-token-file",
    type=FILE,
    envvar="TOWER_INFLUXDB_TOKEN_FILE",
    show_envvar=True,
    help="Where to keep (0600) a token that may only write to the bucket; made if the file is not there.",
)
@click.option(
    "--v1-password-file",
    type=FILE,
    envvar="TOWER_INFLUXDB_PASSWORD_FILE",
    show_envvar=True,
    help="Where to keep (0600) the v1 user's password, if INFLUXDB_V1_PASSWORD does not set one.",
)
@click.option("--json", "as_json", is_flag=True, help="One object, for programs.")
def provision(
    *,
    partitions: int,
    replication: int | None,
    admin_token_file: Path | None,
    worker_token_file: Path | None,
    v1_password_file: Path | None,
    as_json: bool,
) -> None:
    """Make what is missing: topic, dead-letter topic, bucket, DBRP mapping, v1 user, the workers' token.

    The names are those of the settings, and those are the lab's unless set. What is there keeps its
    records, partitions and rights; settings of a topic that would lose or hold up records are mended, and
    a v1 user with another password gets the one given. Running this again is harmless. InfluxDB has to be
    2.x and to have an admin token already.

    Exit codes: 0 all is there, 1 something could not be made, 78 an option has to be changed.
    """
    settings = load(os.environ, credentials=False)
    admin = _admin(admin_token_file)
    made = []
    files = (worker_token_file, v1_password_file)
    for step in _steps(settings, partitions, replication, admin, files):
        made.append(step)
        if not as_json:
            click.echo(str(step))
    if as_json:
        click.echo(json.dumps({"steps": [asdict(each) for each in made]}, indent=2))


def _steps(
    settings: Settings,
    partitions: int,
    replication: int | None,
    admin: str,
    files: tuple[Path | None, Path | None],
) -> Iterator[Step]:
    yield from topics(Cluster(settings), settings, partitions, replication)
    if not admin:
        why = "no admin token: name --admin-token-file, or set INFLUXDB_ADMIN_TOKEN"
        yield Step("InfluxDB", Done.LEFT, why)
        return
    provisioner = Provisioner(Influxdb(settings.influxdb_url), settings, admin)
    yield from provisioner.run(*files)


def _admin(file: Path | None) -> str:
    """The admin token, empty where there is none.

    Raises:
        CommandError: The file named for it is not there or empty.
    """
    if file is None:
        return os.environ.get("INFLUXDB_ADMIN_TOKEN", "")
    found = kept(file)
    if not found:
        raise CommandError(f"{file} is missing or empty; it has to hold InfluxDB's admin token")
    return found
