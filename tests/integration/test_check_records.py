"""What check says about records and points, with real Kafka and InfluxDB."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from confluent_kafka import Producer

from lab.lab import Lab
from lab.system.files import read_secret
from tests.support.chain import Chain
from tests.support.shell import Operator, feeding

pytestmark = pytest.mark.integration

KOREA = timezone(timedelta(hours=9))

#: The fields that the lab's dashboard asks for.
DASHBOARD = ("memory", "tx", "rx", "CPU_Usage", "tx_dropped", "rx_dropped", "rxError", "txError", "disk")


def pi(zone: str = "%z", when: float | None = None, **more: Any) -> bytes:
    """A record of the lab's Pi, as Fluentd sends it today."""
    now = datetime.fromtimestamp(time.time() if when is None else when, KOREA)
    return json.dumps(
        {
            "tx_bytes": 11, "rx_bytes": 22, "tx_drops": 0, "rx_drops": 1, "tx_errors": 0, "rx_errors": 0,
            "cpu_load": "3.80", "free_ram": 16479928, "disk_util": 7,
            "time": now.strftime(f"%Y-%m-%dT%H:%M:%S{zone}"), **more,
        }
    ).encode()  # fmt: skip # a table, which is longer with one value a line


def stranger() -> bytes:
    """A record of another world, with a name that would colour a terminal."""
    return json.dumps({"temperature": 21.5, "room": "kitchen", "on": True, "\x1b[31mred": 1}).encode()


def test_the_labs_record_passes_every_check(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.lab.topics.configure(f"{pipeline.name}.dlq", {"max.message.bytes": "20971520"})
    operator = Operator(pipeline)
    pipeline.pool.start()
    pipeline.produce(pi() for _ in range(30))
    pipeline.drain()
    with feeding(pipeline, pi):
        rows = operator.checks("5")
        shown = operator("check")

    assert [row for row in rows if row["level"] != "ok"] == []
    texts = {row["check"]: row["text"] for row in rows}
    assert all(name in texts["record fields"] for name in DASHBOARD)
    assert "by its own time" in texts["records"]
    assert texts["dashboard fields"].startswith("all 9 that")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1] == f"{len(rows)} ok, 0 warn, 0 FAIL"


def test_a_topic_of_strangers_is_a_warning_that_names_their_fields(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    pipeline.pool.start()
    pipeline.produce(stranger() for _ in range(30))
    pipeline.drain()
    with feeding(pipeline, stranger):
        rows = {check["check"]: check for check in operator.checks("5")}
        shown = operator("check")

    fields = rows["record fields"]
    assert fields["level"] == "warn"
    assert "all of the newest" in fields["text"]
    assert "temperature (number), room (text), on (true or false), _[31mred (number)" in fields["text"]
    assert "TOWER_RENAME=" in fields["next"]
    assert "TOWER_NUMBER_FIELDS" in fields["next"]
    assert "by Kafka's time" in rows["records"]["text"]
    assert rows["newest point"]["level"] == "warn"
    assert "has none of the fields that the dashboard asks for" in rows["newest point"]["text"]
    assert shown.returncode == 0
    assert " 0 warn" not in shown.stdout.splitlines()[-1]
    assert "\x1b" not in shown.stdout


def test_the_setting_that_check_names_mends_a_wrong_name(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    pipeline.produce(json.dumps({"mem": 5, "tx": 1}).encode() for _ in range(9))
    before = operator.finding("record fields")
    after = operator.finding("record fields", TOWER_RENAME="mem:memory")
    only = operator.finding("record fields", TOWER_RENAME="mem:memory", TOWER_NUMBER_FIELDS="memory,tx")

    assert before["level"] == "warn"
    assert "TOWER_RENAME=mem:memory" in before["next"]
    assert "fill memory, tx, and never" in after["text"]
    assert (only["level"], only["text"]) == ("ok", "the newest 9 records fill memory, tx")


def test_one_sender_of_several_is_not_hidden_by_the_newest_record(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    pipeline.produce((stranger() for _ in range(5)), partition=0)
    pipeline.produce((pi(zone="") for _ in range(4)), partition=0)
    pipeline.produce((b'{"half' for _ in range(3)), partition=0)
    pipeline.produce((pi() for _ in range(20)), partition=0)
    findings = {check["check"]: check for check in operator.checks()}

    assert "5 of the newest 29 records" in findings["record fields"]["text"]
    assert "4 of the newest 29 records" in findings["record times"]["text"]
    assert (
        "3 of the newest 32 records would become dead letters (json: 3)" in findings["bad records"]["text"]
    )
    assert {findings[check]["level"] for check in ("record fields", "record times", "bad records")} == {
        "warn"
    }
    assert findings["records"]["level"] == "ok"


@pytest.mark.parametrize(
    ("value", "expected_text"),
    [
        pytest.param(
            lambda: pi(zone=""),
            ("records", "FAIL", "9.0 h ahead of this machine's clock", "set TOWER_TIME_ZONE"),
            id="no zone",
        ),
        pytest.param(
            lambda: pi(when=5_000),
            ("record times", "warn", "has 1970-01-01T01:23:20Z", "set the clock of the sender"),
            id="not believed",
        ),
        pytest.param(
            lambda: pi(when=time.time() - 3 * 86_400),
            ("record times", "warn", "more than TOWER_TIME_WINDOW_S (86400 s)", "TOWER_TIME_WINDOW_S=0"),
            id="old",
        ),
        pytest.param(
            lambda: pi(zone=" yesterday"),
            ("record times", "warn", "cannot be read", "TOWER_TIME_FIELDS"),
            id="no time",
        ),
        pytest.param(
            lambda: pi(cpu_load="No Such Instance currently exists at this OID"),
            ("values left out", "warn", "CPU_Usage in 20 of 20 records", "OID"),
            id="no number",
        ),
        pytest.param(
            lambda: b"memory 1",
            ("records", "FAIL", "dead letters (text: 20)", "dlq list"),
            id="all dead letters",
        ),
    ],
)
def test_check_tells_what_is_wrong_with_the_records(
    bare: Chain, value: Callable[[], bytes], expected_text: tuple[str, str, str, str]
) -> None:
    topic = f"{bare.name}-{uuid.uuid4().hex[:8]}"
    bare.lab.topics.create(topic, 1)
    bare.produce((value() for _ in range(20)), partition=0, topic=topic)
    check, level, text, advice = expected_text
    finding = Operator(bare).finding(check, TOWER_TOPIC=topic)

    assert finding["level"] == level
    assert text in finding["text"]
    assert advice in finding["next"]


@pytest.mark.parametrize(("kept", "expected_text"), [(True, "by its own time"), (False, "hold no records")])
def test_the_end_of_a_transaction_is_no_record(bare: Chain, kept: bool, expected_text: str) -> None:
    """It takes an offset, so the last offset of such a topic has none."""
    topic = f"{bare.name}-{uuid.uuid4().hex[:8]}"
    bare.lab.topics.create(topic, 1)
    producer = Producer({"bootstrap.servers": bare.lab.bootstrap_servers, "transactional.id": topic})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, pi())
    producer.flush(30)
    if kept:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)

    assert expected_text in Operator(bare).finding("records", TOWER_TOPIC=topic)["text"]


def test_points_in_another_measurement_are_told(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.write(["Labs memory=1", "cpu memory=1"])
    finding = Operator(pipeline).finding("newest point")

    assert finding["level"] == "warn"
    assert "there is no measurement labs; there are Labs, cpu" in finding["text"]
    assert "TOWER_MEASUREMENT" in finding["next"]


def test_records_older_than_the_retention_are_told(lab: Lab, bare: Chain) -> None:
    bucket, topic = (f"{bare.name}-{uuid.uuid4().hex[:8]}" for _ in range(2))
    names = {
        "TOWER_TOPIC": topic,
        "TOWER_INFLUXDB_BUCKET": bucket,
        "TOWER_INFLUXDB_DATABASE": bucket,
        "TOWER_INFLUXDB_TOKEN": lab.create_bucket(bucket, 3_600),
    }
    lab.topics.create(topic, 1)
    bare.produce([pi(when=time.time() - 7_200), pi()], partition=0, topic=topic)
    admin_token = read_secret(lab.secrets.admin_token) or ""
    seen = Operator(bare).finding("retention", **names, INFLUXDB_ADMIN_TOKEN=admin_token)
    unseen = Operator(bare).finding("retention", **names)

    assert seen["level"] == unseen["level"] == "warn"
    assert "keeps 60 min, and 1 of the newest 2 records" in seen["text"]
    assert "cannot be seen" in unseen["text"]
    assert "--look-token-file" in unseen["next"]


def test_a_field_of_the_records_that_has_another_type_in_the_bucket_is_told(
    chain: Callable[..., Chain],
) -> None:
    pipeline = chain()
    pipeline.write(['labs memory=1,note="text"'])
    pipeline.produce([pi(note=7), pi()])
    finding = Operator(pipeline).finding("field types")

    assert finding["level"] == "warn"
    assert "note is string and Tower writes float" in finding["text"]
    assert "1 of the newest 2" in finding["text"]


def test_a_field_that_records_bring_and_no_point_has_is_told(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    fields = ",".join(f"{name}=1" for name in DASHBOARD if name != "CPU_Usage")
    pipeline.write([f"labs {fields}", f"labs CPU_Usage=1 {time.time_ns() - 5_400 * 10**9}"])
    pipeline.produce(pi() for _ in range(9))
    finding = operator.finding("dashboard fields")
    pipeline.write([f"labs memory=1 {time.time_ns() + 7_200 * 10**9}"])
    future = operator.finding("newest point")

    assert finding["level"] == "warn"
    assert (
        "no point in the last hour has CPU_Usage, although the newest records fill CPU_Usage"
        in finding["text"]
    )
    assert future["level"] == "warn"
    assert "2.0 h in the future" in future["text"] or "120 min in the future" in future["text"]


def test_records_that_are_not_stored_are_told(chain: Callable[..., Chain]) -> None:
    """The pool does not run; its last points are minutes old."""
    pipeline = chain()
    fields = ",".join(f"{name}=1" for name in DASHBOARD)
    pipeline.write([f"labs {fields} {time.time_ns() - 600 * 10**9}"])
    pipeline.produce(pi() for _ in range(9))
    finding = Operator(pipeline).finding("newest point")

    assert finding["level"] == "warn"
    assert "not stored" in finding["text"]


def test_a_bucket_of_thousands_of_fields_is_looked_at_in_seconds(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    now = time.time_ns()
    fields = ",".join(f"{name}=1" for name in DASHBOARD)
    pipeline.write(
        [
            line
            for device in range(3_000)
            for line in (
                f"labs,deviceId=pi-{device} {fields} {now - device}",
                f"labs,deviceId=pi-{device} a{device}=1,b{device}=1,c{device}=1 {now - device}",
            )
        ],
    )
    begun = time.monotonic()
    levels = {check["check"]: check["level"] for check in Operator(pipeline).checks()}

    assert {levels[check] for check in ("field types", "newest point", "dashboard fields")} == {"ok"}
    assert time.monotonic() - begun < 30
