"""Dead letters that cannot be written: the partition that has one in hand waits, and no other."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.faults.harness.rig import Rig

#: The partition that gets the poison.
PARTITION = 0

#: Seconds until Kafka's client gives up on one try to write a dead letter, and a few more.
TRY_S = 45.0

#: Longest silence in seconds of the partitions without poison.
SILENCE_S = 2.0

#: Seconds from when the dead letters can be written to the first write of the partition: the longest pause
#: between two tries (1.5 s), until Kafka's client asks again after a topic it did not find or a broker that
#: was away, and the batch.
RESUMES_S = 10.0

#: Bytes of one poisonous record, too many for `SMALL`.
POISON_BYTES = 5_000
SMALL = 2_000
LARGE = 20_971_520


def why(rig: Rig) -> str:
    """What the poisoned partition's owner says it waits for, nothing where it does not wait."""
    state = rig.pool.state(rig.pool.owner(PARTITION))
    return str(state["why"]) if state["state"] == "waiting" else ""


def complaints(rig: Rig) -> list[str]:
    """Errors about dead letters in the log of the poisoned partition's owner."""
    lines = rig.pool.log(rig.pool.owner(PARTITION)).splitlines()
    return [line for line in lines if " ERROR tower.deadletters dead letters cannot be written to" in line]


def is_held(rig: Rig, poison: int) -> bool:
    """Whether the poisoned partition's committed offset has not passed its poison."""
    return rig.sampler.committed()[PARTITION] <= rig.ledger.books[PARTITION].offsets[poison]


@contextmanager
def waiting(rig: Rig, name: str) -> Iterator[None]:
    """Send poison to one partition, see it alone wait, and after the block, which mends, see it go on."""
    draw = random.Random(rig.seed)
    before, spawned = len(complaints(rig)), len(rig.pool.spawned())
    poison = rig.load.send(PARTITION, b"{" + draw.randbytes(POISON_BYTES), poison=True)
    rig.until(
        lambda: "dead letters" in why(rig), 15, f"{name}: a partition that waits for its dead letters"
    )
    since = time.monotonic()
    rig.until(lambda: len(complaints(rig)) > before, TRY_S, f"{name}: an error in the log")
    rig.until(lambda: "cannot be written" in why(rig), 5, f"{name}: the state to say why")
    rig.run_for(5)
    reasons, held = why(rig), is_held(rig, poison)
    silence = max(rig.proxy.longest_gap(since, time.monotonic(), partition) for partition in (1, 2))
    yield
    healed = time.monotonic()
    rig.until(lambda: not is_held(rig, poison), 60, f"{name}: the commit of the poison")
    took = rig.until_written(healed, PARTITION)
    rig.healed(healed, PARTITION)
    rig.expect(f"{name}: held", held, f"the committed offset stayed before the poison: {held}")
    rig.expect(
        f"{name}: reasons",
        rig.dead_letter_topic in reasons,
        f"{reasons!r}, and {complaints(rig)[-1][-150:]!r}",
    )
    rig.expect(f"{name}: others", silence <= SILENCE_S, f"longest silence of the others {silence:.1f} s")
    rig.expect(f"{name}: resumes", took <= RESUMES_S, f"first write {took:.1f} s after it could")
    starts = len(rig.pool.spawned()) - spawned
    rig.expect(f"{name}: no crash", starts <= 1, f"{starts} starts, at most the one that was asked for")


@pytest.mark.faults(25)
def test_dead_letters_that_cannot_be_written_hold_their_partition_alone(rig: Rig) -> None:
    """Their topic is missing; takes no message of that size; has too few replicas; is removed in use.

    In the second case the waiting worker is stopped and started again, which costs a batch. The letters of
    the topic that is removed last are read before, as its owner would keep them.
    """
    rig.start()
    topics, topic = rig.lab.topics, rig.dead_letter_topic
    rig.load.rate = 500
    rig.run_for(2)

    rig.remove_dead_letter_topic()
    with waiting(rig, "missing"):
        topics.create(topic, 1)

    topics.configure(topic, {"max.message.bytes": str(SMALL)})
    with waiting(rig, "too small"):
        worker = rig.pool.owner(PARTITION)
        pid, took = rig.pool.terminate(worker)
        rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
        rig.until(lambda: "dead letters" in why(rig), 15, "the restarted worker to wait again")
        codes = rig.pool.exit_codes(pid)
        rig.expect("stopped", codes == [0] and took <= 20, f"exit codes {codes} in {took:.1f} s")
        topics.configure(topic, {"max.message.bytes": str(LARGE)})

    topics.configure(topic, {"min.insync.replicas": "3"})
    broker = rig.lab.node(topics.leader(topic, 0))
    broker.kill()
    left: Callable[[], bool] = lambda: all(  # noqa: E731 - one condition, told once
        broker.spec.id not in replicas for replicas in topics.in_sync_replicas(rig.name).values()
    )
    rig.until(left, 30, "the replicas without the broker")
    rig.run_for(3)
    with waiting(rig, "too few replicas"):
        broker.start()
        rig.until(lambda: topics.all_in_sync(topic), 60, "the broker to be back in sync")
    topics.configure(topic, {"min.insync.replicas": "2"})

    rig.remove_dead_letter_topic()
    with waiting(rig, "removed in use"):
        topics.create(topic, 1)

    rig.finish(crashes=1, reasons={"json"})
