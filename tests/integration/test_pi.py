"""The lab's record on its whole way: real snmpd, the Pi's shell line, Kafka, Tower, the dashboard."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from bench.load.record import Clock, RecordShape
from lab.errors import LabError
from lab.senders.formats import Format, encode
from lab.senders.sample import Snmp, shell_line
from tests.support.chain import Chain
from tests.support.pool import ROOT
from tests.support.snmp_agent import Agent

pytestmark = pytest.mark.integration

#: What the dashboard's queries find of the record below.
POINT = {
    "tx": 11.0,
    "rx": 22.0,
    "tx_dropped": 0.0,
    "rx_dropped": 1.0,
    "txError": 0.0,
    "rxError": 0.0,
    "CPU_Usage": 3.8,
    "memory": 16_479_928.0,
    "disk": 7.0,
}

#: Lines of snmpd.conf with which snmpd answers the Pi's nine questions with the values above.
ANSWERS = [
    "override .1.3.6.1.2.1.2.2.1.16.2 counter 11",
    "override .1.3.6.1.2.1.2.2.1.10.2 counter 22",
    "override .1.3.6.1.2.1.2.2.1.19.2 counter 0",
    "override .1.3.6.1.2.1.2.2.1.13.2 counter 1",
    "override .1.3.6.1.2.1.2.2.1.20.2 counter 0",
    "override .1.3.6.1.2.1.2.2.1.14.2 counter 0",
    'override .1.3.6.1.4.1.2021.10.1.3.1 octet_str "3.80"',
    "override .1.3.6.1.4.1.2021.4.6.0 integer 16479928",
    "override .1.3.6.1.4.1.2021.9.1.9.1 integer 7",
]

#: All that snmpget has to know of laLoad to print it without quotes: that it is text for people.
LOAD_MIB = """\
LOAD-MIB DEFINITIONS ::= BEGIN
Text ::= TEXTUAL-CONVENTION
    DISPLAY-HINT "255a"
    STATUS current
    DESCRIPTION "Text."
    SYNTAX OCTET STRING (SIZE (0..255))
ucdavis OBJECT IDENTIFIER ::= { iso 3 6 1 4 1 2021 }
laLoad OBJECT-TYPE
    SYNTAX Text
    MAX-ACCESS read-only
    STATUS current
    DESCRIPTION "A load average."
    ::= { ucdavis 10 1 3 }
END
"""


@pytest.fixture
def agent(snmpd: str, tmp_path: Path) -> Iterator[Callable[[Sequence[str]], Agent]]:
    """Starts an snmpd with these lines in its configuration; it is stopped at the test's end."""
    with ExitStack() as stack:

        def start(lines: Sequence[str]) -> Agent:
            server = Agent(snmpd, tmp_path / "snmpd", lines)
            stack.callback(server.stop)
            server.start()
            server.wait_serving(20)
            return server

        yield start


def printed(server: Agent, mibs: str = "", folder: Path | None = None) -> str:
    """What the Pi's shell line prints when it asks this snmpd."""
    environment = os.environ | {"MIBS": mibs, "MIBDIRS": str(folder or "/nowhere")}
    done = subprocess.run(
        ["sh", "-c", shell_line(server.address)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("mibs", "load"),
    [
        pytest.param("", '"cpu_load":"3.80"', id="quoted, as in the lab's image"),
        pytest.param("LOAD-MIB", '"cpu_load":3.80', id="bare, where snmpget knows the MIB"),
    ],
)
def test_the_record_of_a_real_snmpd_fills_the_fields_of_the_dashboard(
    chain: Callable[..., Chain],
    agent: Callable[[Sequence[str]], Agent],
    tmp_path: Path,
    mibs: str,
    load: str,
) -> None:
    (tmp_path / "LOAD-MIB.txt").write_text(LOAD_MIB)
    now = int(time.time())
    line = printed(agent(ANSWERS), mibs, tmp_path)
    pipeline = chain()
    pipeline.pool.start()
    # Fluentd: parse the line as JSON, inject the time, send it as JSON without a key.
    pipeline.produce([encode(json.loads(line), Format.JSON, now)])
    pipeline.drain()

    (row,) = pipeline.rows("*")

    assert load in line
    assert {name: row[name] for name in POINT} == POINT
    assert row.keys() - POINT.keys() == {"time", "_series", "host", "region"}
    assert row["time"] // 10**9 == now


def test_a_missing_object_makes_the_line_no_json(agent: Callable[[Sequence[str]], Agent]) -> None:
    """Fluentd drops such a line; the feed says what is wrong."""
    server = agent(ANSWERS[:-1])

    line = printed(server)

    assert '"free_ram":16479928,"disk_util":No Such ' in line
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(line)
    with pytest.raises(LabError, match=r'"disk_util":No Such .* a line `disk /`'):
        Snmp(server.address).sample()


def test_the_feed_sends_what_this_machines_snmpd_says(
    chain: Callable[..., Chain], agent: Callable[[Sequence[str]], Agent]
) -> None:
    """Nothing is overridden here: the objects are the right ones."""
    sent = loopback("tx_bytes")
    server = agent(["disk /"])
    pipeline = chain()
    pipeline.pool.start()
    source = ["--snmp", server.address, "--interface", str(socket.if_nametoindex("lo"))]
    target = ["--bootstrap-servers", pipeline.lab.bootstrap_servers, "--topic", pipeline.name]
    subprocess.run(
        [sys.executable, "-m", "lab", "feed", *source, *target, "--count", "2"],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    pipeline.drain()

    rows = pipeline.rows("*")
    disk = psutil.disk_usage("/")

    assert len(rows) == 2
    for row in rows:
        assert POINT.keys() <= row.keys()
        # A counter of 32 bits.
        assert (row["tx"] - sent) % 2**32 <= loopback("tx_bytes") - sent
        assert row["memory"] == pytest.approx(psutil.virtual_memory().free / 1024, rel=0.5)
        assert row["disk"] == pytest.approx(100 * disk.used / disk.total, abs=3)
        assert row["CPU_Usage"] == pytest.approx(os.getloadavg()[0], abs=5)


def loopback(counter: str) -> int:
    """A counter of the loopback interface, as the kernel has it."""
    return int(Path(f"/sys/class/net/lo/statistics/{counter}").read_text())


def test_100_000_records_of_the_lab_are_one_point_each_and_the_kernel_takes_them(
    chain: Callable[..., Chain],
) -> None:
    count = 100_000
    pipeline = chain()
    pipeline.pool.start()
    pipeline.produce(RecordShape(Clock(int(time.time() * 1000) - count)).values(0, count))
    pipeline.drain()
    pipeline.pool.until(
        lambda: (
            pipeline.pool.counter("records_by_kernel") + pipeline.pool.counter("records_by_python") == count
        ),
        10,
        "the workers to have counted all records",
    )

    sequences = pipeline.sequences()

    assert len(sequences) == len(set(sequences)) == count
    assert pipeline.pool.counter("records_by_kernel") >= 0.99 * count
