"""Eighteen kinds of faults, drawn at random from a seed, one every 15 seconds under load."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from lab.errors import LabError
from tests.faults.harness.http_fault import Cut, Fault, Reply
from tests.faults.harness.repair import repair
from tests.faults.harness.rig import Rig

if TYPE_CHECKING:
    from collections.abc import Callable

#: Minutes of faults; `make soak MINUTES=60` says otherwise.
MINUTES = float(os.environ.get("MINUTES", "3"))

#: Seconds from one fault to the next, and records a second meanwhile.
EVERY_S = 15.0
RATE = 1_000.0

#: Seconds in which all that is left must be drained after the last fault is healed.
DRAIN_S = 200.0

#: A record that is none, for the dead letters.
POISON = b'{"memory": "No Such Instance currently exists at this OID"'


class Nemesis:
    """Draws faults from a seed, does them, and ends each before the next.

    Args:
        rig: What it breaks.
        draw: Decides which fault meets whom, for how long.
    """

    def __init__(self, rig: Rig, draw: random.Random) -> None:
        self.done: Counter[str] = Counter()
        #: Ends of a worker that may have left a write uncommitted.
        self.crashes = 0
        self._rig = rig
        self._draw = draw
        self._faults: dict[str, Callable[[float], None]] = {
            "worker killed": self._kill_worker,
            "worker terminated": self._terminate_worker,
            "worker stopped": self._pause_worker,
            "pool restarted": self._restart_pool,
            "broker killed": self._kill_broker,
            "broker stopped": self._pause_broker,
            "controller killed": self._kill_controller,
            "influxd killed": self._kill_influxd,
            "influxd stopped": self._pause_influxd,
            "answers swallowed": lambda s: self._proxy(Fault(reply=Reply.SWALLOW, chance=0.5), s),
            "bodies cut": lambda s: self._proxy(Fault(cut=draw.choice(list(Cut)), chance=0.5), s),
            "503": lambda s: self._proxy(Fault(status=503, headers={"Retry-After": "2"}), s),
            "429": lambda s: self._proxy(Fault(status=429, headers={"Retry-After": "1"}), s),
            "500": lambda s: self._proxy(Fault(status=500, chance=0.5), s),
            "401": lambda s: self._proxy(Fault(status=401, body=b'{"message":"unauthorized"}'), s),
            "slow answers": lambda s: self._proxy(Fault(latency_s=2.0), s),
            "connection refused": self._down,
            "poison": self._poison,
        }

    def strike(self) -> None:
        """Do one fault, or two at once now and then, and end it."""
        for name in self._draw.sample(sorted(self._faults), 2 if self._draw.random() < 0.2 else 1):
            print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
            self.done[name] += 1
            self._faults[name](self._draw.uniform(2, 8))

    def _kill_worker(self, _: float) -> None:
        self.crashes += bool(self._rig.pool.signal(self._draw.randrange(3), signal.SIGKILL))

    def _terminate_worker(self, _: float) -> None:
        self._rig.pool.terminate(self._draw.randrange(3))

    def _pause_worker(self, seconds: float) -> None:
        worker = self._draw.randrange(3)
        # Longer than its session: it comes back to partitions it has lost, with a batch in hand.
        self.crashes += bool(self._rig.pool.signal(worker, signal.SIGSTOP))
        time.sleep(seconds * 2)
        self._rig.pool.signal(worker, signal.SIGCONT)

    def _restart_pool(self, _: float) -> None:
        self._rig.pool.control("restart", "all")

    def _kill_broker(self, seconds: float) -> None:
        self._kill_node(self._draw.choice([3, 4, 5]), seconds)

    def _kill_controller(self, seconds: float) -> None:
        self._kill_node(self._draw.choice([0, 1, 2]), seconds)

    def _kill_node(self, number: int, seconds: float) -> None:
        node = self._rig.lab.node(number)
        node.kill()
        time.sleep(seconds)
        node.start()
        node.wait_serving(60)

    def _pause_broker(self, seconds: float) -> None:
        node = self._rig.lab.node(self._draw.choice([3, 4, 5]))
        node.pause()
        time.sleep(seconds * 2)
        node.resume()

    def _kill_influxd(self, seconds: float) -> None:
        self._rig.lab.influxdb.kill()
        time.sleep(seconds)
        self._rig.lab.influxdb.start()
        self._rig.lab.influxdb.wait_serving(60)

    def _pause_influxd(self, seconds: float) -> None:
        self._rig.lab.influxdb.pause()
        time.sleep(seconds)
        self._rig.lab.influxdb.resume()

    def _proxy(self, fault: Fault, seconds: float) -> None:
        self._rig.proxy.set(fault)
        time.sleep(seconds)
        self._rig.proxy.heal()

    def _down(self, seconds: float) -> None:
        self._rig.proxy.down()
        time.sleep(seconds)
        self._rig.proxy.heal()

    def _poison(self, _: float) -> None:
        for _each in range(self._draw.randrange(1, 100)):
            self._rig.load.send(self._draw.randrange(3), POISON, poison=True)


@pytest.mark.faults(31)
@pytest.mark.timeout(0)
def test_faults_of_every_kind_for_as_long_as_one_likes_lose_and_double_nothing(rig: Rig) -> None:
    """A fault every 15 seconds under load; then everything is healed, drained and counted."""
    rig.rate = RATE
    rig.deadline_s = DRAIN_S
    rig.start()
    nemesis = Nemesis(rig, random.Random(rig.seed))
    end = time.monotonic() + MINUTES * 60
    while (begun := time.monotonic()) < end:
        with suppress(TimeoutError, LabError, OSError):
            # A broker that is slow to come back, say: the next fault finds it as it is, healed at the end.
            nemesis.strike()
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - begun)))
    repair(rig.lab)
    rig.proxy.heal()
    rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    rig.healed()
    rig.result.notes += [
        f"{MINUTES:g} minutes at {RATE:g} records/s, a fault every {EVERY_S:g} s",
        ", ".join(f"{count} x {name}" for name, count in sorted(nemesis.done.items())),
    ]
    rig.figure("faults", nemesis.done.total())
    missed = sorted(set(nemesis._faults) - set(nemesis.done))
    if MINUTES >= 30:
        rig.expect("every kind", not missed, f"kinds of fault that never came: {missed}")

    rig.finish(crashes=nemesis.crashes)
