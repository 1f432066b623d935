"""Faults of the network: brokers and workers on hosts of their own, and the cables between them."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.kafka.topics import OFFSETS
from lab.system.network import Host, Network, missing, network
from tests.faults.harness.cluster import Cluster, combined
from tests.faults.harness.rig import Rig
from tests.faults.harness.stage import PARTITIONS
from tests.faults.test_brokers import expect_no_reset, offsets_partition
from tests.support.pool import ROOT, TowerPool

#: Seconds each cut lasts.
CUT_S = 60.0

#: Seconds after its last heartbeat until a worker's partitions go to others, and for that to be done.
SESSION_S, REBALANCE_S = 15.0, 10.0

#: Seconds without a write that a broker cut off may cost the partitions it did not lead: where it is the
#: coordinator, the workers' session with it has to end first.
MINORITY_S = 30.0

#: Seconds from the heal to the first write.
RESUME_S = 15.0

#: Ports on a host of its own can be Kafka's usual ones.
PORT, CONTROLLER_PORT = 9092, 9093


@dataclass
class Hosts:
    """Three hosts with a Kafka node each, one for the pool, and one for a worker alone."""

    network: Network
    cluster: Cluster

    @property
    def brokers(self) -> list[Host]:
        """Those of the Kafka nodes, by id."""
        return self.network.hosts[:3]

    @property
    def pool(self) -> Host:
        """That of the pool."""
        return self.network.hosts[3]

    @property
    def alone(self) -> Host:
        """That of the worker alone."""
        return self.network.hosts[4]


@pytest.fixture(scope="module")
def cabled() -> Iterator[Hosts]:
    """The hosts, with Kafka serving on three of them, for all scenarios of this file."""
    assert not missing(), f"fault 27 needs hosts on a bridge: {missing()}"
    with network(5) as hosts, tempfile.TemporaryDirectory(prefix="tower-kafka-") as folder:
        places = hosts.hosts[:3]
        specs = [
            combined(number, PORT, CONTROLLER_PORT, host.address) for number, host in enumerate(places)
        ]
        with Cluster(Path(folder), specs, [host.words for host in places]) as cluster:
            yield Hosts(hosts, cluster)


@pytest.fixture
def hosts(cabled: Hosts, rig: Rig) -> Iterator[Hosts]:
    """The hosts, whole, and a rig that is told of them."""
    rig.kafka = cabled.cluster
    rig.listen = cabled.network.here.address
    rig.prefix = cabled.pool.words
    rig.result.notes.append("three brokers, which are controllers too, each on a host of its own")
    yield cabled
    cabled.network.heal()
    cabled.cluster.until_in_sync()


def pids(rig: Rig) -> list[int]:
    """Process ids of all workers."""
    return sorted(pid for pool in rig.pools for pid in pool.pids().values())


def expect_heartbeats(rig: Rig) -> None:
    """Every worker's loop goes round, whatever it cannot reach."""
    ages = [worker.heartbeat_age_s for pool in rig.pools for worker in pool.vitals()]
    rig.expect("heartbeats in the cut", max(ages) < 5, f"at most {max(ages):.1f} s old")


def owned(pool: TowerPool) -> set[int]:
    """Partitions a pool's workers say they own."""
    return set(pool.owners())


@pytest.mark.faults(27)
def test_a_worker_cut_from_kafka_loses_its_partition_to_the_others_and_comes_back(
    rig: Rig, hosts: Hosts
) -> None:
    """One of three, on a host of its own: it still reaches InfluxDB, and must harm nothing."""
    rig.start(workers=2)
    alone = rig.join(1, hosts.alone.words)
    rig.until(lambda: len(owned(alone)) == 1 and len(owned(rig.pool)) == 2, 60, "a partition each")
    before = pids(rig)
    rig.run_for(5)
    (partition,) = owned(alone)
    cut = time.monotonic()
    hosts.network.cut([hosts.alone], hosts.brokers)
    rig.run_for(CUT_S)
    quiet = rig.proxy.longest_gap(cut, time.monotonic(), partition)
    rig.figure("silence_s", quiet)
    taken = owned(rig.pool)
    rig.expect("taken over", taken == {0, 1, 2}, f"in the cut the others owned {sorted(taken)}")
    rig.expect("given up", not owned(alone), f"in the cut it believed to own {sorted(owned(alone))}")
    limit = SESSION_S + REBALANCE_S
    rig.expect("recovery", quiet <= limit, f"partition {partition} silent {quiet:.1f} s, at most {limit:g}")
    expect_heartbeats(rig)
    hosts.network.heal()
    rig.healed()
    back = rig.until(
        lambda: len(owned(alone)) == 1 and len(owned(rig.pool)) == 2, 60, "the worker to be back"
    )
    rig.figure("back_s", back)
    rig.expect_same_processes(before, pids(rig))
    expect_no_reset(rig)

    rig.finish(crashes=PARTITIONS)


def from_kafka(hosts: Hosts) -> None:
    """Neither way."""
    hosts.network.cut([hosts.pool], hosts.brokers)


def from_influxdb(hosts: Hosts) -> None:
    """Neither way."""
    hosts.network.cut([hosts.pool], [hosts.network.here])


def from_all(hosts: Hosts) -> None:
    """The cable is pulled."""
    hosts.pool.unplug()


def from_answers(hosts: Hosts) -> None:
    """What the workers send arrives and is acted upon; they hear nothing."""
    for broker in hosts.brokers:
        broker.lose(hosts.pool)


def from_being_heard(hosts: Hosts) -> None:
    """What the workers send is lost; they would hear what Kafka said unasked."""
    hosts.pool.lose(*hosts.brokers)


@pytest.mark.faults(27)
@pytest.mark.parametrize(
    "sever",
    [
        pytest.param(from_kafka, id="from Kafka"),
        pytest.param(from_influxdb, id="from InfluxDB"),
        pytest.param(from_all, id="from both, the cable pulled"),
        pytest.param(from_answers, id="Kafka's answers are lost"),
        pytest.param(from_being_heard, id="requests to Kafka are lost"),
    ],
)
def test_a_pool_cut_off_waits_and_goes_on_by_itself(
    rig: Rig, hosts: Hosts, sever: Callable[[Hosts], None]
) -> None:
    """All three workers on one host, for a minute."""
    rig.start()
    before = pids(rig)
    rig.run_for(5)
    rebalances = rig.pool.counter("rebalances")
    cut = time.monotonic()
    sever(hosts)
    rig.run_for(CUT_S)
    late = [request for request in rig.proxy.writes(cut + SESSION_S) if request.status == 204]
    rig.expect("cut", not late, f"{len(late)} writes later than {SESSION_S:g} s after the cut")
    expect_heartbeats(rig)
    hosts.network.heal()
    healed = time.monotonic()
    rig.healed(healed)
    again = rig.until_written(healed, timeout_s=90)
    rig.expect("recovery", again <= RESUME_S, f"first write {again:.1f} s later, at most {RESUME_S:g}")
    if sever is from_influxdb:
        moved = rig.pool.counter("rebalances") - rebalances
        rig.expect("membership", moved == 0, f"{moved} rebalances")
    rig.expect_same_processes(before, pids(rig))
    expect_no_reset(rig)

    rig.finish(crashes=PARTITIONS)


def leader_seen_from(host: Host, bootstrap: str, topic: str, partition: int) -> int:
    """Who leads a partition, by the brokers that can be reached from a host; -1 while nobody does.

    A client that reaches the one cut off may go on asking it, and be told that it leads.
    """
    code = (
        "import sys; from lab.kafka.topics import TopicAdmin; "
        "print(TopicAdmin(sys.argv[1], 3).leader(sys.argv[2], int(sys.argv[3])))"
    )
    done = subprocess.run(
        [*host.words, sys.executable, "-c", code, bootstrap, topic, str(partition)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return int(done.stdout) if done.returncode == 0 else -1


@pytest.mark.faults(27)
@pytest.mark.parametrize("role", ["leader", "coordinator"])
def test_a_broker_cut_from_the_others_but_not_from_clients_takes_nobody_with_it(
    rig: Rig, hosts: Hosts, role: str
) -> None:
    """It goes on believing that it leads; what it alone has and never confirmed may be gone afterwards.

    A worker that has a connection to it may believe that too until the cut is healed: librdkafka asks for
    metadata where it asked last. So partitions that it led may stand still, and no other.
    """
    # Else the load itself would believe in it for longer than the workers, and give them nothing to write.
    rig.producer = {"request.timeout.ms": 5_000, "topic.metadata.refresh.interval.ms": 2_000}
    rig.start()
    before = pids(rig)
    rig.run_for(5)
    topics = hosts.cluster.topics
    topic, partition = rig.name, 0
    if role == "coordinator":
        topic, partition = OFFSETS, offsets_partition(rig.group, topics.partitions(OFFSETS))
    minority = topics.leader(topic, partition)
    led = {number for number in range(PARTITIONS) if topics.leader(rig.name, number) == minority}
    others = [host for number, host in enumerate(hosts.brokers) if number != minority]
    reachable = ",".join(f"{host.address}:{PORT}" for host in others)
    cut = time.monotonic()
    hosts.network.cut([hosts.brokers[minority]], others)
    rig.until(
        lambda: leader_seen_from(others[0], reachable, topic, partition) not in {minority, -1},
        CUT_S,
        "the others to have another leader",
    )
    rig.figure("moved_s", time.monotonic() - cut)
    rig.run_for(CUT_S - (time.monotonic() - cut))
    quiet = {number: rig.proxy.longest_gap(cut, time.monotonic(), number) for number in range(PARTITIONS)}
    worst = max((gap for number, gap in quiet.items() if number not in led), default=0.0)
    rig.figure("silence_s", worst)
    rig.figure("minority_silence_s", max((quiet[number] for number in led), default=None))
    text = f"longest silence {worst:.1f} s of what it did not lead, at most {MINORITY_S:g}"
    rig.expect("recovery", worst <= MINORITY_S, text)
    expect_heartbeats(rig)
    hosts.network.heal()
    healed = time.monotonic()
    rig.healed(healed)
    again = max(rig.until_written(healed, number) for number in range(PARTITIONS))
    rig.expect("resumes", again <= RESUME_S, f"every partition written {again:.1f} s after the heal")
    hosts.cluster.until_in_sync(rig.name)
    rig.expect_same_processes(before, pids(rig))
    expect_no_reset(rig)

    rig.finish(crashes=2 * PARTITIONS)
