"""Telegraf to Kafka to Tower to InfluxDB stores what Telegraf writes to InfluxDB itself."""

import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.peers import build
from lab.errors import MissingError
from lab.system.progress import Progress
from tests.support.chain import Chain
from tests.support.stored_points import Value, stored

#: Plugins that need no service. Both outputs get every metric, and have only their addresses set.
#: `version` is the one that the bench's Telegraf needs to read from Kafka 4.
CONFIG = """
[agent]
  interval = "1s"
  flush_interval = "1s"
  hostname = "pi 5, kitchen"

[[inputs.cpu]]
[[inputs.mem]]
[[inputs.disk]]
[[inputs.net]]
[[inputs.system]]
[[inputs.processes]]
[[inputs.internal]]

[[outputs.kafka]]
  brokers = ["${BOOTSTRAP_SERVERS}"]
  topic = "${TOPIC}"
  version = "2.8.0"

[[outputs.influxdb_v2]]
  urls = ["${INFLUXDB_URL}"]
  token = "${TOKEN}"
  organization = "GIST"
  bucket = "${BUCKET}"
"""
MEASUREMENTS = {"cpu", "mem", "disk", "net", "system", "processes", "internal_agent", "internal_write"}
#: Collections that are compared, at least.
COLLECTIONS = 4


@pytest.fixture(scope="module")
def telegraf() -> Path:
    """Telegraf, built as the bench's peer: about three minutes the first time."""
    try:
        return build.telegraf(Progress())
    except MissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def running(program: Path, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """Telegraf until the end of the block, when it writes what it still has."""
    config, log = folder / "telegraf.conf", folder / "telegraf.log"
    config.write_text(CONFIG)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "--config", config],
            env={"PATH": os.environ["PATH"], **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()


def test_every_point_is_the_one_that_telegraf_writes_itself(
    telegraf: Path, chain: Callable[..., Chain], tmp_path: Path
) -> None:
    tower, direct = chain(), f"telegraf-{uuid.uuid4().hex[:8]}"
    token = tower.lab.create_bucket(direct)
    environment = {
        "BOOTSTRAP_SERVERS": tower.lab.bootstrap_servers,
        "TOPIC": tower.name,
        "INFLUXDB_URL": tower.lab.influxdb.url,
        "TOKEN": token,
        "BUCKET": direct,
    }

    def collected() -> bool:
        values = list(stored(tower.lab, direct))
        return {value.measurement for value in values} >= MEASUREMENTS and len(
            {value.time for value in values if value.measurement == "cpu"}
        ) >= COLLECTIONS

    tower.pool.start()
    with running(telegraf, tmp_path, environment):
        tower.pool.until(collected, 60, "Telegraf to write its metrics to InfluxDB")
    tower.drain()

    by_telegraf, by_tower = set(stored(tower.lab, direct)), set(stored(tower.lab, tower.name))
    assert sorted(by_telegraf ^ by_tower) == []
    assert types(by_tower) >= {"double", "long", "string"}
    assert list(tower.dead_letters()) == []
    assert any(tag == ("host", "pi 5, kitchen") for value in by_tower for tag in value.tags)


def types(values: set[Value]) -> set[str]:
    """The types that these values have."""
    return {value.type for value in values}
