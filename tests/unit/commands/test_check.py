"""What the checks make of what they find."""

import socket
from functools import partial
from pathlib import Path

import pytest

from tests.support import fakes
from tests.support.kernel import needs_kernel
from workers.commands.check import command, dashboard_points, pool, topics
from workers.commands.check import influxdb as check_influxdb
from workers.commands.check.result import CheckResult, Level, as_object, fail, ok, summary, warn
from workers.commands.clients import influxdb_api
from workers.commands.clients.descriptions import PartitionReplicas
from workers.commands.clients.influxdb_api import ApiResponse, result_rows
from workers.commands.clients.supervisor_conf import stop_wait_s
from workers.config.settings import Settings, load
from workers.errors import CommandError
from workers.records import native

ROOT = Path(__file__).resolve().parents[3]


def settings(**more: str) -> Settings:
    return load({"TOWER_INFLUXDB_TOKEN": "x", **more})


def levels(results: list[CheckResult]) -> list[Level]:
    return [result.level for result in results]


@pytest.mark.parametrize(
    ("parts", "config", "expected"),
    [
        pytest.param(
            {0: PartitionReplicas(3, 3, 3)}, {"min.insync.replicas": "2"}, [Level.OK], id="the lab's"
        ),
        pytest.param({0: PartitionReplicas(3, 1, 1)}, {}, [Level.OK], id="one broker"),
        pytest.param({0: PartitionReplicas(3, 3, 3)}, {}, [Level.WARN], id="one sure copy of three"),
        pytest.param(
            {0: PartitionReplicas(3, 3, 2)}, {"min.insync.replicas": "2"}, [Level.WARN], id="a copy lags"
        ),
        pytest.param(
            {0: PartitionReplicas(3, 3, 1)},
            {"min.insync.replicas": "2"},
            [Level.FAIL],
            id="too few in sync",
        ),
        pytest.param({0: PartitionReplicas(-1, 1, 1)}, {}, [Level.FAIL], id="no leader"),
    ],
)
def test_copies_and_leaders_are_judged(
    parts: dict[int, PartitionReplicas], config: dict[str, str], expected: list[Level]
) -> None:
    assert levels(list(topics.availability("resource", parts, config))) == expected


@pytest.mark.parametrize(
    ("partitions", "workers", "identity", "expected"),
    [
        (3, 3, "auto", [Level.OK]),
        (3, 4, "auto", [Level.WARN]),
        (6, 3, "auto", [Level.WARN]),
        (8192, 8192, "auto", [Level.OK]),
        (8193, 8193, "auto", [Level.OK, Level.FAIL]),
        (8193, 8193, "kafka", [Level.OK, Level.FAIL]),
        (8193, 8193, "record", [Level.OK]),
    ],
)
def test_workers_and_identity_are_held_against_the_partitions(
    partitions: int, workers: int, identity: str, expected: list[Level]
) -> None:
    results = topics.numbers(settings(TOWER_IDENTITY=identity), list(range(partitions)), workers)

    assert levels(list(results)) == expected


@pytest.mark.parametrize(
    ("status", "level", "word"),
    [
        (204, Level.OK, ""),
        (401, Level.FAIL, "TOWER_INFLUXDB_TOKEN"),
        (403, Level.FAIL, "permission"),
        (404, Level.FAIL, "provision"),
        (500, Level.FAIL, "log"),
    ],
)
def test_each_answer_to_a_write_of_nothing_says_what_to_do(status: int, level: Level, word: str) -> None:
    answer = ApiResponse(status, {}, {"message": "said\x1b[31m so\nand so"})

    result = check_influxdb.interpret_write(answer, "the token", "bucket Labs", v1=False)

    assert result.level is level
    assert word in result.next
    assert result.text.isprintable()


def test_a_v1_user_that_is_unknown_is_told_its_own_options() -> None:
    result = check_influxdb.interpret_write(ApiResponse(401, {}, ""), "user tower", "Labs/autogen", v1=True)

    assert "TOWER_INFLUXDB_USER" in result.next


def test_rows_of_an_answer_are_dicts() -> None:
    one = {"name": "labs", "columns": ["fieldKey", "fieldType"], "values": [["a", "float"]]}

    assert result_rows(ApiResponse(200, {}, {"results": [{"series": [one]}]})) == [
        {"fieldKey": "a", "fieldType": "float"}
    ]
    assert result_rows(ApiResponse(200, {}, "no JSON")) == []


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", [Level.OK]),
        ("Tue, 14 Nov 2023 22:14:20 GMT", [Level.WARN]),
        ("Tue, 14 Nov 2023 22:12:20 GMT", [Level.WARN]),
        ("nonsense", []),
        ("", []),
    ],
)
def test_the_clock_of_influxdb_is_compared(date: str, expected: list[Level]) -> None:
    assert levels(list(check_influxdb.clock(date, 1_700_000_000.0))) == expected


def test_an_influxdb_that_is_silent_costs_the_time_out_and_is_not_called_stopped() -> None:
    """A query may take long: a server that accepts connections has not stopped."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = influxdb_api.InfluxdbApi(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.2)
        ask = partial(there.influxql, "Labs", "autogen", authorization="")
        results = list(
            command._warn_on_error("newest point", dashboard_points.points(ask, settings(), None, 0.0))
        )

    assert [(result.check, result.level) for result in results] == [("newest point", Level.WARN)]
    assert "could not be checked" in results[0].text
    assert "no answer in 0.2 s" in results[0].text
    assert "start it" not in results[0].next


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ApiResponse(503, {}, {"error": "busy"}), id="refused"),
        pytest.param(ApiResponse(200, {}, '{"results": [cut'), id="cut"),
    ],
)
def test_an_answer_that_says_nothing_is_no_empty_bucket(answer: ApiResponse) -> None:
    with pytest.raises(CommandError, match=str(answer.status)):
        dashboard_points.query_rows(lambda _: answer, "SELECT 1")


def test_the_error_of_any_statement_is_the_answers() -> None:
    class Scripted(influxdb_api.InfluxdbApi):
        def ask(self, *_: object, **__: object) -> ApiResponse:
            return ApiResponse(200, {}, {"results": [{"series": []}, {"error": "timeout"}]})

    answer = Scripted("http://localhost").influxql("Labs", "autogen", "SELECT 1; SELECT 2", "")

    assert answer.message == "timeout"
    assert answer.status != 200


def test_the_projects_own_supervisor_conf_leaves_time_to_drain() -> None:
    assert pool.drain(settings(), ROOT / "supervisor.conf").level is Level.OK


def test_a_drain_longer_than_stopwaitsecs_fails(tmp_path: Path) -> None:
    conf = tmp_path / "supervisor.conf"
    conf.write_text("[program:worker]\ncommand=x %(process_num)d ; note\nstopwaitsecs=15 ; seconds\n")

    assert stop_wait_s(conf) == 15
    assert pool.drain(settings(TOWER_DRAIN_S="10"), conf).level is Level.FAIL
    assert pool.drain(settings(TOWER_DRAIN_S="5"), conf).level is Level.OK


def test_a_supervisor_conf_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    assert pool.drain(settings(), tmp_path / "no.conf").level is Level.WARN
    (tmp_path / "odd.conf").write_text("stopwaitsecs=1")
    with pytest.raises(CommandError):
        stop_wait_s(tmp_path / "odd.conf")


@pytest.mark.parametrize(("allowed", "level"), [("300000", Level.OK), ("40000", Level.FAIL)])
def test_a_write_must_be_over_before_the_group_takes_the_worker_for_dead(
    allowed: str, level: Level
) -> None:
    values = settings(TOWER_KAFKA_MAX_POLL_INTERVAL_MS=allowed)

    assert pool.polling(values).level is level


def test_findings_are_lines_and_an_object() -> None:
    results = [ok("a", "fine"), warn("b", "so so", "look"), fail("c", "bad", "repair")]

    assert summary(results) == "1 ok, 1 warn, 1 FAIL"
    assert str(results[0]) == "ok    a                     fine"
    assert str(results[2]).splitlines()[1].strip() == "-> repair"
    assert as_object(results)["ok"] is False
    assert as_object(results[:2])["ok"] is True
    assert as_object(results)["checks"][2] == {
        "check": "c",
        "level": "FAIL",
        "text": "bad",
        "next": "repair",
    }


def test_a_c_kernel_that_is_not_built_is_a_warning_that_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "BUILT", False)

    result = pool.kernel(fakes.settings())

    assert result.level is Level.WARN
    assert "Install a C compiler" in result.text


@needs_kernel
def test_a_c_kernel_that_is_built_passes() -> None:
    assert pool.kernel(fakes.settings()).level is Level.OK
    assert pool.kernel(fakes.settings(format="text")).level is Level.OK
