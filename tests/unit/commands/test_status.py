"""What status reads from state files, and when it calls the pool well."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from workers.commands.clients.worker_states import OLD_S, Sight, beating, look
from workers.commands.status import Kafka, describe, rows, troubles
from workers.config.settings import load

NOW = 1_700_000_000.0
SETTINGS = load({}, credentials=False)


def account(**more: int) -> dict[str, int]:
    return {"consumed": 10, "written": 9, "dead_lettered": 1, "uncommitted": 0, **more}


def sight(number: int, **more: Any) -> Sight:
    given = {"owned": (number,), "accounts": {number: account()}, **more}
    return Sight(
        number,
        100 + number,
        given.pop("state", "running"),
        given.pop("why", ""),
        given.pop("age_s", 0.5),
        given.pop("alive", True),
        **given,
    )


def kafka(**more: Any) -> Kafka:
    numbers = range(3)
    given: dict[str, Any] = {
        "ends": dict.fromkeys(numbers, 10),
        "committed": dict.fromkeys(numbers, 10),
        "starts": dict.fromkeys(numbers, 0),
        "owners": {number: f"tower-{number} on ::1" for number in numbers},
        "members": 3,
    }
    return Kafka(**(given | more))


def found(sights: list[Sight], told: Kafka, **more: Any) -> list[str]:
    return troubles(sights, rows(sights, told), told, 3, **more)


def test_three_workers_that_run_are_well() -> None:
    assert not found([sight(0), sight(1), sight(2)], kafka())


@pytest.mark.parametrize(
    ("worker", "told", "word"),
    [
        pytest.param(sight(2, state="stopped"), kafka(), "worker 2 is stopped", id="stopped"),
        pytest.param(sight(2, alive=False), kafka(), "worker 2 is gone", id="killed"),
        pytest.param(sight(2, age_s=OLD_S), kafka(), "no sign of life for 10 s", id="hanging"),
        pytest.param(
            sight(2, state="waiting", why="InfluxDB: 503"), kafka(), "InfluxDB: 503", id="waiting"
        ),
        pytest.param(
            sight(2, stopped={2: "offset gone"}),
            kafka(),
            "partition 2 is not read: offset gone",
            id="offset",
        ),
        pytest.param(
            sight(2, accounts={2: account(written=8)}), kafka(), "10 consumed, 9 accounted", id="account"
        ),
        pytest.param(sight(2), kafka(problem="no broker is reached"), "no broker", id="Kafka away"),
        pytest.param(
            sight(2, owned=()), kafka(owners={0: "a", 1: "b"}), "no owner: partition 2", id="no owner"
        ),
    ],
)
def test_what_is_not_well_is_told(worker: Sight, told: Kafka, word: str) -> None:
    made = found([sight(0), sight(1), worker], told)

    assert any(word in each for each in made), made


def test_a_pool_that_never_ran_is_one_trouble_and_not_three() -> None:
    made = found([], kafka())

    assert len(made) == 1
    assert "supervisord -c supervisor.conf" in made[0]


def test_a_worker_on_another_machine_owns_its_partition_too() -> None:
    made = rows([], kafka(owners={0: "tower-0 on 10.0.0.2"}))

    assert made[0].owner == "tower-0 on 10.0.0.2"
    assert made[0].state == "not here"


def test_lag_is_no_trouble_until_a_limit_is_named() -> None:
    told = kafka(ends={0: 110, 1: 10, 2: 10})
    sights = [sight(0), sight(1), sight(2)]

    assert not found(sights, told)
    assert found(sights, told, max_lag=99) == ["partition 0 lags 100 records, more than 99"]


def test_a_group_that_never_committed_lags_from_the_first_record_there_is() -> None:
    told = kafka(committed={}, starts={0: 4, 1: 10, 2: 10})

    assert [row.lag for row in rows([], told)] == [6, 0, 0]


def test_files_of_workers_past_the_pools_size_do_not_count() -> None:
    sights = [sight(0), sight(1), sight(2), sight(3, state="stopped", owned=(), accounts={})]

    assert not found(sights, kafka())


def test_a_partition_that_moved_between_workers_has_one_account() -> None:
    sights = [sight(0), sight(1, accounts={0: account(), 1: account()}), sight(2)]
    made = rows(sights, kafka())

    assert made[0].consumed == 20
    assert made[0].owner == "worker 0"


def test_the_table_ends_with_the_verdict() -> None:
    sights = [sight(0), sight(1), sight(2)]
    made = rows(sights, kafka())

    assert describe(SETTINGS, sights, made, []).splitlines()[-1] == "all is well"
    assert describe(SETTINGS, sights, made, ["x"]).splitlines()[-1] == "not well: x"


def test_state_files_are_read_and_half_ones_left_out(tmp_path: Path) -> None:
    whole = {
        "worker": 1,
        "pid": os.getpid(),
        "state": "running",
        "why": "",
        "heartbeat": NOW - 2,
        "owned": [1],
        "stopped": {"1": "offset 5 no longer exists"},
        "partitions": {"1": account()},
        "counters": {"records_by_kernel": 9, "records_by_python": 1},
    }
    (tmp_path / "worker-1.json").write_text(json.dumps(whole))
    (tmp_path / "worker-2.json").write_text(json.dumps(whole)[:40])
    (tmp_path / "worker-3.json").write_text("[]")
    (tmp_path / "worker-4.json").write_text(json.dumps(whole | {"worker": 4, "heartbeat": NOW - 60}))

    assert [each.number for each in look(tmp_path, NOW)] == [1, 4]
    assert look(tmp_path, NOW)[0].age_s == 2
    assert (look(tmp_path, NOW)[0].by_kernel, look(tmp_path, NOW)[0].by_python) == (9, 1)
    assert look(tmp_path, NOW)[0].stopped == {1: "offset 5 no longer exists"}
    assert beating(tmp_path, NOW) == [1]


def test_a_folder_that_is_not_there_has_no_workers(tmp_path: Path) -> None:
    assert look(tmp_path / "none", NOW) == []


def test_the_share_of_the_c_kernel_is_shown() -> None:
    workers = [sight(0, by_kernel=990, by_python=0), sight(1, by_kernel=0, by_python=10)]

    shown = describe(SETTINGS, workers, rows(workers, kafka()), [])

    assert "C kernel: 990 of 1000 records (99.0%)" in shown
