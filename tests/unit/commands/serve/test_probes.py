"""`/live` and `/ready` in the states that docs/monitoring.md lists."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import observed
from tests.support.observed import NOW, observation, reading, state
from tests.unit.commands.serve.test_metrics import NO_PROCESS
from workers.commands.serve import probes


def test_live_is_true_while_supervisord_answers() -> None:
    assert probes.live(lambda: "")[0]
    assert probes.live(None)[0]


def test_live_says_why_supervisord_is_silent() -> None:
    is_live, content = probes.live(lambda: "supervisord does not answer: refused")

    assert not is_live
    assert content["why"] == ["supervisord does not answer: refused"]


def waiting(why: str) -> dict[str, Any]:
    return state(2, state="waiting", why=why)


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        pytest.param(waiting("InfluxDB: no answer: refused"), "no answer", id="InfluxDB away"),
        pytest.param(waiting("InfluxDB: 503: busy"), "503", id="InfluxDB busy"),
        pytest.param(waiting("InfluxDB: 429: slow down"), "429", id="InfluxDB throttles"),
    ],
)
def test_a_wait_for_others_is_ready_and_named(tmp_path: Path, worker: dict[str, Any], why: str) -> None:
    is_ready, content = probes.ready(observation(tmp_path, state(0), state(1), worker))

    assert is_ready
    assert content["why"] == []
    assert why in content["waiting_for"][0]["cause"]


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        pytest.param(waiting("InfluxDB: 401: unauthorized"), "401", id="token rejected"),
        pytest.param(waiting("InfluxDB: 404: bucket not found"), "404", id="no bucket"),
        pytest.param(state(2, state="starting"), "worker 2 is starting", id="starting"),
        pytest.param(state(2, state="stopping"), "worker 2 is stopping", id="stopping"),
        pytest.param(state(2, state="stopped"), "worker 2 is stopped", id="stopped"),
        pytest.param(state(2, pid=NO_PROCESS), "worker 2 has crashed or was killed", id="killed"),
        pytest.param(state(2, heartbeat=NOW - 60), "no heartbeat for 60 s", id="hanging"),
        pytest.param(state(2, stopped={"2": "offset gone"}), "partition 2 is not read", id="offset gone"),
        pytest.param(state(2, owned=[]), "no owner: partition 2", id="no owner"),
    ],
)
def test_what_tower_or_its_operator_has_to_solve_is_not_ready(
    tmp_path: Path, worker: dict[str, Any], why: str
) -> None:
    is_ready, content = probes.ready(observation(tmp_path, state(0), state(1), worker))

    assert not is_ready
    assert any(why in trouble["cause"] for trouble in content["why"]), content


def test_a_pool_that_runs_is_ready(tmp_path: Path) -> None:
    assert probes.ready(observation(tmp_path, state(0), state(1), state(2)))[0]


def test_a_kafka_that_is_away_is_named_and_the_pool_is_ready(tmp_path: Path) -> None:
    seen = observation(tmp_path, state(0), state(1), state(2), kafka=observed.away("no broker"))

    is_ready, content = probes.ready(seen)

    assert is_ready
    assert [trouble["cause"] for trouble in content["waiting_for"]] == ["no broker"]


def test_without_a_worker_nothing_is_ready(tmp_path: Path) -> None:
    is_ready, content = probes.ready(observation(tmp_path, kafka=reading()))

    assert not is_ready
    assert "supervisord -c supervisor.conf" in content["why"][0]["remedy"]
