"""`/live` and `/ready`: what a container's or Kubernetes' probes ask."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from workers.commands.pool.record_troubles import MAX_DEAD_SHARE, record_troubles
from workers.commands.pool.troubles import Trouble
from workers.commands.serve.observation import Observation

#: A `why` of a waiting worker that begins like this is an answer only an operator can change.
OURS = ("InfluxDB: 401", "InfluxDB: 403", "InfluxDB: 404")


def live(supervisord: Callable[[], str] | None) -> tuple[bool, dict[str, Any]]:
    """Return whether this process and supervisord answer. Never asks Kafka or InfluxDB.

    Args:
        supervisord: Returns why supervisord is silent; None if it did not start this process.
    """
    if supervisord is None:
        return True, {"live": True, "why": [], "supervisord": "did not start this process"}
    why = supervisord()
    return not why, {"live": not why, "why": [why] if why else [], "supervisord": why or "running"}


def ready(observation: Observation) -> tuple[bool, dict[str, Any]]:
    """Return whether each partition is read, or waits for a reason that is not Tower's.

    Dead letters are no such reason: the partition is read.
    """
    about_records = {*record_troubles(observation.workers, MAX_DEAD_SHARE)}
    troubles = [trouble for trouble in observation.errors if trouble not in about_records]
    foreign = [trouble for trouble in troubles if _is_foreign(trouble, observation)]
    own = [trouble for trouble in troubles if trouble not in foreign]
    content = {
        "ready": not own,
        "why": [asdict(trouble) for trouble in own],
        "waiting_for": [asdict(trouble) for trouble in foreign],
    }
    return not own, content


def _is_foreign(trouble: Trouble, observation: Observation) -> bool:
    if trouble.cause == observation.facts.offsets.problem:
        return True
    worker = next((worker for worker in observation.running if worker.number == trouble.worker), None)
    is_wait = worker is not None and trouble.cause.startswith(f"worker {worker.number} is waiting")
    return is_wait and worker is not None and not worker.why.startswith(OURS)
