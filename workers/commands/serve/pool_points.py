"""Points about the pool itself, so that Chronograf can show it beside the records.

They go to the bucket (v2) or database (v1) of the settings, because the workers' token may write there. An
HTTP request each `TOWER_SERVE_POINTS_S` does not need the influxdb-client, which costs 22 MB here.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workers.commands.clients.influxdb_api import ApiResponse, InfluxdbApi, basic, token
from workers.commands.clients.worker_states import WorkerReport
from workers.commands.pool.partition_rows import COUNTERS
from workers.commands.serve.observation import Observation
from workers.config import tls
from workers.config.influxdb_credentials import masked_answer
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.log import ThrottledLogger
from workers.records import escape
from workers.state import WorkerState
from workers.types import PartitionKey, topic_and_number

MEASUREMENT = "tower"

#: `state` of a worker that does not run.
DOWN = "down"

#: Seconds for one write.
WRITE_S = 5.0

Fields = Mapping[str, float | str | None]


def lines(observation: Observation, group: str, topic: str) -> list[str]:
    """Build one point for each worker, each partition, and each worker's counts of a partition.

    All numbers are floats. What is not known is left out.

    Args:
        observation: The pool as it is now.
        group: The consumer group; several pools may write to one bucket.
        topic: The topic if there is only one.
    """
    end = f" {int(observation.at * 1000)}000000"
    return [
        f"{MEASUREMENT},{_tags(group=group, **tags)} {text}{end}"
        for tags, fields in _points(observation, topic)
        if (text := _fields(fields))
    ]


def _points(observation: Observation, topic: str) -> Iterator[tuple[dict[str, Any], Fields]]:
    running = {worker.number: worker for worker in observation.running}
    for number in observation.worker_numbers:
        yield {"worker": number}, _worker(running.get(number))
    for worker in running.values():
        for key, account in worker.accounts.items():
            yield (
                _partition(key, topic) | {"worker": worker.number},
                {name: account.get(name) for name in COUNTERS},
            )
    for row in observation.rows:
        is_known = row.owner is not None or observation.kafka.offsets is not None
        yield (
            _partition(row.partition, topic),
            {
                "end": row.end,
                "committed": row.committed,
                "lag": row.lag,
                "lag_seconds": observation.lag_seconds(row),
                "owned": row.owner is not None if is_known else None,
            },
        )


def _worker(worker: WorkerReport | None) -> Fields:
    if worker is None:
        return {"up": 0, "state": DOWN}
    counters, latency = worker.content.get("counters", {}), worker.content.get("write_seconds") or {}
    return {
        "up": 1,
        "state": worker.state,
        "paused": worker.state == WorkerState.WAITING,
        "lines": counters.get("lines"),
        "retries": counters.get("retries"),
        "writes": sum(latency.get("counts", ())),
        "write_seconds": latency.get("sum"),
    }


def _partition(key: PartitionKey, topic: str) -> dict[str, Any]:
    of_topic, number = topic_and_number(key, topic)
    return {"topic": of_topic, "partition": number}


def _tags(**tags: Any) -> str:
    return ",".join(f"{name}={escape.tag(str(value))}" for name, value in sorted(tags.items()))


def _fields(fields: Fields) -> str:
    return ",".join(
        f"{name}={escape.string(value) if isinstance(value, str) else float(value)}"
        for name, value in fields.items()
        if value is not None
    )


class PoolPoints:
    """Writes the points again and again, in a thread of its own, so that no request waits for InfluxDB.

    Points that cannot be written are counted and dropped: the next ones say how the pool is then.

    Args:
        settings: The pool's settings.
        observe: Returns the pool as it is now.

    Attributes:
        failures: Writes that failed.
    """

    def __init__(self, settings: Settings, observe: Callable[[], Observation]) -> None:
        self._settings = settings
        self._observe = observe
        self._api = InfluxdbApi(settings.influxdb_url, WRITE_S, tls.context(settings))
        self._log = ThrottledLogger(logging.getLogger("tower.serve"))
        self._over = threading.Event()
        self.failures = 0

    def start(self) -> None:
        """Start the thread, which ends with the process; without it if TOWER_SERVE_POINTS_S is 0."""
        if self._settings.serve_points_s:
            threading.Thread(target=self._run, name="points", daemon=True).start()

    def stop(self) -> None:
        """End the thread after its write."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._settings.serve_points_s):
            self.write()

    def write(self) -> bool:
        """Write the points of this moment; return whether InfluxDB has stored them."""
        problem = self._problem()
        if problem:
            self.failures += 1
            self._log.warning(
                "points",
                "Points about the pool were not written: %s. `tower check` says what to do. The next try "
                "is in %g s; the workers do not depend on it",
                problem,
                self._settings.serve_points_s,
            )
        return not problem

    def _problem(self) -> str:
        """Write, and return why that failed; empty if it did not."""
        settings = self._settings
        body = "\n".join(lines(self._observe(), settings.group, settings.topics[0])).encode()
        for secret in (settings.influxdb_token, settings.influxdb_password):
            secret.reread()
        try:
            answer = self._send(body)
        except CommandError as error:
            self._api.tls = tls.renewed(settings, self._api.tls)
            return masked_answer(error.problem, settings)
        if answer.status == 204:
            return ""
        return f"InfluxDB: {answer.status}: {masked_answer(answer.message, settings)}"

    def _send(self, body: bytes) -> ApiResponse:
        settings = self._settings
        if settings.influxdb_api == "v1":
            authorization = basic(settings.influxdb_user, settings.influxdb_password.reveal())
            return self._api.write_v1(
                settings.influxdb_database, settings.influxdb_retention_policy, body, authorization
            )
        authorization = token(settings.influxdb_token.reveal())
        return self._api.write(settings.influxdb_org, settings.influxdb_bucket, body, authorization)
