"""The lab itself, on real servers."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgpack
import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition

from lab import status
from lab.errors import BusyError, LabError
from lab.kafka.topics import OFFSETS
from lab.lab import Lab
from lab.provision import DEAD_LETTER_TOPIC, TOPIC
from lab.system.files import read_secret
from lab.system.progress import Progress
from lab.system.server_process import wait_until
from lab.topology import LabOptions, Topology

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
LINE = b"labs,host=Labs memory=1"
#: The fields that the lab's Pi sends, in their order.
LAB_RECORD = [
    *("tx_bytes", "rx_bytes", "tx_drops", "rx_drops", "tx_errors", "rx_errors"),
    *("cpu_load", "free_ram", "disk_util", "time"),
]


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def ask(lab: Lab, method: str, path: str, authorization: str, body: bytes = b"") -> int:
    """The status that InfluxDB answers with."""
    split = urlsplit(lab.influxdb.url)
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, body, {"Authorization": authorization})
        return connection.getresponse().status


def answer(lab: Lab, path: str, authorization: str) -> bytes:
    """The body that InfluxDB answers with."""
    split = urlsplit(lab.influxdb.url)
    connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Authorization": authorization})
        return connection.getresponse().read()


def consume(lab: Lab, topic: str) -> list[bytes]:
    """Every value of a topic."""
    ends = lab.topics.log_ends(topic)
    consumer = Consumer({"bootstrap.servers": lab.bootstrap_servers, "group.id": unique("reader")})
    try:
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        values: list[bytes] = []
        deadline = time.monotonic() + 30
        while len(values) < sum(ends.values()) and time.monotonic() < deadline:
            values += [message.value() or b"" for message in consumer.consume(500, 0.2)]
        return values
    finally:
        consumer.close()


def command(*args: str, data: Path, check: int = 0) -> str:
    """Run `python -m lab` and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", *args, "--data", str(data)],
        cwd=ROOT,
        capture_output=True,
        timeout=180,
        check=False,
        text=True,
    )
    assert done.returncode == check, done.stdout + done.stderr
    return done.stdout + done.stderr if check else done.stdout


def running_under(folder: Path) -> list[str]:
    """Command lines of processes whose files are in the folder."""
    command_lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if str(folder) in line and process.status() != psutil.STATUS_ZOMBIE:
                command_lines.append(line)
    return command_lines


def test_status_tells_a_program_where_everything_is(lab: Lab) -> None:
    status = json.loads(command("status", "--json", data=lab.data))

    (node,) = status["nodes"]
    influxdb = status["influxdb"]
    assert status["topology"] == "single"
    assert status["bootstrap_servers"] == f"localhost:{node['port']}"
    assert (node["id"], node["role"], node["serving"]) == (3, "combined", True)
    assert psutil.pid_exists(node["pid"])
    assert (influxdb["org"], influxdb["bucket"], influxdb["serving"]) == ("GIST", "Labs", True)
    assert influxdb["version"].lstrip("v").startswith("2.")
    for name in ("admin_token_file", "worker_token_file", "v1_password_file"):
        assert Path(influxdb[name]).stat().st_mode & 0o777 == 0o600


def test_up_again_changes_nothing(lab: Lab) -> None:
    before = status.read(lab)
    token = read_secret(lab.secrets.worker_token())

    printed = command("up", data=lab.data)

    assert status.read(lab) == before
    assert read_secret(lab.secrets.worker_token()) == token
    assert "yes" in printed


def test_up_with_another_topology_is_refused(lab: Lab) -> None:
    printed = command("up", "--topology", "cluster", data=lab.data, check=1)

    assert "has topology single, not cluster" in printed


def test_the_topics_are_as_the_lab_has_them(lab: Lab) -> None:
    assert lab.topics.partitions(TOPIC) == 3
    assert lab.topics.partitions(DEAD_LETTER_TOPIC) == 1
    assert lab.topics.all_in_sync(TOPIC)
    assert lab.topics.config(TOPIC)["message.timestamp.type"] == "CreateTime"
    assert OFFSETS in lab.topics.names()


def test_a_topic_that_nobody_made_stays_missing(lab: Lab) -> None:
    assert lab.topics.partitions(unique("none")) == 0


def test_topics_come_and_go(lab: Lab) -> None:
    name = unique("topic")

    lab.topics.create(name, 2)
    lab.topics.create(name, 2)
    assert (lab.topics.partitions(name), lab.topics.leader(name, 1)) == (2, 3)
    assert lab.topics.log_ends(name) == lab.topics.log_starts(name) == {0: 0, 1: 0}
    assert lab.topics.committed("nobody", name) == {0: None, 1: None}
    lab.topics.delete(name)
    lab.topics.delete(name)

    assert lab.topics.partitions(name) == 0


def test_the_worker_token_writes_to_its_bucket_and_does_nothing_else(lab: Lab) -> None:
    worker = f"Token {read_secret(lab.secrets.worker_token())}"
    other = unique("bucket")
    lab.create_bucket(other)
    flux = b'from(bucket: "Labs") |> range(start: -1h) |> limit(n: 1)'

    assert ask(lab, "POST", "/api/v2/write?org=GIST&bucket=Labs", worker, LINE) == 204
    assert ask(lab, "POST", f"/api/v2/write?org=GIST&bucket={other}", worker, LINE) == 403
    assert ask(lab, "POST", "/api/v2/query?org=GIST", worker, flux) != 200
    # The v1 endpoint says 200 to anybody, and then keeps what may not be read to itself.
    shown = {
        question: answer(lab, f"/query?db=Labs&q={question.replace(' ', '+')}", worker)
        for question in ("SELECT * FROM labs", "SHOW MEASUREMENTS", "SHOW DATABASES")
    }
    assert not [text for text in shown.values() if b"memory" in text or b"labs" in text]
    assert ask(lab, "POST", "/api/v2/delete?org=GIST&bucket=Labs", worker, b"{}") >= 400


def test_the_dashboards_query_works_as_the_v1_user(lab: Lab) -> None:
    token = lab.create_bucket(bucket := unique("bucket"))
    path = f"/api/v2/write?org=GIST&bucket={bucket}"
    lines = b"labs,deviceId=a memory=1.5 1000000000\nlabs,deviceId=b memory=2.5 2000000000"
    assert ask(lab, "POST", path, f"Token {token}", lines) == 204

    question = f'SELECT "memory" FROM "{bucket}"."autogen"."labs" WHERE time > 0'  # noqa: S608
    columns = list(lab.query_rows(question, bucket))

    assert [(row["time"], row["memory"]) for row in columns] == [(10**9, 1.5), (2 * 10**9, 2.5)]


def test_the_v1_user_may_write_too(lab: Lab) -> None:
    password = read_secret(lab.secrets.v1_password)
    right = base64.b64encode(f"tower:{password}".encode()).decode()
    wrong = base64.b64encode(b"tower:wrong").decode()

    assert ask(lab, "POST", "/write?db=Labs&rp=autogen", f"Basic {right}", LINE) == 204
    assert ask(lab, "POST", "/write?db=Labs&rp=autogen", f"Basic {wrong}", LINE) == 401


def test_flux_answers_come_line_by_line(lab: Lab) -> None:
    token = lab.create_bucket(bucket := unique("bucket"))
    path = f"/api/v2/write?org=GIST&bucket={bucket}"
    assert ask(lab, "POST", path, f"Token {token}", b"labs memory=7 1000000000") == 204

    header, row = lab.flux_csv(f'from(bucket: "{bucket}") |> range(start: 0)')

    columns = dict(zip(header.split(","), row.split(","), strict=True))
    assert (columns["_field"], columns["_value"]) == ("memory", "7")


def test_a_question_that_is_refused_is_an_error(lab: Lab) -> None:
    with pytest.raises(LabError, match="refused"):
        list(lab.query_rows("SELECT nonsense FROM"))
    with pytest.raises(LabError, match="refused"):
        list(lab.flux_csv("from nonsense"))


def test_provisioning_again_keeps_tokens_password_and_mapping(lab: Lab) -> None:
    files = [lab.secrets.admin_token, lab.secrets.worker_token(), lab.secrets.v1_password]
    before = [read_secret(path) for path in files]
    bucket = unique("bucket")

    command("provision", data=lab.data)

    assert [read_secret(path) for path in files] == before
    assert lab.create_bucket(bucket) == lab.create_bucket(bucket)
    assert list(lab.query_rows("SHOW DATABASES")).count({"_series": "databases", "name": "Labs"}) == 1


def test_no_secret_is_in_an_argv_a_log_or_a_printed_status(lab: Lab) -> None:
    secrets = [path.read_text().strip() for path in lab.secrets.folder.iterdir()]
    servers = [*lab.nodes, lab.influxdb]
    shown = [command("status", data=lab.data), command("env", data=lab.data), repr(lab.secrets)]
    for server in servers:
        process = server.process()
        assert process is not None
        shown += [" ".join(process.cmdline()), str(process.environ())]
        shown.append(server.log.read_text(errors="replace"))

    assert len(secrets) >= 3
    assert not [secret for secret in secrets if any(secret in text for text in shown)]


def test_a_killed_influxdb_comes_back_with_its_data(lab: Lab) -> None:
    token = lab.create_bucket(bucket := unique("bucket"))
    path = f"/api/v2/write?org=GIST&bucket={bucket}"
    assert ask(lab, "POST", path, f"Token {token}", LINE) == 204

    lab.influxdb.kill()
    assert not lab.influxdb.serving()
    assert "no" in command("status", data=lab.data, check=3)
    lab.influxdb.start()
    lab.influxdb.wait_serving()

    assert len(list(lab.query_rows("SELECT * FROM labs", bucket))) == 1


def test_a_killed_node_comes_back_on_its_port(lab: Lab) -> None:
    node = lab.node(3)
    port = node.spec.port
    node.kill()
    assert not node.serving()

    node.start()
    node.wait_serving()

    assert node.spec.port == port
    assert wait_until(lambda: lab.topics.ready(TOPIC), 30)


def test_a_paused_node_does_not_serve(lab: Lab) -> None:
    node = lab.node(3)
    node.pause()
    try:
        assert not node.serving(0.3)
    finally:
        node.resume()

    node.wait_serving(30)


@pytest.mark.parametrize("form", ["json", "msgpack", "text"])
def test_the_feed_sends_samples_in_each_format(lab: Lab, form: str) -> None:
    lab.topics.create(topic := unique("feed"), 1)

    printed = command(
        *("feed", "--topic", topic, "--count", "2", "--interval", "0.05", "--format", form),
        *("--device", "a", "--device", "b", "--numbered"),
        data=lab.data,
    )

    values = consume(lab, topic)
    assert "4 records delivered to Kafka, 0 not" in printed
    samples = [decoded(value, form) for value in values]
    assert Counter(record["deviceId"] for record in samples) == {"a": 2, "b": 2}
    assert {int(record["seq"]) for record in samples} == {0, 1}
    free, time_ = ("memory", "timestamp") if form == "text" else ("free_ram", "time")
    assert all(float(record[free]) > 0 for record in samples)
    assert all(time_ in record for record in samples)


def decoded(value: bytes, form: str) -> dict[str, Any]:
    if form == "text":
        return dict(part.split(":", 1) for part in value.decode().split(","))
    return dict(json.loads(value) if form == "json" else msgpack.unpackb(value))


def test_a_feed_without_kafka_says_so(tmp_path: Path) -> None:
    printed = command("feed", "--topic", TOPIC, data=tmp_path / "none", check=1)

    assert "start one with `python -m lab up`" in printed


def test_kafkas_own_console_producer_runs_from_the_same_jars(lab: Lab) -> None:
    lab.topics.create(topic := unique("console"), 1)
    argv, env = lab.java_command(
        "org.apache.kafka.tools.ConsoleProducer",
        *("--bootstrap-server", lab.bootstrap_servers, "--topic", topic),
    )

    subprocess.run(argv, env=env, input=b"one\ntwo\n", timeout=60, check=True, capture_output=True)

    assert consume(lab, topic) == [b"one", b"two"]


def test_a_port_that_is_taken_stops_up_and_leaves_nothing(tmp_path: Path) -> None:
    data = tmp_path / "lab"
    with socket.create_server(("localhost", 0)) as other:
        wanted = LabOptions(Topology.SINGLE, None, 0, 0, other.getsockname()[1])

        with pytest.raises(BusyError, match="is in use"):
            Lab(data, wanted, Progress(quiet=True)).up()

    assert not data.exists()
    assert running_under(data) == []


def test_a_server_that_does_not_come_up_is_shown_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "lab"
    monkeypatch.setattr("lab.kafka.node.MEMORY", ("-XX:NoSuchOption",))

    with pytest.raises(LabError, match=r"Kafka node 3 .* ended with exit code 1(.|\n)*NoSuchOption"):
        Lab(data, LabOptions.free_ports(), Progress(quiet=True)).up()

    assert not data.exists()
    assert running_under(data) == []


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Lab]:
    """A lab that a test may take down, in a folder whose name could be taken for something else."""
    folder = tmp_path / 'Lab-4. Tower it\'s "50%" ${HOME} \\ 연구실'
    own_lab = Lab(folder, LabOptions.free_ports(), Progress(quiet=True))
    try:
        yield own_lab
    finally:
        own_lab.down(purge=True)


def test_down_keeps_the_data_and_the_ports_for_the_next_up(own: Lab, lab: Lab) -> None:
    own.up()
    before = own.plan
    assert before.bootstrap_servers != lab.bootstrap_servers
    own.topics.create(topic := unique("kept"), 1)

    own.down()
    assert (own.running(), running_under(own.data)) == (False, [])
    again = Lab(own.data, progress=Progress(quiet=True)).up()

    assert again.plan == before
    assert again.topics.partitions(topic) == 1
    own.down(purge=True)
    assert not own.data.exists()


HOLDER = """
import sys, time
from pathlib import Path
from lab.lab import Lab
from lab.topology import LabOptions
with Lab(Path(sys.argv[1]), LabOptions.free_ports()):
    print("up", flush=True)
    time.sleep(120)
"""


def test_nothing_outlives_a_program_that_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "lab"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n"
        assert len(running_under(data / "kafka-3")) == 1
        holder.kill()

    assert wait_until(lambda: not data.exists() and not running_under(data), 20)


def demo(folder: Path) -> subprocess.Popen[str]:
    # As in a terminal, also where whoever runs the tests ignores a signal, as nohup does.
    command = ["env", "--default-signal", sys.executable, "-m", "lab", "demo"]
    return subprocess.Popen(
        [*command, "--records", "1000", "--seconds", "4"],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_demo_counts_every_record_and_leaves_nothing(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        before = list(takewhile(lambda line: "feeding" not in line, process.stdout))
        (url,) = re.findall(r"the page: (http://127\.0\.0\.1:\d+/) ", "".join(before))
        with urlopen(url, timeout=10) as page:  # noqa: S310 - http, on loopback
            assert "Tower" in page.read().decode()
        printed = process.stdout.read()

    assert process.returncode == 0, printed
    # The last of the plain lines, as this is no terminal.
    assert re.search(r"delivered to Kafka, memory [\d.]+ GiB, CPU_Usage [\d.]+ \(\d s\)", printed)
    assert "produced = stored + dead-lettered for all 1012" in printed
    assert 'SELECT "memory" FROM "Labs"."autogen"."labs" WHERE time > ' in printed
    assert "asked as v1 user tower: 992 rows" in printed
    (sent,) = (json.loads(line) for line in printed.splitlines() if line.startswith('{"tx_bytes":'))
    assert list(sent) == LAB_RECORD
    assert 'SELECT "memory", "CPU_Usage" FROM "Labs"."autogen"."labs" WHERE time >= ' in printed
    assert "asked as v1 user tower: 1 rows" in printed
    assert f" {sent['free_ram']} │ " in printed
    assert running_under(tmp_path) == running_under(ROOT / "supervisor.conf") == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_demo_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "feeding" in line:
                break
        process.send_signal(number)
        printed, _ = process.communicate(timeout=100)

    assert process.returncode == 128 + number, printed
    assert running_under(tmp_path) == running_under(ROOT / "supervisor.conf") == []
    assert list(tmp_path.iterdir()) == []
