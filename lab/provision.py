"""What the lab's Kafka and InfluxDB hold before the first record.

The work is that of `tower provision`. The lab adds InfluxDB's first set-up, which a person does
elsewhere, and the files of the secrets.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.influxdb.server import InfluxdbServer
from lab.system.files import read_secret, write_secret
from workers.commands.clients.influxdb_api import InfluxdbApi
from workers.commands.console import ProgressWait
from workers.commands.provision import kafka, readiness
from workers.commands.provision.influxdb import InfluxdbProvisioner
from workers.config.settings import Settings, load
from workers.errors import TowerError

ORG = "GIST"
BUCKET = "Labs"
RETENTION_POLICY = "autogen"
V1_USER = "tower"
TOPIC = "resource"
DEAD_LETTER_TOPIC = "resource.dlq"
PARTITIONS = 3
#: Seconds until all brokers are members of the cluster.
BROKERS_S = 30.0


@dataclass(frozen=True)
class Secrets:
    """Where the lab keeps its secrets: files that only their owner can read."""

    folder: Path

    @property
    def admin_token(self) -> Path:
        """Token that may do everything."""
        return self.folder / "admin-token"

    @property
    def v1_password(self) -> Path:
        """Password of the v1 user."""
        return self.folder / "v1-password"

    def worker_token(self, bucket: str = BUCKET) -> Path:
        """Token that may only write to the bucket."""
        return self.folder / ("worker-token" if bucket == BUCKET else f"worker-token.{bucket}")


def provision_topics(bootstrap_servers: str, copies: int) -> None:
    """Create the topics `resource` and `resource.dlq`, if they are missing.

    Args:
        bootstrap_servers: The brokers.
        copies: Copies of each partition; waits until there are that many brokers.

    Raises:
        LabError: Kafka rejects a topic, or a broker is missing.
    """
    settings = load(
        {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "TOWER_TOPIC": TOPIC,
            "TOWER_DEAD_LETTER_TOPIC": DEAD_LETTER_TOPIC,
        },
        credentials=False,
    )
    with _lab_errors():
        kafka_admin = readiness.connect(settings, copies, ProgressWait("the lab's brokers", BROKERS_S))
        list(kafka.provision_topics(kafka_admin, settings, PARTITIONS, copies))


class LabProvisioner:
    """Prepares one InfluxDB as the lab's text does by hand. Running it again changes nothing.

    Args:
        server: The running InfluxDB.
        secret_files: Where the secrets are.
    """

    def __init__(self, server: InfluxdbServer, secret_files: Secrets) -> None:
        self._server = server
        self._secrets = secret_files

    def run(self) -> None:
        """Organisation, bucket, mapping, v1 user with its password, worker token.

        The password is INFLUXDB_V1_PASSWORD, the one in its file, or a new one. The v1 user may read and
        write every bucket of the organisation, also those that tests create later.

        Raises:
            LabError: InfluxDB rejects an action.
        """
        self._set_up()
        password = (
            os.environ.get("INFLUXDB_V1_PASSWORD")
            or read_secret(self._secrets.v1_password)
            or secrets.token_urlsafe(24)
        )
        write_secret(self._secrets.v1_password, password)
        with _lab_errors():
            actions = self._provisioner(BUCKET).run(
                self._secrets.worker_token(), self._secrets.v1_password, replace_token=True
            )
            list(actions)

    def bucket(self, name: str, retention_s: int = 0) -> str:
        """Create a bucket, its mapping of the same name and a token that may only write to it.

        Args:
            name: Of bucket and database.
            retention_s: Seconds that points are kept; 0 for ever.

        Returns:
            The worker token, which is saved in a file too.

        Raises:
            LabError: InfluxDB rejects an action.
        """
        token_file = self._secrets.worker_token(name)
        with _lab_errors():
            list(self._provisioner(name).run_bucket(token_file, retention_s))
        return read_secret(token_file) or ""

    def _provisioner(self, bucket: str) -> InfluxdbProvisioner:
        admin_token = read_secret(self._secrets.admin_token)
        if admin_token is None:
            raise LabError(
                f"InfluxDB is set up already, but {self._secrets.admin_token} is gone; put its "
                "admin token there, or start afresh with `python -m lab down --purge`"
            )
        influxdb = InfluxdbApi(self._server.url)
        return InfluxdbProvisioner(influxdb, self._settings(bucket), admin_token, all_buckets=True)

    def _settings(self, bucket: str) -> Settings:
        settings = {
            "TOWER_INFLUXDB_URL": self._server.url,
            "TOWER_INFLUXDB_ORG": ORG,
            "TOWER_INFLUXDB_BUCKET": bucket,
            "TOWER_INFLUXDB_DATABASE": bucket,
            "TOWER_INFLUXDB_RETENTION_POLICY": RETENTION_POLICY,
            "TOWER_INFLUXDB_USER": V1_USER,
        }
        if self._secrets.v1_password.exists():
            settings["TOWER_INFLUXDB_PASSWORD_FILE"] = str(self._secrets.v1_password)
        return load(settings, credentials=False)

    def _set_up(self) -> None:
        """Create the first user, the organisation and the admin token; once in a server's life."""
        influxdb = InfluxdbApi(self._server.url)
        with _lab_errors():
            answer = influxdb.ask("GET", "/api/v2/setup")
            if answer.status == 200 and not answer.content.get("allowed"):
                return
            token = os.environ.get("INFLUXDB_ADMIN_TOKEN") or secrets.token_urlsafe(48)
            # Written first: a token that is set up and lost would lock everybody out.
            write_secret(self._secrets.admin_token, token)
            first_user = {
                "username": "admin",
                "password": secrets.token_urlsafe(24),  # Nobody logs in: the token does it all.
                "org": ORG,
                "bucket": BUCKET,
                "token": token,
            }
            answer = influxdb.ask("POST", "/api/v2/setup", body=first_user)
        if answer.status != 201:
            raise LabError(f"setting up InfluxDB: it answers {answer.status}: {answer.message}")


@contextmanager
def _lab_errors() -> Iterator[None]:
    try:
        yield
    except TowerError as error:
        raise LabError(str(error)) from None
