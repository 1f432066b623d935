"""C9: whenever records do not become points, `status` says so, and it never says so without a cause."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from tests.faults.harness.checks import Verdict
from tests.faults.harness.stage import Stage
from tests.faults.harness.stored import EXAMPLES
from tests.support.pool import TowerPool
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.worker_states import read_states
from workers.commands.pool.facts import read_facts
from workers.commands.pool.trouble import Severity, Trouble
from workers.commands.pool.troubles import find_troubles
from workers.config.settings import load
from workers.errors import CommandError

#: Seconds in which `status` has to say that records do not become points.
WITHIN_S = 15.0

#: Seconds between two looks.
INTERVAL_S = 2.0

#: Seconds by which what is measured and what `status` says may be apart, when a fault begins or ends.
APART_S = 6.0

#: Words by which a trouble is one of dead letters.
DEAD = "dead letter"

#: Gives the troubles of a pool; a control gives other ones.
Find = Callable[..., list[Trouble]]


@dataclass(frozen=True, slots=True)
class Look:
    """What was true at one moment, and what `status` said then.

    Args:
        at: Monotonic seconds.
        committed: Sum of the group's committed offsets.
        lag: Records that are not committed.
        dead: Dead letters in their topic.
        errors: Causes of the errors that `status` shows.
        warnings: Causes of its warnings.
        cause: What the scenario itself has broken at this moment; empty if nothing.
    """

    at: float
    committed: int
    lag: int
    dead: int
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    cause: str = ""


def honest(looks: Sequence[Look], within_s: float = WITHIN_S) -> Verdict:
    """C9, from all looks of a run in their order."""
    silent: list[str] = []
    groundless: list[str] = []
    for place, look in enumerate(looks):
        window = [
            earlier for earlier in looks[: place + 1] if earlier.at >= look.at - within_s - INTERVAL_S
        ]
        is_whole = look.at - window[0].at >= within_s
        told = [text for each in window for text in each.errors]
        stands = is_whole and window[0].committed == look.committed and all(each.lag for each in window)
        if stands and not told:
            silent.append(f"nothing committed for {look.at - window[0].at:.0f} s of {look.lag} records")
        said = [text for each in window for text in (*each.errors, *each.warnings) if DEAD in text]
        if is_whole and look.dead > window[0].dead and not said:
            silent.append(f"{look.dead - window[0].dead} dead letters in {look.at - window[0].at:.0f} s")
        if look.errors and not (look.cause or _has_ground(looks, place)):
            groundless.append(look.errors[0])
    evidence = f"{len(looks)} looks at status, {len(silent)} silent, {len(groundless)} without a cause"
    for wrong in (silent, groundless):
        if wrong:
            evidence += f": {'; '.join(wrong[:EXAMPLES])}"
    return Verdict("C9", not silent and not groundless and len(looks) > within_s / INTERVAL_S / 2, evidence)


def _has_ground(looks: Sequence[Look], place: int) -> bool:
    """Whether what was measured around a look explains its errors."""
    look = looks[place]
    if look.dead > 0 and all(DEAD in text for text in look.errors):
        return True
    near = [other for other in looks if abs(other.at - look.at) <= APART_S]
    return any(later.lag > 0 and later.committed == earlier.committed for earlier, later in pairwise(near))


@dataclass
class StatusWatch:
    """Looks at a pool as `tower status` does, until the block ends.

    Args:
        pool: The pool.
        cause: What the scenario has broken; set it while that lasts, and while `status` may still show it.
        find: Gives the troubles; a control gives others than `status`.
        looks: All looks so far.
    """

    pool: TowerPool
    cause: str = ""
    find: Find = find_troubles
    looks: list[Look] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="status watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def troubles(self) -> list[Trouble]:
        """What `status` says now."""
        settings, facts = self._facts()
        return self.find(read_states(settings.run_dir, time.time()), facts)

    def _facts(self) -> tuple[Any, Any]:
        environment = self.pool.process_environment() | {"TOWER_RUN_DIR": str(self.pool.var)}
        settings = load(environment, credentials=False)
        return settings, read_facts(settings, self.pool.workers)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            # Without Kafka there is no measure of what is committed, so there is nothing to judge.
            with suppress(CommandError):
                self._look()

    def _look(self) -> None:
        cause = self.cause
        settings, facts = self._facts()
        troubles = self.find(read_states(settings.run_dir, time.time()), facts)
        offsets = facts.offsets
        dead = sum(KafkaAdmin(settings).end_offsets(settings.dead_letter_topic).values())
        committed = sum(offsets.committed.values())
        errors = [trouble.cause for trouble in troubles if trouble.severity is Severity.ERROR]
        warnings = [trouble.cause for trouble in troubles if trouble.severity is Severity.WARNING]
        self.looks.append(
            Look(
                time.monotonic(),
                committed,
                sum(offsets.ends.values()) - committed,
                dead,
                tuple(errors),
                tuple(warnings),
                cause or self.cause,
            )
        )


@contextmanager
def watched(rig: Stage) -> Iterator[StatusWatch]:
    """Look at the status of a scenario's pool until the block ends, and make check C9 of it."""
    with StatusWatch(rig.pool) as watch:
        yield watch
    rig.result.verdicts.append(honest(watch.looks))
