"""A Kafka and an InfluxDB with TLS by a private authority, beside the lab's."""

import shutil
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from lab.influxdb import binary
from lab.influxdb.server import InfluxdbServer
from lab.system import ports
from lab.system.progress import Progress
from tests.faults.harness.certificates import Authority
from tests.faults.harness.cluster import Cluster, combined
from workers.commands.clients.influxdb_api import InfluxdbApi
from workers.errors import CommandError

#: A name that no name server knows.
UNKNOWN_NAME = "broker.tower.invalid"


class SecuredInfluxdb(InfluxdbServer):
    """InfluxDB on a port that accepts only TLS.

    Args:
        folder: Folder of its files.
        port: Its port.
        authority: Issues its certificate.
    """

    def __init__(self, folder: Path, port: int, authority: Authority) -> None:
        super().__init__(folder, lambda: binary.influxd(Progress(quiet=True)), "localhost", port)
        self._authority = authority

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return super().url.replace("http:", "https:")

    def start(self) -> None:
        """Start it, with a fresh certificate; does not wait until it serves."""
        self.folder.mkdir(parents=True)
        self._authority.issue(self.folder / "server.pem")
        super().start()

    def launch(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it with the options of TLS."""
        pem = str(self.folder / "server.pem")
        super().launch([*argv, "--tls-cert", pem, "--tls-key", pem], env)

    def serving(self, timeout_s: float = 1.0) -> bool:
        """Whether it answers over TLS."""
        trusted = ssl.create_default_context(cafile=self._authority.certificate)
        try:
            return InfluxdbApi(self.url, timeout_s, trusted).ask("GET", "/health").status == 200
        except CommandError:
            return False


class SecuredServers:
    """The two servers, up inside the block, their folder gone at its end.

    Kafka has a listener with TLS, and one without it under a name that does not resolve.

    Args:
        folder: Where their files are; it must not exist.

    Attributes:
        influxdb: The InfluxDB.
        ca_file: The certificate of the authority of both.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        authority = Authority(folder / "authority", "tower-tests")
        self.ca_file = str(authority.certificate)
        plain, controller, self._tls_port, self._unknown_port, influxdb = ports.choose("localhost", 5)
        self.influxdb = SecuredInfluxdb(folder / "influxdb", influxdb, authority)
        keystore = folder / "broker.pem"
        authority.issue(keystore)
        tls, unknown = f"SSL://localhost:{self._tls_port}", f":{self._unknown_port}"
        self._kafka = Cluster(
            folder,
            [combined(0, plain, controller)],
            [()],
            [
                {
                    "listeners": f"{tls},UNKNOWN://localhost{unknown}",
                    "advertised.listeners": f"{tls},UNKNOWN://{UNKNOWN_NAME}{unknown}",
                    "listener.security.protocol.map": "SSL:SSL,UNKNOWN:PLAINTEXT",
                    "listener.name.ssl.ssl.keystore.type": "PEM",
                    "listener.name.ssl.ssl.keystore.location": str(keystore),
                }
            ],
        )

    @property
    def kafka_with_tls(self) -> str:
        """Kafka's listener with TLS."""
        return f"localhost:{self._tls_port}"

    @property
    def kafka_of_unknown_name(self) -> str:
        """Kafka's listener that advertises `UNKNOWN_NAME`."""
        return f"localhost:{self._unknown_port}"

    def __enter__(self) -> Self:
        try:
            self.influxdb.start()
            self._kafka.__enter__()
            self.influxdb.wait_serving()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.influxdb.kill()
        self._kafka.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)
