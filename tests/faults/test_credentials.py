"""Faults of what lets workers in: certificates nobody should believe, and passwords that are others now."""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.harness import checks
from tests.faults.harness.certificates import Authority
from tests.faults.harness.rig import Rig
from tests.faults.harness.secured_cluster import USER, Secured, secured
from tests.faults.harness.stage import PARTITIONS
from tests.faults.test_brokers import expect_no_reset

#: Seconds each refusal lasts, once every broker refuses.
REFUSED_S = 15.0

#: Seconds from the repair to the first write: a reconnection, and a place in a group that ended meanwhile.
RESUME_S = 15.0

#: Resident megabytes a worker may reach: TLS costs some, and a client that is replaced is there twice for a
#: moment.
RSS_MB = 80.0

#: A record that is none.
POISON = b'{"memory": "No Such Instance currently exists at this OID"'


@pytest.fixture(scope="module")
def walled() -> Iterator[Secured]:
    """The cluster of all scenarios of this file."""
    with tempfile.TemporaryDirectory(prefix="tower-tls-") as folder, secured(Path(folder)) as secured_lab:
        yield secured_lab


class Guests:
    """Workers that come in by TLS and password.

    Args:
        rig: Their rig, not yet started.
        kafka: The cluster.
    """

    def __init__(self, rig: Rig, kafka: Secured) -> None:
        self.rig = rig
        self.kafka = kafka
        self._password = rig.folder / "token-kafka"
        self.trusted = rig.folder / "ca.pem"
        rig.kafka = kafka.cluster
        rig.rss_mb = RSS_MB
        rig.result.notes.append(
            "three brokers, which are controllers too; workers by SASL_SSL, SCRAM-SHA-512"
        )

    def start(self) -> None:
        """Start the pool, let in."""
        self.kafka.issue(self.kafka.authority.issue)
        self.kafka.reload()
        self.trusted.write_text(self.kafka.authority.certificate.read_text())
        password = new_password()
        self.kafka.set_password(password)
        self.tell(password)
        self.rig.start(
            {
                "TOWER_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
                "TOWER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "TOWER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
                "TOWER_KAFKA_SASL_USERNAME": USER,
                "TOWER_KAFKA_SASL_PASSWORD_FILE": str(self._password),
                "TOWER_KAFKA_SSL_CA_LOCATION": str(self.trusted),
            }
        )

    def tell(self, password: str) -> None:
        """Put a password into the workers' file, at once and whole."""
        draft = self._password.with_suffix(".new")
        draft.touch(0o600)
        draft.write_text(password)
        draft.replace(self._password)
        self.rig.expect_secret(password)

    def expect_waiting(self, what: str, option: str) -> None:
        """For a while nobody is let in: the workers wait, say what to look at, and go no other way."""
        rig = self.rig
        begun, logged = time.monotonic(), [len(rig.pool.log(partition)) for partition in range(PARTITIONS)]
        processes = [psutil.Process(pid) for pid in rig.pool.pids().values()]
        spent = {worker.pid: sum(worker.cpu_times()[:2]) for worker in processes}
        rig.run_for(REFUSED_S)
        share = max((sum(worker.cpu_times()[:2]) - spent[worker.pid]) / REFUSED_S for worker in processes)
        late = [request for request in rig.proxy.writes(begun + 1) if request.status == 204]
        rig.expect(f"refused, {what}", not late, f"{len(late)} writes in {REFUSED_S:g} s")
        silent = [partition for partition in range(PARTITIONS) if option not in rig.pool.log(partition)]
        added = sum(
            len(rig.pool.log(partition)) - before
            for partition, before in zip(range(PARTITIONS), logged, strict=True)
        )
        said = f"{option} is named in all logs but {silent}; {added} bytes more of them"
        rig.expect(f"log, {what}", not silent and added < 20_000, said)
        rig.expect(f"no spin, {what}", share < 0.2, f"busiest worker used {share:.1%} of a core")
        ages = [worker.heartbeat_age_s for worker in rig.pool.vitals()]
        rig.expect(f"heartbeats, {what}", max(ages) < 5, f"at most {max(ages):.1f} s old")
        plain = {node.spec.port for node in self.kafka.cluster.nodes}
        met = [
            peer.raddr.port
            for worker in processes
            for peer in worker.net_connections("tcp")
            if peer.raddr and peer.raddr.port in plain
        ]
        rig.expect(f"no plaintext, {what}", not met, f"{len(met)} connections to plain listeners")

    def expect_back(self, what: str, since: float) -> None:
        """They are let in again, and go on without anybody's help."""
        self.rig.healed(since)
        took = self.rig.until_written(since)
        self.rig.figure(f"back_{what}_s", took)
        self.rig.expect(f"resumes, {what}", took <= RESUME_S, f"first write {took:.1f} s later")


@pytest.fixture
def guests(rig: Rig, walled: Secured) -> Guests:
    """The workers of one scenario."""
    return Guests(rig, walled)


def new_password() -> str:
    """One that is found wherever it stands."""
    return f"CANARY-{secrets.token_hex(16)}"


@pytest.mark.faults(29)
def test_brokers_whose_certificates_are_not_to_be_believed_are_waited_for(rig: Rig, guests: Guests) -> None:
    """Expired, then for another host, and renewed; then of another authority, until it is trusted."""
    guests.start()
    kafka = guests.kafka
    before = rig.pool.pids()
    authority = kafka.authority
    wrong: dict[str, Callable[[Path], None]] = {
        "expired": lambda path: authority.issue(path, days=-1),
        "other_host": lambda path: authority.issue(path, host="elsewhere.invalid"),
    }
    for what, issue in wrong.items():
        rig.run_for(3)
        kafka.issue(issue)
        kafka.cluster.restart(rig.name)
        guests.expect_waiting(what, "TOWER_KAFKA_SSL_CA_LOCATION")
        kafka.issue(authority.issue)
        renewed = time.monotonic()
        kafka.reload()
        guests.expect_back(what, renewed)
    rig.run_for(3)
    other = Authority(kafka.folder / "other", "another authority")
    kafka.issue(other.issue)
    kafka.cluster.restart(rig.name)
    guests.expect_waiting("other_authority", "TOWER_KAFKA_SSL_CA_LOCATION")
    guests.trusted.write_text("-----BEGIN CERTIFICATE-----\n")
    rig.run_for(5)
    guests.trusted.write_text(other.certificate.read_text())
    guests.expect_back("other_authority", time.monotonic())
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=4 * PARTITIONS)


@pytest.mark.faults(29)
def test_a_rotated_kafka_password_is_taken_up_from_its_file(rig: Rig, guests: Guests) -> None:
    """Once Kafka knows it before the workers do, and once the workers' file has it first.

    One record in a thousand is a dead letter, which goes to Kafka by a client of its own.
    """
    rig.rate = 1_000
    guests.start()
    rig.load.poison = lambda _, draw: POISON if draw.random() < 0.001 else None
    before = rig.pool.pids()
    rig.run_for(5)
    late = new_password()
    guests.kafka.set_password(late)
    rig.until(lambda: refused(rig), 30, "the old password to be refused everywhere")
    guests.expect_waiting("password", "TOWER_KAFKA_SASL_PASSWORD")
    guests.tell(late)
    guests.expect_back("password", time.monotonic())
    rig.run_for(5)
    renewals = rig.pool.counter("renewals")
    early = new_password()
    guests.tell(early)
    rig.run_for(8)
    moved = rig.pool.counter("renewals") - renewals
    rig.expect("patience", moved == 0, f"{moved} clients replaced before the old password was refused")
    guests.kafka.set_password(early)
    rig.run_for(15)
    quiet = max(
        rig.proxy.longest_gap(time.monotonic() - 15, time.monotonic(), number)
        for number in range(PARTITIONS)
    )
    rig.expect("rotation in order", quiet <= RESUME_S, f"longest silence {quiet:.1f} s")
    # A client that was replaced closes beside the next one, and waits for those who refuse it.
    rig.figure("closed_s", rig.until(lambda: closed(rig), 90, "replaced clients to have closed"))
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=4 * PARTITIONS)


def refused(rig: Rig) -> bool:
    """Whether nothing has been written for a while."""
    now = time.monotonic()
    return not any(request.status == 204 for request in rig.proxy.writes(now - 3))


def closed(rig: Rig) -> bool:
    """Whether every worker has about as many files open as at its start."""
    return all(
        worker.files <= rig.pool.first[worker.pid].files + checks.FILES_GROWTH
        for worker in rig.pool.vitals()
    )
