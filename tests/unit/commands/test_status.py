"""What `status` reads from state files, and what it reports as a problem."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from workers.commands.clients.group_offsets import GroupOffsets
from workers.commands.clients.recent_counts import RecentCounts
from workers.commands.clients.worker_states import (
    HEARTBEAT_TIMEOUT_S,
    WorkerReport,
    read_states,
    running_workers,
)
from workers.commands.pool.facts import PoolFacts
from workers.commands.pool.partition_rows import partition_rows
from workers.commands.pool.troubles import Severity, Thresholds, Trouble, find_troubles
from workers.commands.status import as_object, describe
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


def facts(group: GroupOffsets, **more: Any) -> PoolFacts:
    return PoolFacts(group, 3, **more)


def problems(workers: list[WorkerReport], group: GroupOffsets, **more: Any) -> list[str]:
    return [trouble.cause for trouble in find_troubles(workers, facts(group), Thresholds(**more))]


def troubles(worker: WorkerReport, **more: Any) -> list[Trouble]:
    """What is wrong with a pool of which worker 2 is this one and the others are well."""
    return find_troubles([report(0), report(1), worker], facts(offsets(), **more))


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
            report(2, read_errors={2: "not authorised. Give the right"}),
            offsets(),
            "worker 2 cannot read partition 2: not authorised",
            id="unreadable",
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
    assert "no state file in TOWER_RUN_DIR" in reported[0]


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


def test_what_a_worker_dropped_is_uncommitted_until_the_group_has_committed_past_it() -> None:
    """Another worker reads those records again, and counts them itself."""
    gave_up = account(consumed=15, uncommitted=5, dropped=5, dropped_to=10)
    workers = [report(0), report(1, accounts={0: gave_up, 1: account()}), report(2)]
    before = partition_rows(workers, offsets(committed={0: 9, 1: 10, 2: 10}))[0]
    after = partition_rows(workers, offsets())[0]

    assert (before.consumed, before.uncommitted) == (25, 5)
    assert (after.consumed, after.uncommitted) == (20, 0)
    assert not problems(workers, offsets())


def test_the_text_ends_with_the_verdict() -> None:
    workers = [report(0), report(1), report(2)]
    error, warning = Trouble("x", "do y"), Trouble("w", "do z", Severity.WARNING)

    def last_line(*found: Trouble) -> str:
        return describe(SETTINGS, workers, facts(offsets()), found).splitlines()[-1]

    assert last_line() == "no problem found; lag 0 records"
    assert last_line(warning) == "no problem found, 1 to look at; lag 0 records"
    assert last_line(error) == "  -> do y"


def test_an_error_comes_before_a_warning_and_alone_makes_the_pool_unhealthy() -> None:
    worker = report(2, why_not_native="not built")
    warned = troubles(worker)
    both = troubles(report(2, why_not_native="not built", stopped={2: "offset gone"}))

    assert [trouble.severity for trouble in both] == [Severity.ERROR, Severity.WARNING]
    assert as_object(SETTINGS, [worker], facts(offsets()), warned)["healthy"] is True
    assert as_object(SETTINGS, [worker], facts(offsets()), both)["healthy"] is False
    assert as_object(SETTINGS, [worker], facts(offsets()), both)["troubles"][0]["partition"] == 2


def test_every_trouble_has_a_remedy() -> None:
    recent = RecentCounts(300, 9, {"json": 9}, 1, {"times_unreadable": 1}, 9, 9)
    worker = report(2, state="waiting", recent=recent, has_parent=False, why_not_native="not built")
    found = [
        *troubles(worker, run_dir_problem="its file system is full"),
        *troubles(report(2, ended="TOWER_X: is missing")),
        *troubles(report(2, recent=RecentCounts(300, 9, {}, 0, {}, 1))),
    ]

    assert len({trouble.cause for trouble in found}) >= 9
    assert all(trouble.remedy for trouble in found)


def test_answers_of_what_may_be_another_server_are_a_warning_while_the_worker_runs() -> None:
    (trouble,) = troubles(report(2, unmarked=1))

    assert trouble.cause == "worker 2 got answers 204 without InfluxDB's headers"
    assert trouble.severity is Severity.WARNING
    assert "`tower check`" in trouble.remedy


def test_another_program_on_the_port_of_the_page_is_a_warning() -> None:
    (trouble,) = troubles(report(2), serve_problem="127.0.0.1:8787 (TOWER_SERVE_ADDRESS) is taken")

    assert trouble.severity is Severity.WARNING
    assert "is taken, so this pool's page and metrics are not served" in trouble.cause
    assert "set TOWER_SERVE_ADDRESS to another port" in trouble.remedy


def test_a_worker_that_a_setting_ended_is_told_with_the_setting() -> None:
    (trouble,) = troubles(report(2, state="stopped", ended="TOWER_INFLUXDB_TOKEN: is missing"))

    assert trouble.cause == "worker 2 ended: TOWER_INFLUXDB_TOKEN: is missing"
    assert "`tower restart`" in trouble.remedy
    assert trouble.worker == 2


@pytest.mark.parametrize(
    ("dead", "records", "severity"), [(1, 100, Severity.WARNING), (2, 100, Severity.ERROR)]
)
def test_dead_letters_are_told_and_above_a_share_an_error(
    dead: int, records: int, severity: Severity
) -> None:
    (trouble,) = troubles(report(2, recent=RecentCounts(60, records, {"json": dead})))

    assert trouble.severity is severity
    assert f"{dead} of {records} records became dead letters in the last 60 s" in trouble.cause
    assert "dlq list --reason json" in trouble.remedy


def test_two_pools_of_one_name_are_told_and_a_client_that_was_replaced_once_is_a_warning() -> None:
    (pools,) = troubles(report(2, recent=RecentCounts(60, 0, {}, 0, {}, 3, 3)))
    (renewed,) = troubles(report(2, recent=RecentCounts(60, 0, {}, 0, {}, 1), renewal="fatal: x"))

    assert "another pool has the same host name" in pools.cause
    assert pools.severity is Severity.ERROR
    assert renewed.severity is Severity.WARNING
    assert "fatal: x" in renewed.cause


def test_failed_commits_are_a_warning() -> None:
    (trouble,) = troubles(report(2, recent=RecentCounts(300, 9, commit_failures=4)))

    assert trouble.cause == "worker 2 had 4 failed commits in the last 5 min"
    assert trouble.severity is Severity.WARNING
    assert "worker-2.log" in trouble.remedy


def test_a_worker_without_supervisord_is_told() -> None:
    (trouble,) = troubles(report(2, has_parent=False))

    assert "supervisord is gone" in trouble.cause


def test_an_old_heartbeat_is_told_with_a_folder_that_cannot_be_written() -> None:
    (trouble,) = troubles(report(2, age_s=60), run_dir_problem="its file system is full")[:1]

    assert "var cannot be written, because its file system is full" in trouble.cause


def test_times_that_were_not_used_and_values_that_were_left_out_are_warnings() -> None:
    times = {"times_outside_window": 5, "local_times_ahead": 6}
    found = troubles(
        report(2, recent=RecentCounts(60, 10, {}, values_omitted=4, times=times, names_doubled=7))
    )

    assert [trouble.severity for trouble in found] == [Severity.WARNING] * 4
    assert [
        text
        for text in ("4 values", "(5 in", "(6 in", "7 values")
        if not any(text in t.cause for t in found)
    ] == []
    assert {"TOWER_TIME_WINDOW_S=0", "TOWER_TIME_ZONE"} <= set(" ".join(t.remedy for t in found).split())


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


def test_what_was_left_out_is_shown() -> None:
    workers = [report(0, values_omitted=3), report(1, values_omitted=1, names_doubled=2)]

    shown = describe(SETTINGS, workers, facts(offsets()), [])

    assert "left out: 4 values that cannot be stored, 2 of names that stand twice" in shown


def test_the_share_of_the_c_kernel_is_shown() -> None:
    workers = [report(0, by_kernel=990, by_python=0), report(1, by_kernel=0, by_python=10)]

    shown = describe(SETTINGS, workers, facts(offsets()), [])

    assert "C kernel: 990 of 1000 records (99.0%)" in shown


def test_a_c_kernel_that_is_not_used_is_one_warning_with_its_reason() -> None:
    stopped = report(3, why_not_native="not built", state="stopped", owned=(), accounts={})
    workers = [report(number, why_not_native="not built") for number in (0, 1)] + [report(2), stopped]

    assert problems(workers, offsets()) == ["the C kernel is not used by worker 0, 1: not built"]
