"""The operator's commands against real Kafka and InfluxDB."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.support.chain import Chain, record
from tests.support.shell import Operator, feeding

pytestmark = pytest.mark.integration

#: A stopped worker holds its place for its session, 15 s unless set; this is the shortest brokers allow.
SHORT = {"TOWER_KAFKA_SESSION_TIMEOUT_MS": "6000"}


def test_a_pool_that_is_well_passes_check_and_status(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    pipeline.pool.start()
    pipeline.produce(record(seq) for seq in range(300))
    pipeline.produce([b"{"], partition=1)
    pipeline.drain()
    with feeding(pipeline, lambda: record(1)):
        check = operator("check")
    pipeline.drain()
    pipeline.pool.until(lambda: operator("status").returncode == 0, 20, "status to be well")
    status = operator.json("status")

    assert check.returncode == 0, check.stdout
    assert "FAIL" not in check.stdout.replace("0 FAIL", "")
    assert "3 members" in check.stdout
    assert "dashboard query       user tower may query" in check.stdout
    assert status["healthy"] is True
    assert status["lag"] == 0
    assert [row["owner"] for row in status["partitions"]] == ["worker 0", "worker 1", "worker 2"]
    assert sum(row["dead_lettered"] for row in status["partitions"]) == 1
    for row in status["partitions"]:
        assert row["consumed"] == row["written"] + row["dead_lettered"] + row["uncommitted"]
        assert row["committed"] == row["end"]


def test_status_tells_what_is_not_well(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    never = operator("status")
    pipeline.pool.start()
    pipeline.pool.control("stop", "worker:1")
    one = operator.json("status")
    away = operator("status", TOWER_KAFKA_BOOTSTRAP_SERVERS="localhost:1")

    assert never.returncode == 1
    assert "supervisord -c supervisor.conf" in never.stdout
    assert one["healthy"] is False
    assert "worker 1 is stopped" in [trouble["cause"] for trouble in one["troubles"]]
    assert away.returncode == 1
    assert "no broker can be reached" in away.stdout
    assert "worker 0" in away.stdout


def test_provision_makes_all_that_a_pool_needs_and_is_harmless_again(lab: Lab, short_folder: Path) -> None:
    name = f"pipeline-{uuid.uuid4().hex[:8]}"
    token_file, password_file = short_folder / "s" / "token", short_folder / "s" / "password"
    pipeline = Chain(lab, short_folder)
    operator = Operator(pipeline)
    names = {
        "TOWER_TOPIC": name,
        "TOWER_DEAD_LETTER_TOPIC": f"{name}.dlq",
        "TOWER_INFLUXDB_BUCKET": name,
        "TOWER_INFLUXDB_DATABASE": name,
        "TOWER_INFLUXDB_USER": f"user-{name}",
        "TOWER_INFLUXDB_TOKEN_FILE": str(token_file),
        "TOWER_INFLUXDB_PASSWORD_FILE": str(password_file),
    }
    for gone in ("TOWER_INFLUXDB_TOKEN", "TOWER_INFLUXDB_PASSWORD_FILE"):
        operator.environment.pop(gone, None)
    admin_file = ("--admin-token-file", str(lab.secrets.admin_token))
    first = operator.json("provision", *admin_file, **names)["steps"]
    second = operator.json("provision", *admin_file, **names)["steps"]
    findings = operator.findings(**names)
    lab.topics.configure(name, {"max.message.bytes": "30000000"})
    small = operator.findings(**names)
    third = operator.json("provision", *admin_file, **names)["steps"]

    assert {action["what"].split()[0]: action["done"] for action in first} == {
        "topic": "created",
        "organisation": "unchanged",
        "bucket": "created",
        "mapping": "created",
        "v1": "created",
        "token": "created",
    }
    assert {action["done"] for action in second} == {"unchanged"}
    assert [file.stat().st_mode & 0o777 for file in (token_file, password_file)] == [0o600, 0o600]
    assert {check for check, (level, _) in findings.items() if level == "FAIL"} == set()
    assert findings["dashboard query"][0] == "ok"
    # A topic that takes larger records: a bad one of them has to fit too.
    assert small[f"topic {name}.dlq"][0] == "warn"
    assert [action["what"] for action in third if action["done"] == "changed"] == [f"topic {name}.dlq"]
    assert operator.findings(**names)[f"topic {name}.dlq"][0] == "ok"
    assert operator.findings(**(names | {"TOWER_INFLUXDB_BUCKET": "Labs"}))["write"][0] == "FAIL"


def test_provision_refuses_to_turn_a_mapping_or_to_overwrite_a_token(lab: Lab, short_folder: Path) -> None:
    pipeline = Chain(lab, short_folder)
    operator = Operator(pipeline)
    token_file = short_folder / "token"
    token_file.write_text("of-another-server")
    del operator.environment["TOWER_INFLUXDB_TOKEN"]
    words = ("provision", "--admin-token-file", str(lab.secrets.admin_token))
    turned = operator(*words, TOWER_INFLUXDB_DATABASE="Labs")
    kept = operator(*words, "--worker-token-file", str(token_file))
    no_admin = operator("provision", "--admin-token-file", str(token_file))

    assert (turned.returncode, kept.returncode, no_admin.returncode) == (1, 1, 1)
    assert "leads to another bucket" in turned.stderr
    assert "move it away" in kept.stderr
    assert token_file.read_text() == "of-another-server"
    assert "401" in no_admin.stderr
    assert "of-another-server" not in no_admin.stderr + kept.stderr


def test_dead_letters_are_listed_and_sent_back_once(chain: Callable[..., Chain]) -> None:
    """The cause: a limit that was too low. It is raised, and every record becomes a point of its own."""
    pipeline = chain(environment=SHORT | {"TOWER_MAX_FIELDS": "6"})
    operator = Operator(pipeline)
    then = int(time.time() * 1000) - 60_000
    pipeline.produce((record(seq, timed=False) for seq in range(200)), timestamp=then)
    pipeline.produce([b'{"half'], partition=2, timestamp=then)
    pipeline.pool.start()
    pipeline.drain()
    listed = operator.json("dlq", "list", "--limit", "0")
    newest = operator("dlq", "list", "--limit", "3")
    shown = operator("dlq", "list", "--reason", "json", "--payload")
    pipeline.pool.stop()
    pipeline.environment["TOWER_MAX_FIELDS"] = pipeline.pool.environment["TOWER_MAX_FIELDS"] = "256"
    dry = operator.json("dlq", "replay", "--dry-run")
    by_reason = operator.json("dlq", "replay", "--reason", "too_many_fields")
    again = operator.json("dlq", "replay", "--reason", "too_many_fields")
    rest = operator.json("dlq", "replay")
    ends = pipeline.lab.topics.log_ends(pipeline.name)
    pipeline.pool.start()
    pipeline.drain()

    assert listed["held"] == 201
    assert {letter["reason"] for letter in listed["letters"]} == {"too_many_fields", "json"}
    assert not any("payload" in letter for letter in listed["letters"])
    assert "free_ram" not in newest.stdout
    assert len(newest.stdout.splitlines()) == 4
    assert '{"half' in shown.stdout
    assert dry["sent"] == 201
    assert by_reason["reasons"] == {"too_many_fields": 200}
    assert again["sent"] == 0
    assert rest["reasons"] == {"json": 1}
    assert ends == {0: 66 * 2, 1: 67 * 2, 2: 68 * 2}
    assert sorted(pipeline.sequences()) == list(range(200))
    assert {int(row["time"]) // 10**6 for row in pipeline.rows()} == {then}
    assert all(
        letter["replayed"] for letter in operator.json("dlq", "list", "--limit", "0")["letters"][:201]
    )
    assert operator.json("dlq", "replay")["sent"] == 1  # '{"half' has failed again: a new letter


def test_replay_moves_no_group_that_is_alive(chain: Callable[..., Chain]) -> None:
    pipeline = chain(environment=SHORT)
    operator = Operator(pipeline)
    pipeline.pool.start()
    pipeline.produce(record(seq) for seq in range(300))
    pipeline.drain()
    here = operator("replay", "--from", "earliest")
    # As from another machine: no state files, so it waits for the sessions to end, and they do not.
    elsewhere = operator("replay", "--from", "earliest", TOWER_RUN_DIR=str(pipeline.pool.folder / "none"))
    dry = operator("replay", "--from", "earliest", "--dry-run")

    assert (here.returncode, elsewhere.returncode, dry.returncode) == (1, 1, 0)
    assert "workers 0, 1, 2 are running" in here.stderr
    assert "still has 3 members after 6 s" in elsewhere.stderr
    assert "waiting for members" in elsewhere.stderr
    assert (
        sum(offset or 0 for offset in pipeline.lab.topics.committed(pipeline.name, pipeline.name).values())
        == 300
    )


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_what_is_replayed_overwrites_its_own_points(chain: Callable[..., Chain], protocol: str) -> None:
    # KIP-848 takes no session timeout of the client's.
    pipeline = chain(
        environment={"TOWER_KAFKA_GROUP_PROTOCOL": protocol} if protocol == "consumer" else SHORT
    )
    operator = Operator(pipeline)
    pipeline.produce(record(seq) for seq in range(3_000))
    pipeline.pool.start()
    pipeline.drain()
    before = {(row["time"], row["seq"]) for row in pipeline.rows()}
    pipeline.pool.stop()
    moved = operator("replay", "--from", "earliest")
    pipeline.pool.start()
    pipeline.pool.until(lambda: pipeline.pool.counter("lines") == 3_000, 30, "all to be read again")
    pipeline.drain()

    assert moved.returncode == 0, moved.stderr
    assert "3000 offsets are read again" in moved.stdout
    assert {(row["time"], row["seq"]) for row in pipeline.rows()} == before
    assert len(before) == 3_000


def test_replay_by_time_offset_and_partition(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    now = int(time.time() * 1000)
    for hours in (5, 3, 1):
        pipeline.produce((record(seq) for seq in range(30)), timestamp=now - hours * 3_600_000)

    def moved(*words: str) -> list[int]:
        done = operator("replay", *words, "--yes", "--json")
        assert done.returncode == 0, done.stderr
        committed = pipeline.lab.topics.committed(pipeline.name, pipeline.name)
        return [committed[number] or 0 for number in range(3)]

    assert moved("--from", "latest") == [30, 30, 30]
    assert moved("--since", "4h") == [10, 10, 10]
    assert moved("--since", "10m") == [30, 30, 30]
    assert moved("--since", "30d", "--partition", "1") == [30, 0, 30]
    assert moved("--from", "7", "--partition", "2") == [30, 0, 7]
    skipping = operator("replay", "--from", "latest")
    beyond = operator("replay", "--from", "31")
    missing = operator("replay", "--from", "earliest", "--partition", "3")

    assert (skipping.returncode, beyond.returncode, missing.returncode) == (1, 1, 1)
    assert "53 records that were never read are skipped" in skipping.stderr
    assert "0 to 30" in beyond.stderr
    assert "no partition 3" in missing.stderr


def test_the_way_on_from_an_offset_that_no_longer_exists(chain: Callable[..., Chain]) -> None:
    """Retention overtook the pool: it stops loudly, status and check say so, replay goes on."""
    pipeline = chain(environment=SHORT)
    operator = Operator(pipeline)
    pipeline.produce((record(seq) for seq in range(10)), partition=1)
    pipeline.pool.start()
    pipeline.drain()
    pipeline.pool.stop()
    pipeline.produce((record(seq) for seq in range(10, 40)), partition=1)
    pipeline.lab.topics.delete_records(pipeline.name, {1: 25})
    check = operator.findings()["consumer group"]
    pipeline.pool.start()
    pipeline.pool.until(
        lambda: any(state["stopped"] for state in pipeline.pool.states()), 60, "a stopped partition"
    )
    status = operator.json("status")
    pipeline.pool.stop()
    moved = operator("replay", "--from", "earliest", "--partition", "1")
    pipeline.pool.start()
    pipeline.drain()

    assert check[0] == "FAIL"
    assert "--partition 1 --from earliest" in check[1]
    assert any(trouble["cause"].startswith("partition 1 is not read") for trouble in status["troubles"])
    assert moved.returncode == 0, moved.stderr
    assert "Kafka no longer has 15 of partition 1" in moved.stdout
    assert sorted(pipeline.sequences()) == [*range(10), *range(25, 40)]
