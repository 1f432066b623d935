"""The steps of the lab's text "Tower" in its order, on the native cluster; docs/operations.md has the same.

Left out is what needs a container (the images of 1-1, 1-2, 1-4 and 1-5) or a browser (the clicks of 1-7).
"""

import json
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.topology import LabOptions, Topology
from tests.support.nuc import KOREA, STORED_S, Bare, Nuc
from tests.support.pool import TowerPool

#: Every codec of Kafka's protocol, as kcat and Kafka name them.
CODECS = ["gzip", "lz4", "none", "snappy", "zstd"]

#: The fields that the lab's dashboard and its own consumer know.
FIELDS = ["CPU_Usage", "disk", "memory", "rx", "rxError", "rx_dropped", "tx", "txError", "tx_dropped"]

Step = Callable[[Nuc], None]

#: What each step does, by its name in docs/operations.md, in the text's order.
STEPS: dict[str, Step] = {}


def step(name: str) -> Callable[[Step], Step]:
    """Make a function the next step."""

    def enter(function: Step) -> Step:
        STEPS[name] = function
        return function

    return enter


def last_morning() -> datetime:
    """The last 07:50 in Korea: within a day of now, or Tower would not believe it (TOWER_TIME_WINDOW_S).

    During the minute before, it is the coming one: on its way a record of yesterday would become too old.
    """
    now = datetime.now(KOREA)
    morning = now.replace(hour=7, minute=50, second=0, microsecond=0)
    return morning if morning - now < timedelta(minutes=1) else morning - timedelta(days=1)


@step("1-1 InfluxDB: org `GIST`, bucket `Labs`, `INFLUXDB_ADMIN_TOKEN`")
def influxdb_is_set_up(nuc: Nuc) -> None:
    token = secrets.token_hex(32)
    owner = {"username": "admin", "password": secrets.token_hex(8), "token": token}
    nuc.api("POST", "/api/v2/setup", owner | {"org": "GIST", "bucket": "Labs"})
    nuc.exported["INFLUXDB_ADMIN_TOKEN"] = token


@step("1-1-1 DBRP mapping `Labs`/`autogen`, `INFLUXDB_V1_USER`, `INFLUXDB_V1_PASSWORD`")
def the_v1_endpoint_is_opened(nuc: Nuc) -> None:
    """As `influx v1 dbrp create` and `influx v1 auth create` do: the user may use this bucket alone."""
    (bucket,) = nuc.api("GET", "/api/v2/buckets?name=Labs")["buckets"]
    organisation = {"orgID": bucket["orgID"]}
    mapping = {"bucketID": bucket["id"], "database": "Labs", "retention_policy": "autogen", "default": True}
    nuc.api("POST", "/api/v2/dbrps", organisation | mapping)
    resource = {"type": "buckets", "id": bucket["id"]} | organisation
    permissions = [{"action": action, "resource": resource} for action in ("read", "write")]
    legacy = "/private/legacy/authorizations"
    user = nuc.api("POST", legacy, organisation | {"token": "tower", "permissions": permissions})
    password = secrets.token_hex(8)
    nuc.api("POST", f"{legacy}/{user['id']}/password", {"password": password})
    nuc.exported |= {"INFLUXDB_V1_USER": "tower", "INFLUXDB_V1_PASSWORD": password}


@step("1-3 Python packages")
def tower_is_installed(nuc: Nuc) -> None:
    code, checks = nuc.check()

    assert code == 1
    assert [name for name, (level, _) in checks.items() if level == "FAIL"] == ["topic"]


@step("1-4 topic `resource` by `kafka-topics`")
def the_topics_are_made(nuc: Nuc) -> None:
    before = nuc.kafka_topics("--list")
    nuc.kafka_topics("--create", "--topic", "resource", "--partitions", "3", "--replication-factor", "3")
    after = nuc.kafka_topics("--list")
    _, checks = nuc.check()
    provisioned = json.loads(nuc.run("tower", "provision", "--json"))["steps"]
    outcomes = {part["what"]: part["done"] for part in provisioned}
    code, _ = nuc.check()

    assert "resource" not in before
    assert "resource" in after
    assert [name for name, (level, _) in checks.items() if level == "FAIL"] == ["topic resource.dlq"]
    # All that the text has made stays as it is.
    assert [what for what, done in outcomes.items() if done == "created"] == ["topic resource.dlq"]
    assert "changed" not in outcomes.values()
    assert code == 0


@step("1-5 Fluentd on the Pi")
def the_pi_sends_before_anybody_reads(nuc: Nuc) -> None:
    morning = last_morning()
    for codec in CODECS:
        nuc.pi_sends(morning, codec)

    # A producer leaves a record as it is if a codec does not make it smaller.
    assert sorted(re.findall(r"compresscodec: (\w+)", nuc.dump("resource"))) == CODECS


@step("1-6 `SHOW MEASUREMENTS`")
def the_v1_endpoint_is_tried(nuc: Nuc) -> None:
    assert nuc.ask("SHOW MEASUREMENTS") == (200, [])


@step("1-6 `python broker_to_influxdb.py`")
def the_pool_is_started(nuc: Nuc) -> None:
    nuc.run("supervisord", "-c", "supervisor.conf")
    nuc.checkout.until(nuc.checkout.is_assigned, STORED_S, "every partition to have a worker")
    status = nuc.run("supervisorctl", "-c", "supervisor.conf", "status")

    assert re.findall(r"^(\S+) +(\S+)", status, re.MULTILINE) == [
        ("serve", "RUNNING"),
        ("worker:0", "RUNNING"),
        ("worker:1", "RUNNING"),
        ("worker:2", "RUNNING"),
    ]


@step("1-7 the dashboard's query")
def the_dashboard_asks(nuc: Nuc) -> None:
    """Chronograf puts the chosen range in the place of `:dashboardTime:`."""
    nuc.pi_sends(datetime.now(KOREA))
    rows = nuc.rows('SELECT "memory" FROM "Labs"."autogen"."labs" WHERE time > now() - 15m', 1)
    code, checks = nuc.check()

    assert rows[-1]["memory"] == 16479928
    assert code == 0
    # The records of the morning are as old as they say.
    assert {name for name, (level, _) in checks.items() if level != "ok"} <= {"record times"}


@step("1-7 `401 … unauthorized access`")
def a_wrong_password_is_named(nuc: Nuc) -> None:
    wrong = {"INFLUXDB_V1_PASSWORD": "of-another-terminal"}
    code, checks = nuc.check(**wrong)
    level, advice = checks["dashboard query"]

    assert nuc.ask("SHOW MEASUREMENTS", **wrong) == (401, [])
    assert (code, level) == (1, "FAIL")
    assert "INFLUXDB_V1_PASSWORD" in advice


@step("1-7 memory, then `CPU_Usage`")
def memory_and_cpu_are_floats_at_the_records_own_time(nuc: Nuc) -> None:
    """Five equal records of one second are five points."""
    past = nuc.rows('SELECT "memory", "CPU_Usage" FROM "Labs"."autogen"."labs" WHERE time > now() - 2d', 6)
    values = [
        (row["memory"], row["CPU_Usage"])
        for row in past
        if datetime.fromtimestamp(row["time"] // 10**9, UTC).strftime("%T") == "22:50:00"
    ]
    _, keys = nuc.ask('SHOW FIELD KEYS FROM "labs"')

    assert values == [(16479928, 3.8)] * len(CODECS)
    assert len({row["time"] for row in past}) == len(past) == len(CODECS) + 1
    assert {key["fieldKey"]: key["fieldType"] for key in keys} == dict.fromkeys(FIELDS, "float")


@step("Ctrl-C in the terminal of 1-6")
def the_pool_stops_and_goes_on_later(nuc: Nuc) -> None:
    """What the Pi sends in between is stored too."""
    nuc.run("tower", "down")
    nuc.pi_sends(datetime.now(KOREA))
    nuc.run("supervisord", "-c", "supervisor.conf")
    rows = nuc.rows('SELECT "memory" FROM "Labs"."autogen"."labs" WHERE time > now() - 2d', 7)

    assert len(rows) == len(CODECS) + 2


@pytest.fixture
def nuc(kcat: str) -> Iterator[Nuc]:
    """The lab's cluster, and a checkout in a folder with the lab's own name."""
    with (
        tempfile.TemporaryDirectory(prefix="tower-") as folder,
        Bare(Path(folder) / "lab", LabOptions.free_ports(Topology.CLUSTER)) as lab,
    ):
        checkout = TowerPool(Path(folder) / "Lab-4. Tower", {})
        try:
            yield Nuc(lab, checkout, kcat)
        finally:
            checkout.operate("down")


@pytest.mark.integration
@pytest.mark.timeout(400)
def test_every_step_of_the_labs_text_works_with_tower(nuc: Nuc) -> None:
    for name, follow in STEPS.items():
        print(name)
        follow(nuc)
