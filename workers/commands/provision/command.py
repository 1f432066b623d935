"""`tower provision`: creates what Tower needs in Kafka and InfluxDB, if it is missing."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from workers.commands.clients.influxdb_api import InfluxdbApi
from workers.commands.console import ProgressWait
from workers.commands.provision.action import Action, ActionResult
from workers.commands.provision.influxdb import InfluxdbProvisioner
from workers.commands.provision.kafka import provision_topics
from workers.commands.provision.readiness import connect, retried
from workers.commands.provision.secret_file import read_secret
from workers.config import tls
from workers.config.settings import Settings, load
from workers.errors import CommandError

FILE = click.Path(dir_okay=False, path_type=Path)


@dataclass(frozen=True)
class Options:
    """The command line's options, see `provision`."""

    partitions: int
    replication: int | None
    worker_token_file: Path | None
    worker_token_group: int | None
    replace_token: bool
    v1_password_file: Path | None
    create_org: bool
    wait: float


@click.command()
@click.option(
    "--partitions",
    type=click.IntRange(1, 4096),
    default=3,
    show_default=True,
    help="Partitions of the record topic, if it is created.",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    help="Copies of each partition.  [default: 3, or the number of brokers if that is less]",
)
@click.option(
    "--admin-token-file",
    type=FILE,
    help="File with InfluxDB's admin token.  [default: the token in INFLUXDB_ADMIN_TOKEN; without either, "
    "only Kafka is provisioned]",
)
@click.option(
    "--worker-token-file",
    type=FILE,
    envvar="TOWER_INFLUXDB_TOKEN_FILE",
    show_envvar=True,
    help="Where to save (mode 0600) a token that may only write to the bucket. If the file exists, its "
    "token is tested instead.",
)
@click.option(
    "--worker-token-group",
    type=click.IntRange(0),
    metavar="GID",
    help="Id of a group that may read the token file too (mode 0640).",
)
@click.option(
    "--replace-token",
    is_flag=True,
    help="If InfluxDB does not know the token in the file, replace it.",
)
@click.option(
    "--v1-password-file",
    type=FILE,
    envvar="TOWER_INFLUXDB_PASSWORD_FILE",
    show_envvar=True,
    help="File with the v1 user's password. If it does not exist and INFLUXDB_V1_PASSWORD is not set, a "
    "password is generated and saved there (mode 0600).",
)
@click.option("--create-org", is_flag=True, help="If the organisation does not exist, create it.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    show_default=True,
    help="Longest wait in seconds for Kafka to have enough brokers, and again for InfluxDB to answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def provision(*, admin_token_file: Path | None, as_json: bool, **options: Any) -> None:
    """Create what is missing: topics, bucket, DBRP mapping, v1 user, the workers' token.

    The names come from the settings, whose defaults are the lab's. Existing topics keep their records and
    partitions, and existing users and tokens keep their rights. Two things are corrected: settings of a
    topic that would lose or delay records, and a v1 user's password if it differs from the one given.
    Running this again is harmless. InfluxDB has to be 2.x and to have an admin token already.

    Exit codes: 0 everything exists, 1 something could not be created, 78 a setting has to be changed.
    """
    settings = load(os.environ, credentials=False)
    admin_token = _admin_token(admin_token_file)
    actions = []
    for action in _actions(settings, admin_token, Options(**options)):
        actions.append(action)
        if not as_json:
            click.echo(str(action))
    if as_json:
        click.echo(json.dumps({"steps": [asdict(action) for action in actions]}, indent=2))


def _actions(settings: Settings, admin_token: str, options: Options) -> Iterator[Action]:
    kafka_admin = connect(settings, options.replication, ProgressWait("Kafka", options.wait))
    yield from provision_topics(kafka_admin, settings, options.partitions, options.replication)
    if not admin_token:
        reason = "no admin token: name its file with --admin-token-file, or set INFLUXDB_ADMIN_TOKEN"
        yield Action("InfluxDB", ActionResult.SKIPPED, reason)
        return
    provisioner = InfluxdbProvisioner(
        InfluxdbApi(settings.influxdb_url, tls=tls.context(settings)),
        settings,
        admin_token,
        create_org=options.create_org,
    )
    retried(provisioner.require_setup, ProgressWait("InfluxDB", options.wait))
    yield from provisioner.run(
        options.worker_token_file,
        options.v1_password_file,
        token_group=options.worker_token_group,
        replace_token=options.replace_token,
    )


def _admin_token(file: Path | None) -> str:
    """The admin token, empty if there is none.

    Raises:
        CommandError: The file named for it does not exist or is empty.
    """
    if file is None:
        return os.environ.get("INFLUXDB_ADMIN_TOKEN", "")
    admin_token = read_secret(file)
    if not admin_token:
        raise CommandError(f"{file} is missing or empty", "it has to hold InfluxDB's admin token")
    return admin_token
