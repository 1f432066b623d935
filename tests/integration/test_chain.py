"""From Kafka to InfluxDB on real parts, under supervisord."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from lab.lab import Lab
from lab.topology import LabOptions
from tests.support.chain import Chain, record
from tests.support.pool import TowerPool

pytestmark = pytest.mark.integration


def test_three_workers_run_and_each_owns_one_partition(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.pool.start()
    pipeline.pool.until(lambda: len(pipeline.pool.states()) == 3, 20, "three workers' first sign of life")
    pipeline.pool.until(
        lambda: sorted(len(state["owned"]) for state in pipeline.pool.states()) == [1, 1, 1],
        20,
        "one partition for each",
    )
    status = subprocess.run(
        pipeline.pool.command("supervisorctl", "status", "worker:*"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert len(status) == 3
    assert all(" RUNNING " in line for line in status)
    assert sorted(pipeline.pool.owners()) == [0, 1, 2]


def test_all_three_formats_arrive_side_by_side(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.pool.start()
    now = int(time.time())
    pipeline.produce(
        [
            record(1),
            msgpack.packb(
                {"memory": 5, "seq": 2, "timestamp": msgpack.ExtType(0, now.to_bytes(4) + bytes(4))}
            ),
            b"memory:7,seq:3,note:a:b,c",
            json.dumps([{"memory": 1, "seq": 4}, {"memory": 1, "seq": 5}]).encode(),
        ]
    )
    pipeline.drain()

    rows = {int(row["seq"]): row for row in pipeline.rows('"seq", "memory", "note"')}

    assert sorted(rows) == [1, 2, 3, 4, 5]
    assert rows[1]["memory"] == 22_000_001.0
    assert rows[3]["note"] == "a:b,c"


def test_messages_of_many_records_fill_no_batch_without_end_and_each_is_stored_once(
    chain: Callable[..., Chain],
) -> None:
    """All messages are there before the pool starts, and small enough for one fetch of each partition."""
    batch_lines, per_message, count = 100, 300, 120
    pipeline = chain(environment={"TOWER_BATCH_LINES": str(batch_lines)})
    pipeline.produce(
        json.dumps([{"seq": number * per_message + element} for element in range(per_message)]).encode()
        for number in range(count)
    )
    pipeline.pool.start()
    pipeline.drain()
    # A worker writes its last counts when it stops.
    pipeline.pool.stop()

    assert sorted(pipeline.sequences()) == list(range(count * per_message))
    # A batch is put back from twice its size on, and the message that filled it stays in it.
    assert pipeline.pool.counter("writes") >= count * per_message / (2 * batch_lines + per_message)


def test_a_bad_record_costs_itself_and_none_of_its_neighbours(chain: Callable[..., Chain]) -> None:
    """Every partition gets good, bad, good, and a bad record as its last."""
    pipeline = chain()
    bad: dict[bytes | None, str] = {
        b"{}": "no_fields",
        b'{"memory":"No Such Instance currently exists at this OID"}': "no_fields",
        b'{"memory":NaN}': "no_fields",
        b'{"memory":1': "json",
        b"\x81\xa1": "msgpack",
        b"nothing like a record": "text",
        b"[]": "empty",
        b"[" * 100_000: "too_deep",
        b'{"note":"\\ud800"}': "json",
    }
    good = [record(seq) for seq in range(3 * len(bad))]
    for partition in range(3):
        mixed: list[bytes | None] = []
        for place, value in enumerate(bad):
            mixed += [good[partition * len(bad) + place], value]
        pipeline.produce(mixed, partition=partition)
    pipeline.produce([b'{"memory":"No Such Instance","tx":"3","seq":900}'], partition=0)
    pipeline.pool.start()
    pipeline.drain()

    letters = list(pipeline.dead_letters())

    assert sorted(pipeline.sequences()) == [*range(3 * len(bad)), 900]
    assert len(letters) == 3 * len(bad)
    for value, headers in letters:
        assert value is not None
        assert headers["tower.reason"] == bad[value]
        assert headers["tower.topic"] == pipeline.name
        assert int(headers["tower.offset"]) % 2 == 1


def test_equal_records_are_two_points_and_a_record_read_twice_is_one(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    same = record(7)
    pipeline.produce([same] * 3_000)
    pipeline.pool.start()
    pipeline.drain()
    once = len(pipeline.rows())
    pipeline.pool.stop()
    # A second group reads everything again, into the same bucket.
    again = TowerPool(
        pipeline.pool.folder.with_name("again"), {**pipeline.environment, "TOWER_KAFKA_GROUP_ID": "again"}
    )
    again.start()
    try:
        again.until(lambda: again.counter("lines") >= 3_000, 30, "the second reading")
    finally:
        again.stop()

    assert once == 3_000
    assert len(pipeline.rows()) == 3_000


def test_text_of_any_kind_comes_back_as_it_was_sent(chain: Callable[..., Chain]) -> None:
    """Only control characters and a last backslash in a tag are replaced, as docs/records.md says."""
    pipeline = chain()
    texts = ["a,b", "a b", "a=b", 'a"b', "a\\b", "#a", "é😀", "a\\,b", "a\\ b", "\\\\a", "'", "a\\=b"]
    noted = [*texts, "line\nfeed", "end\\", "\\", '\\"']
    pipeline.produce([record(seq, ip=text, note=text) for seq, text in enumerate(texts)])
    pipeline.produce([record(100 + seq, note=text) for seq, text in enumerate(noted)])
    pipeline.produce(
        [
            record(200 + seq, **dict[str, Any]({text: seq}))
            for seq, text in enumerate(texts)
            if "\\" not in text
        ]
    )
    pipeline.pool.start()
    pipeline.drain()

    rows = {int(row["seq"]): row for row in pipeline.rows("*")}

    for seq, text in enumerate(texts):
        assert (rows[seq]["ip"], rows[seq]["note"]) == (text, text)
    for seq, text in enumerate(noted):
        assert rows[100 + seq]["note"] == text
    for seq, text in enumerate(texts):
        if "\\" not in text:
            assert rows[200 + seq][text] == seq


def test_the_v1_endpoint_takes_the_same_records(chain: Callable[..., Chain], lab: Lab) -> None:
    pipeline = chain(
        environment={
            "TOWER_INFLUXDB_API": "v1",
            "TOWER_INFLUXDB_PASSWORD_FILE": lab.worker_environment()["TOWER_INFLUXDB_PASSWORD_FILE"],
        }
    )
    pipeline.produce(record(seq) for seq in range(300))
    pipeline.pool.start()
    pipeline.drain()

    assert sorted(pipeline.sequences()) == list(range(300))


def test_a_stop_writes_and_commits_what_is_in_hand_and_says_so(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.pool.start()
    pipeline.produce(record(seq) for seq in range(20_000))
    pipeline.pool.until(lambda: pipeline.pool.counter("lines") > 0, 30, "the first write")
    pipeline.pool.stop()
    reports = pipeline.pool.reports()
    committed = pipeline.lab.topics.committed(pipeline.name, pipeline.name)
    before = len(pipeline.sequences())

    assert len(reports) == 3
    for report in reports:
        for number, account in report["partitions"].items():
            assert account["uncommitted"] == 0
            assert account["consumed"] == account["written"] + account["dead_lettered"]
            assert account["position"] == (committed[int(number)] or 0)
    assert before == sum(offset or 0 for offset in committed.values())


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda pool, worker: pool.signal(worker, signal.SIGKILL), id="SIGKILL"),
        pytest.param(TowerPool.terminate, id="SIGTERM"),
    ],
)
def test_a_worker_ended_from_outside_loses_nothing_and_doubles_nothing(
    chain: Callable[..., Chain], end: Callable[[TowerPool, int], object]
) -> None:
    pipeline = chain()
    pipeline.pool.start()
    for burst in range(5):
        pipeline.produce(record(seq) for seq in range(burst * 4_000, (burst + 1) * 4_000))
        end(pipeline.pool, burst % 3)
    pipeline.drain()
    sequences = pipeline.sequences()

    assert set(sequences) == set(range(20_000))
    assert len(sequences) == 20_000
    assert len(pipeline.pool.spawned()) == 3 + 5


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        pytest.param("TOWER_TOPICS", "x", "TOWER_TOPICS", id="unknown option"),
        pytest.param("TOWER_INFLUXDB_URL", "localhost:8086", "TOWER_INFLUXDB_URL", id="bad URL"),
        pytest.param("TOWER_INFLUXDB_TOKEN", "", "TOWER_INFLUXDB_TOKEN", id="missing token"),
        pytest.param(
            "TOWER_KAFKA_ENABLE_AUTO_COMMIT", "true", "TOWER_KAFKA_ENABLE_AUTO_COMMIT", id="auto-commit"
        ),
        pytest.param(
            "TOWER_KAFKA_NO_SUCH_PROPERTY", "1", "TOWER_KAFKA_NO_SUCH_PROPERTY", id="unknown property"
        ),
    ],
)
def test_a_wrong_setting_is_named_in_one_line_and_not_tried_again(
    short_folder: Path, setting: str, value: str, named: str
) -> None:
    pool = TowerPool(short_folder / "p", {"TOWER_INFLUXDB_TOKEN": "x", setting: value}, workers=1)
    pool.start(wait=False)
    try:
        pool.until(lambda: _exited(pool), 20, "the worker to give up")
        (process,) = pool.processes().values()
        # Three more starts would come within this time if there were a restart loop.
        pool.until(lambda: time.time() - process["stop"] > 3, 10, "time to pass")
        starts = pool.spawned()
        log = pool.log(0)
    finally:
        pool.stop()

    assert (process["statename"], process["exitstatus"]) == ("EXITED", 78)
    assert len(starts) == 1
    assert len(log.splitlines()) == 1
    assert log.startswith(f"tower: {named}: ")


def _exited(pool: TowerPool) -> bool:
    try:
        return all(worker["statename"] == "EXITED" for worker in pool.processes().values())
    except OSError:
        return False


def test_a_pool_started_before_kafka_and_influxdb_waits_and_then_moves_everything(
    short_folder: Path,
) -> None:
    """The lab is made, filled and taken down; the pool starts first, then the lab."""
    lab = Lab(short_folder / "lab", LabOptions.free_ports())
    try:
        lab.up()
        pipeline = Chain(lab, short_folder)
        pipeline.produce(record(seq) for seq in range(3_000))
        lab.down()
        with pipeline:
            pipeline.pool.start(wait=False)
            pipeline.pool.until(
                lambda: len(pipeline.pool.states()) == 3, 20, "the workers' first sign of life"
            )
            begun = time.monotonic()
            pipeline.pool.until(lambda: time.monotonic() - begun > 5, 10, "five seconds without servers")
            pids = pipeline.pool.pids()
            lab.up()
            pipeline.drain()

            assert sorted(pipeline.sequences()) == list(range(3_000))
            assert pipeline.pool.pids() == pids
            assert len(pids) == 3
    finally:
        lab.down(purge=True)


def test_no_secret_is_in_any_command_line_log_or_state(chain: Callable[..., Chain]) -> None:
    pipeline = chain(environment={"TOWER_KAFKA_SASL_PASSWORD": "CANARY-sasl", "TOWER_LOG_LEVEL": "DEBUG"})
    pipeline.produce([record(1), b"{"])
    pipeline.pool.start()
    pipeline.drain()
    pipeline.pool.signal(0, signal.SIGKILL)
    pipeline.pool.until(lambda: len(pipeline.pool.spawned()) == 4, 20, "a restart")
    texts = pipeline.pool.texts()
    pipeline.pool.stop()
    texts |= {path.name: path.read_text() for path in pipeline.pool.var.glob("*.log")}

    assert {"worker-0.log", "supervisord.log", "worker-0.json"} <= texts.keys()
    for name, text in texts.items():
        assert pipeline.token not in text, name
        assert "CANARY" not in text, name
