"""The points about the pool itself."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from lab.system.ports import choose
from tests.support import fakes, observed
from tests.support.observed import NOW, observation, reading, state
from workers.commands.serve.pool_points import PoolPoints, lines
from workers.errors import SettingsError


def points(*args: Any, **how: Any) -> dict[str, str]:
    """The fields of each point of an observation, by its tags besides the group."""
    built = lines(observation(*args, **how), "pool", "resource")
    parts = [line.removeprefix("tower,group=pool,").split(" ") for line in built]
    assert {time for _, _, time in parts} == {f"{int(NOW)}000000000"}
    by_tags = {tags: fields for tags, fields, _ in parts}
    assert len(by_tags) == len(built), "a series has one point"
    return by_tags


def test_each_worker_and_each_partition_has_a_point(tmp_path: Path) -> None:
    worker = state(0, oldest_ms={"0": int((NOW - 12) * 1000)})

    counts = "consumed=10.0,written=8.0,dead_lettered=2.0,uncommitted=0.0"
    assert points(tmp_path, worker, expected=1, kafka=reading({0: 5, 1: 0, 2: 7})) == {
        "worker=0": 'up=1.0,state="running",paused=0.0,lines=8.0,retries=3.0,writes=8.0,write_seconds=4.5',
        "partition=0,topic=resource,worker=0": counts,
        "partition=0,topic=resource": "end=100.0,committed=95.0,lag=5.0,lag_seconds=12.0,owned=1.0",
        "partition=1,topic=resource": "end=100.0,committed=100.0,lag=0.0,lag_seconds=0.0,owned=0.0",
        "partition=2,topic=resource": "end=100.0,committed=93.0,lag=7.0,owned=0.0",
    }


def test_a_worker_that_does_not_run_is_down_and_has_no_counts(tmp_path: Path) -> None:
    seen = points(tmp_path, state(0), state(1, state="stopped"), expected=2)

    assert {tags: fields for tags, fields in seen.items() if "worker=1" in tags} == {
        "worker=1": 'up=0.0,state="down"'
    }


def test_without_kafka_nothing_is_said_of_lag_and_owners(tmp_path: Path) -> None:
    seen = points(tmp_path, state(0), kafka=observed.away())

    assert seen["worker=0"]
    assert not [fields for fields in seen.values() if "lag" in fields or "end=" in fields]


def test_a_partition_of_several_topics_has_its_topic(tmp_path: Path) -> None:
    account = {"consumed": 1, "written": 1, "dead_lettered": 0, "uncommitted": 0}
    worker = state(0, owned=["sensors[2]"], partitions={"sensors[2]": account})

    assert points(tmp_path, worker)["partition=2,topic=sensors,worker=0"].startswith("consumed=1.0,")


def test_the_name_of_the_group_cannot_add_a_tag_or_a_field(tmp_path: Path) -> None:
    (line,) = lines(observation(tmp_path, expected=1, kafka=observed.away()), 'a,b=c d"\n', "resource")

    assert line.startswith('tower,group=a\\,b\\=c\\ d"_,worker=0 up=0.0,')


def test_a_write_that_fails_is_counted_and_logged_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (port,) = choose("127.0.0.1", 1)
    settings = fakes.settings(influxdb_url=f"http://127.0.0.1:{port}", serve_points_s=10)
    pool_points = PoolPoints(settings, lambda: observation(tmp_path, state(0)))

    with caplog.at_level(logging.WARNING, "tower.serve"):
        assert not pool_points.write()
        assert not pool_points.write()

    assert pool_points.failures == 2
    (message,) = caplog.messages
    assert "does not answer" in message
    assert "`tower check`" in message


def test_the_certificate_of_a_private_authority_is_used(tmp_path: Path) -> None:
    settings = fakes.settings(
        influxdb_url="https://localhost", influxdb_ca_file=str(tmp_path / "missing.pem"), serve_points_s=10
    )

    with pytest.raises(SettingsError, match="TOWER_INFLUXDB_CA_FILE"):
        PoolPoints(settings, lambda: observation(tmp_path, state(0)))


def test_nothing_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    pool_points = PoolPoints(fakes.settings(), lambda: observation(tmp_path, state(0)))
    before = threading.active_count()

    pool_points.start()

    assert threading.active_count() == before
