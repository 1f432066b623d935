"""`tower check` against real Kafka and InfluxDB."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chain import Chain, record
from tests.support.shell import Operator, feeding

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("changed", "check", "advice"),
    [
        pytest.param({"TOWER_TOPIC": "nix"}, "topic", "provision", id="topic"),
        pytest.param(
            {"TOWER_DEAD_LETTER_TOPIC": "nix.dlq"}, "topic nix.dlq", "provision", id="dead letters"
        ),
        pytest.param(
            {"TOWER_KAFKA_BOOTSTRAP_SERVERS": "localhost:1"},
            "kafka brokers",
            "start Kafka",
            id="Kafka away",
        ),
        pytest.param(
            {"TOWER_KAFKA_SECURITY_PROTOCOL": "ssl"},
            "kafka brokers",
            "SECURITY_PROTOCOL",
            id="no TLS there",
        ),
        pytest.param({"TOWER_INFLUXDB_URL": "http://localhost:1"}, "influxdb", "URL", id="InfluxDB away"),
        pytest.param(
            {"TOWER_INFLUXDB_TOKEN": "wrong"}, "write", "TOWER_INFLUXDB_TOKEN", id="token unknown"
        ),
        pytest.param(
            {"TOWER_INFLUXDB_BUCKET": "Labs"}, "write", "another token", id="token of another bucket"
        ),
        pytest.param({"TOWER_INFLUXDB_BUCKET": "nix"}, "write", "provision", id="no bucket"),
        pytest.param({"TOWER_INFLUXDB_ORG": "nix"}, "write", "provision", id="no organisation"),
        pytest.param({"TOWER_INFLUXDB_DATABASE": "nix"}, "dashboard query", "provision", id="no mapping"),
        pytest.param(
            {"TOWER_INFLUXDB_RETENTION_POLICY": "four_weeks"},
            "dashboard query",
            "provision",
            id="wrong policy",
        ),
        pytest.param({"TOWER_INFLUXDB_USER": "nix"}, "dashboard query", "V1_USER", id="v1 user unknown"),
        pytest.param({"TOWER_DRAIN_S": "16"}, "stopwaitsecs", "stopwaitsecs above 21", id="drain"),
    ],
)
def test_check_answers_a_students_question(
    bare: Chain, changed: dict[str, str], check: str, advice: str
) -> None:
    level, next_ = Operator(bare).findings(**changed)[check]

    assert level == "FAIL"
    assert advice in next_


def test_check_through_the_v1_endpoint(bare: Chain, tmp_path: Path) -> None:
    operator = Operator(bare)
    wrong = tmp_path / "password"
    wrong.write_text("CANARY-wrong")
    v1 = {"TOWER_INFLUXDB_API": "v1"}

    assert operator.findings(**v1)["write"][0] == "ok"
    assert operator.findings(**v1, TOWER_INFLUXDB_PASSWORD_FILE=str(wrong))["write"][0] == "FAIL"
    assert operator.findings(**v1, TOWER_INFLUXDB_DATABASE="nix")["write"][0] == "FAIL"


def test_check_sees_a_field_that_has_another_type_already(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    pipeline.write(["labs memory=1i"])
    findings = operator.findings()

    assert findings["field types"][0] == "FAIL"
    assert "TOWER_INFLUXDB_BUCKET" in findings["field types"][1]
    assert findings["newest point"][0] == "ok"


def test_check_finds_the_clock_of_the_sender(chain: Callable[..., Chain]) -> None:
    """InfluxDB is fed, and the dashboard is empty: the Raspberry Pi has no clock."""
    pipeline = chain()
    operator = Operator(pipeline)
    past = int(time.time()) - 10_000
    with feeding(pipeline, lambda: record(1, at=past)):
        level, advice = operator.findings(watch="5")["records"]

    assert level == "FAIL"
    assert "clock of the sender" in advice


def test_check_writes_no_point_and_commits_nothing(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.produce([record(1)])
    Operator(pipeline)("check", "--watch", "0")

    assert pipeline.rows() == []
    assert set(pipeline.lab.topics.committed(pipeline.name, pipeline.name).values()) == {None}
