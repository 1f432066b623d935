"""One scenario's stage: a topic, a bucket, the load, the proxy, the pool and the watch, all its own."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from lab.influxdb.server import InfluxdbServer
from lab.kafka.topics import TopicAdmin
from lab.lab import Lab
from lab.provision import LabProvisioner, Secrets
from tests.faults.harness import stored
from tests.faults.harness.ledger import SendLedger
from tests.faults.harness.load import Load
from tests.faults.harness.proxy import Proxy
from tests.faults.harness.result import Result
from tests.faults.harness.sampler import Sampler
from tests.faults.harness.stored import Database, DeadLetter
from tests.support.pool import TowerPool

PARTITIONS = 3

#: Resident megabytes a worker may reach.
RSS_MB = 64.0


class Kafka(Protocol):
    """What a rig needs of a Kafka cluster: the lab's, or a scenario's own."""

    @property
    def bootstrap_servers(self) -> str:
        """Its brokers, for clients."""

    @property
    def topics(self) -> TopicAdmin:
        """It, as an administrator sees it."""


class Stage:
    """Everything a scenario needs, made fresh.

    Args:
        lab: Real Kafka and InfluxDB.
        result: Where verdicts and figures go.
        quick: Fewer records and shorter faults.
    """

    def __init__(self, lab: Lab, result: Result, *, quick: bool) -> None:
        self.lab = lab
        self.result = result
        self.quick = quick
        self.seed = result.seed
        #: Records Kafka must have confirmed at the end, the load tops up to it.
        self.records = 5_000 if quick else 100_000
        self.rate = 2_000.0
        self.deadline_s = 60.0 if quick else 120.0
        self.rss_mb = RSS_MB
        self.name = f"fault-{result.fault}-{self.seed}-{time.time_ns() // 10**6 % 10**8}"
        self.group = self.name
        self.kafka: Kafka = lab
        #: Where the proxy listens, and the words before the pool's command line: the pool's host.
        self.listen = "127.0.0.1"
        self.prefix: Sequence[str] = ()
        #: Further properties of the load's producer.
        self.producer: Mapping[str, Any] = {}
        self.load_type: type[Load] = Load
        #: Pools besides the first; all are checked alike.
        self.others: list[TowerPool] = []
        self._influxdb, self._secret_files = lab.influxdb, lab.secrets
        self.folder = Path(tempfile.mkdtemp(prefix=f"tower-{result.fault}-"))
        self.letters: list[DeadLetter] = []
        #: Those of them that stood in a topic which is gone.
        self._letters_before = 0
        self._reading = threading.Lock()
        #: By partition the offset below which nothing is asked for, see `exclude_committed`.
        self.excluded: dict[int, int] = {}
        self._secrets: list[str] = []
        self._begun = time.monotonic()
        self._stack = ExitStack()
        self.ledger = SendLedger(self.seed, PARTITIONS, self.folder / "ledger")
        self._stack.callback(self.ledger.close)

    def use(self, server: InfluxdbServer, secrets: Secrets) -> None:
        """Take another InfluxDB than the lab's; before `start`."""
        self._influxdb, self._secret_files = server, secrets

    def start(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        workers: int = PARTITIONS,
        keep: bool = False,
        config: Mapping[str, str] | None = None,
        pool: bool = True,
        prepare: Callable[[TowerPool], None] = lambda _: None,
        retention_s: int = 0,
    ) -> None:
        """Make topic, bucket, proxy, pool, watch and load, and wait until the first points are stored.

        Args:
            environment: Settings of the workers besides the scenario's own.
            workers: Number of workers.
            keep: Keep the text of every write.
            config: Settings of the topic.
            pool: False starts no pool: the scenario brings its own.
            prepare: Called before the pool is started.
            retention_s: Seconds the bucket keeps points, for ever when 0.
        """
        self.kafka.topics.create(self.name, PARTITIONS, config=dict(config or {}))
        self.kafka.topics.create(self.dead_letter_topic, 1)
        self.token = LabProvisioner(self._influxdb, self._secret_files).bucket(self.name, retention_s)
        self.token_file = self.folder / "token"
        self.rotate(self.token)
        admin = self._secret_files.admin_token.read_text().strip()
        self.database = Database(self._influxdb.url, admin, self.name)
        self.proxy = self._stack.enter_context(Proxy(self._influxdb.url, self.seed, self.listen, keep))
        self.settings = self.environment() | dict(environment or {})
        self.pool = TowerPool(self.folder / "pool", self.settings, workers, self.prefix)
        self.sampler = Sampler(
            self.bootstrap,
            self.group,
            self.name,
            ledger=self.ledger,
            database=self.database,
            dead=self.dead_letters,
            look=self._look if pool else lambda: None,
        )
        self.load = self.load_type(self.bootstrap, self.name, self.ledger, self.rate, self.producer)
        self._stack.callback(self.load.stop, 1.0)
        if pool:
            prepare(self.pool)
            self._stack.callback(self.pool.stop)
            self.pool.start()
        self._stack.callback(self.sampler.stop)
        self.sampler.start()
        self.load.start()
        if pool:
            self.until(lambda: self.proxy.acknowledged() > 0, 30, "the first write")

    def grow(self, partitions: int) -> None:
        """Give the topic more partitions, and send to all of them."""
        self.kafka.topics.grow(self.name, partitions)
        self.ledger.grow(partitions)
        self.sampler.grow(self.name, partitions)
        self.pool.partitions = partitions
        self.load.learn(partitions, 30)

    def join(self, workers: int, prefix: Sequence[str]) -> TowerPool:
        """A further pool of the same group, on another host.

        Args:
            workers: Number of its workers.
            prefix: Words before its command line.
        """
        new_pool = TowerPool(self.folder / f"pool-{len(self.others) + 1}", self.settings, workers, prefix)
        self._stack.callback(new_pool.stop)
        new_pool.start(wait=False)
        self.others.append(new_pool)
        return new_pool

    @property
    def pools(self) -> list[TowerPool]:
        """All pools."""
        return [self.pool, *self.others]

    @property
    def peak_mb(self) -> float:
        """Largest resident memory of any worker so far."""
        return max(pool.peak_mb for pool in self.pools)

    def _look(self) -> None:
        for pool in self.pools:
            pool.look()

    @property
    def bootstrap(self) -> str:
        """The brokers."""
        return self.kafka.bootstrap_servers

    @property
    def dead_letter_topic(self) -> str:
        """Where this scenario's dead letters go."""
        return f"{self.name}.dlq"

    def environment(self) -> dict[str, str]:
        """Settings with which a worker does this scenario's work."""
        return {
            **self.lab.worker_environment(),
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "TOWER_KAFKA_GROUP_ID": self.group,
            "TOWER_TOPIC": self.name,
            "TOWER_DEAD_LETTER_TOPIC": self.dead_letter_topic,
            "TOWER_INFLUXDB_URL": self.proxy.url,
            "TOWER_INFLUXDB_BUCKET": self.name,
            "TOWER_INFLUXDB_TOKEN_FILE": str(self.token_file),
        }

    def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> float:
        """Wait for a condition with a deadline; gives the seconds it took."""
        return self.pool.until(condition, timeout_s, what)

    def rotate(self, token: str) -> None:
        """Put another token into the workers' file, as a secret's keeper does: at once and whole."""
        draft = self.token_file.with_suffix(".new")
        draft.touch(0o600)
        draft.write_text(token)
        draft.replace(self.token_file)
        self.token = token
        self.expect_secret(token)

    def expect_secret(self, secret: str) -> None:
        """Let the end of the scenario search all logs and command lines for this."""
        if secret not in self._secrets:
            self._secrets.append(secret)

    def exclude_committed(self) -> None:
        """From here on ask for nothing that is committed now: its bucket is gone."""
        self.excluded = self.sampler.committed()
        self.sampler.forget(self.excluded)

    def dead_letters(self) -> list[DeadLetter]:
        """The dead letters so far. Their topic has one partition, so each letter's offset is its place."""
        with self._reading:
            start = len(self.letters) - self._letters_before
            self.letters += stored.dead_letters(self.bootstrap, self.dead_letter_topic, start)
        return self.letters

    def remove_dead_letter_topic(self) -> None:
        """Remove the topic of the dead letters; those it has are read before, and asked for at the end."""
        self.dead_letters()
        with self._reading:
            self.lab.topics.delete(self.dead_letter_topic)
            self._letters_before = len(self.letters)

    def at_end(self, undo: Callable[[], None]) -> None:
        """Call this once everything that is started later has been stopped."""
        self._stack.callback(undo)

    def close(self) -> None:
        """Stop everything of this scenario, also after a failure in its middle."""
        self._stack.close()

    def keep_evidence(self, folder: Path) -> None:
        """Move ledger, logs and states to where a person finds them."""
        target = folder / self.name
        shutil.rmtree(target, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(
            self.folder, target, symlinks=True, ignore=shutil.ignore_patterns("*.sock*", "token*")
        )

    def discard(self) -> None:
        """Remove the scenario's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
