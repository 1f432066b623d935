"""A worker's counters add up, and a program can read the state file at any time."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import partition
from workers.errors import SettingsError
from workers.state import WRITE_S, State, WorkerState
from workers.types import Partition


def content() -> dict[str, Any]:
    return {"partitions": {}}


def read(file: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(file.read_text())
    return state


def test_the_file_shows_the_worker_and_its_state(tmp_path: Path) -> None:
    state = State(tmp_path / "var" / "worker-3.json", 3)
    state.enter(WorkerState.WAITING, "InfluxDB: 503")

    state.write(content, now=0.0)

    written = read(tmp_path / "var" / "worker-3.json")
    assert (written["worker"], written["state"], written["why"]) == (3, "waiting", "InfluxDB: 503")
    assert written["started"] <= written["heartbeat"]
    assert written["partitions"] == {}


def test_it_is_rewritten_once_a_second_and_when_forced(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    state = State(file, 0)
    written: list[float] = []

    def at(now: float) -> dict[str, Any]:
        written.append(now)
        return {}

    for now in (10.0, 10.5, 10.0 + WRITE_S, 11.1):
        state.write(partial(at, now), now)
    state.write(partial(at, 11.2), 11.2, force=True)

    assert written == [10.0, 11.0, 11.2]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "worker.json"
    state = State(file, 0)
    state.write(content, 0.0)

    def broken() -> dict[str, Any]:
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        state.write(broken, 5.0)

    assert read(file)["partitions"] == {}


def test_a_full_disk_does_not_stop_the_records(tmp_path: Path) -> None:
    file = tmp_path / "var" / "worker.json"
    state = State(file, 0)
    file.parent.rmdir()

    state.write(content, 0.0)

    assert "state file" in state.why

    file.parent.mkdir()
    state.write(content, 1.0)
    state.write(content, 2.0)

    assert read(file)["why"] == ""


def test_a_file_that_cannot_be_written_is_logged_once_with_what_to_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "var" / "worker.json"
    state = State(file, 0)
    file.parent.rmdir()

    for now in range(20):
        state.write(content, float(now))

    (line,) = [record.getMessage() for record in caplog.records]
    assert str(file) in line
    assert "make it writable" in line


def test_a_worker_whose_parent_is_another_one_than_at_its_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(tmp_path / "worker.json", 0)
    state.write(content, 0.0)
    before = read(tmp_path / "worker.json")["has_parent"]

    monkeypatch.setattr("workers.state.os.getppid", lambda: 1)
    state.write(content, 5.0)

    assert (before, read(tmp_path / "worker.json")["has_parent"]) == (True, False)


def test_what_the_last_minutes_brought_is_told_by_reason() -> None:
    state = State(None, 0)
    state.written[partition(0)] += 8
    state.dead_lettered[partition(0)] += 2

    recent = state.recent({"renewals": 1}, {"json": 2, "text": 0}, fenced=1)

    assert (recent["records"], recent["dead_letters"]) == (10, {"json": 2})
    assert (recent["renewals"], recent["fenced"]) == (1, 1)


def test_without_a_path_no_file_is_written() -> None:
    State(None, 0).write(lambda: pytest.fail("asked for nothing"), 0.0, force=True)


def test_a_folder_that_cannot_be_created_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")

    with pytest.raises(SettingsError) as caught:
        State(tmp_path / "var" / "worker.json", 0)

    assert caught.value.option == "TOWER_RUN_DIR"


EVENTS = st.lists(
    st.tuples(st.sampled_from(["consume", "write", "kill", "drop"]), st.integers(0, 2)), max_size=60
)


@given(EVENTS)
def test_consumed_is_written_and_dead_lettered_and_uncommitted(events: list[tuple[str, int]]) -> None:
    state = State(None, 0)
    hand = {partition(number): 0 for number in range(3)}
    for event, number in events:
        key = partition(number)
        if event == "consume":
            state.consumed[key] += 1
            hand[key] += 1
        elif hand[key]:
            {"write": state.written, "kill": state.dead_lettered, "drop": state.dropped}[event][key] += 1
            hand[key] -= 1

    for account in state.account(hand, {}, {}, {}).values():
        assert account["consumed"] == account["written"] + account["dead_lettered"] + account["uncommitted"]


def test_an_owned_partition_without_records_is_listed_too() -> None:
    account = State(None, 0).account({}, {partition(1): 5}, {partition(1): 5}, {partition(1): 0})

    assert account == {
        "1": {
            "consumed": 0,
            "written": 0,
            "dead_lettered": 0,
            "uncommitted": 0,
            "dropped": 0,
            "dropped_to": None,
            "committed": 5,
            "position": 5,
            "lag": 0,
        }
    }


def test_partitions_of_several_topics_have_the_topics_names() -> None:
    state = State(None, 0, has_several_topics=True)
    state.consumed.update({Partition("a", 0): 5, Partition("b", 0): 7})

    account = state.account({}, {}, {}, {})

    assert {name: counters["consumed"] for name, counters in account.items()} == {"a[0]": 5, "b[0]": 7}
