"""What `status` reads from state files, and what it reports as a problem."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from workers.commands.clients.worker_states import (
    HEARTBEAT_TIMEOUT_S,
    WorkerReport,
    read_states,
    running_workers,
)
from workers.commands.status import GroupOffsets, describe, find_problems, partition_rows
from workers.config.settings import load

NOW = 1_700_000_000.0
SETTINGS = load({}, credentials=False)


def account(**more: int) -> dict[str, int]:
    return {"consumed": 10, "written": 9, "dead_lettered": 1, "uncommitted": 0, **more}


def report(number: int, **more: Any) -> WorkerReport:
    attributes = {"owned": (number,), "accounts": {number: account()}, **more}
    return WorkerReport(
        number,
        100 + number,
        attributes.pop("state", "running"),
        attributes.pop("why", ""),
        attributes.pop("age_s", 0.5),
        attributes.pop("alive", True),
        **attributes,
    )


def offsets(**more: Any) -> GroupOffsets:
    numbers = range(3)
    attributes: dict[str, Any] = {
        "ends": dict.fromkeys(numbers, 10),
        "committed": dict.fromkeys(numbers, 10),
        "starts": dict.fromkeys(numbers, 0),
        "owners": {number: f"tower-{number} on ::1" for number in numbers},
        "members": 3,
    }
    return GroupOffsets(**(attributes | more))


def problems(workers: list[WorkerReport], group: GroupOffsets, **more: Any) -> list[str]:
    return find_problems(workers, partition_rows(workers, group), group, 3, **more)


def test_three_workers_that_run_are_well() -> None:
    assert not problems([report(0), report(1), report(2)], offsets())


@pytest.mark.parametrize(
    ("worker", "group", "word"),
    [
        pytest.param(report(2, state="stopped"), offsets(), "worker 2 is stopped", id="stopped"),
        pytest.param(report(2, alive=False), offsets(), "worker 2 has crashed or was killed", id="killed"),
        pytest.param(
            report(2, age_s=HEARTBEAT_TIMEOUT_S), offsets(), "no heartbeat for 10 s", id="hanging"
        ),
        pytest.param(
            report(2, state="waiting", why="InfluxDB: 503"), offsets(), "InfluxDB: 503", id="waiting"
        ),
        pytest.param(
            report(2, stopped={2: "offset gone"}),
            offsets(),
            "partition 2 is not read: offset gone",
            id="offset",
        ),
        pytest.param(
            report(2, accounts={2: account(written=8)}), offsets(), "10 consumed, but 9", id="account"
        ),
        pytest.param(report(2), offsets(problem="no broker can be reached"), "no broker", id="Kafka away"),
        pytest.param(
            report(2, owned=()), offsets(owners={0: "a", 1: "b"}), "no owner: partition 2", id="no owner"
        ),
    ],
)
def test_each_problem_is_reported(worker: WorkerReport, group: GroupOffsets, word: str) -> None:
    reported = problems([report(0), report(1), worker], group)

    assert any(word in problem for problem in reported), reported


def test_a_pool_that_never_ran_is_one_problem_and_not_three() -> None:
    reported = problems([], offsets())

    assert len(reported) == 1
    assert "supervisord -c supervisor.conf" in reported[0]


def test_a_worker_on_another_machine_owns_its_partition_too() -> None:
    rows = partition_rows([], offsets(owners={0: "tower-0 on 10.0.0.2"}))

    assert rows[0].owner == "tower-0 on 10.0.0.2"
    assert rows[0].state == "on another machine"


def test_lag_is_no_problem_until_a_limit_is_named() -> None:
    group = offsets(ends={0: 110, 1: 10, 2: 10})
    workers = [report(0), report(1), report(2)]

    assert not problems(workers, group)
    assert problems(workers, group, max_lag=99) == ["partition 0 lags 100 records, more than 99"]


def test_a_group_that_never_committed_lags_from_the_first_record_there_is() -> None:
    group = offsets(committed={}, starts={0: 4, 1: 10, 2: 10})

    assert [row.lag for row in partition_rows([], group)] == [6, 0, 0]


def test_files_of_workers_past_the_pools_size_do_not_count() -> None:
    workers = [report(0), report(1), report(2), report(3, state="stopped", owned=(), accounts={})]

    assert not problems(workers, offsets())


def test_a_partition_that_moved_between_workers_has_one_account() -> None:
    workers = [report(0), report(1, accounts={0: account(), 1: account()}), report(2)]
    rows = partition_rows(workers, offsets())

    assert rows[0].consumed == 20
    assert rows[0].owner == "worker 0"


def test_the_table_ends_with_the_verdict() -> None:
    workers = [report(0), report(1), report(2)]
    rows = partition_rows(workers, offsets())

    assert describe(SETTINGS, workers, rows, []).splitlines()[-1] == "no problem found; lag 0 records"
    assert describe(SETTINGS, workers, rows, ["x"]).splitlines()[-1] == "problem: x"


def test_state_files_are_read_and_incomplete_ones_omitted(tmp_path: Path) -> None:
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
        "why_not_native": "not built",
    }
    (tmp_path / "worker-1.json").write_text(json.dumps(whole))
    (tmp_path / "worker-2.json").write_text(json.dumps(whole)[:40])
    (tmp_path / "worker-3.json").write_text("[]")
    (tmp_path / "worker-4.json").write_text(json.dumps(whole | {"worker": 4, "heartbeat": NOW - 60}))

    assert [worker.number for worker in read_states(tmp_path, NOW)] == [1, 4]
    assert read_states(tmp_path, NOW)[0].age_s == 2
    assert (read_states(tmp_path, NOW)[0].by_kernel, read_states(tmp_path, NOW)[0].by_python) == (9, 1)
    assert read_states(tmp_path, NOW)[0].why_not_native == "not built"
    assert read_states(tmp_path, NOW)[0].stopped == {1: "offset 5 no longer exists"}
    assert running_workers(tmp_path, NOW) == [1]


def test_a_folder_that_is_not_there_has_no_workers(tmp_path: Path) -> None:
    assert read_states(tmp_path / "none", NOW) == []


def test_the_share_of_the_c_kernel_is_shown() -> None:
    workers = [report(0, by_kernel=990, by_python=0), report(1, by_kernel=0, by_python=10)]

    shown = describe(SETTINGS, workers, partition_rows(workers, offsets()), [])

    assert "C kernel: 990 of 1000 records (99.0%)" in shown


def test_a_c_kernel_that_is_not_used_is_shown_with_its_reason_once() -> None:
    workers = [report(0, why_not_native="not built"), report(1, why_not_native="not built"), report(2)]

    shown = describe(SETTINGS, workers, partition_rows(workers, offsets()), [])

    assert shown.count("C kernel not used: not built") == 1
