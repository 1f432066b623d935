"""The lab's NUC as its text describes it: servers, a checkout of Tower, and one terminal."""

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import urllib3

from lab.lab import Lab
from tests.support.pool import KEPT, TowerPool

#: The time zone of the lab's Pi.
KOREA = timezone(timedelta(hours=9))

#: Seconds that one command may take; Kafka's own tools start a JVM.
COMMAND_S = 60.0

#: Seconds until a record is a point, on a busy machine.
STORED_S = 30.0


class Bare(Lab):
    """The lab's servers before the text begins: Kafka without topics, InfluxDB not set up."""

    def provision(self) -> None:
        """Leave it to the text."""


class Nuc:
    """Everything that the text works with.

    Args:
        lab: Kafka and InfluxDB.
        checkout: The folder that stands in for a clone of Tower.
        kcat: Sends what the Pi sends.

    Attributes:
        exported: The terminal's variables. The first two are not in the text, whose ports are the defaults.
    """

    def __init__(self, lab: Lab, checkout: TowerPool, kcat: str) -> None:
        self.lab = lab
        self.checkout = checkout
        self.exported = {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": lab.bootstrap_servers,
            "TOWER_INFLUXDB_URL": lab.influxdb.url,
        }
        self._kcat = kcat

    def run(self, program: str, *words: str, **changed: str) -> str:
        """Run a program of the checkout's environment with the terminal's variables; what it prints.

        Raises:
            AssertionError: It fails.
        """
        return _output(self._start(program, *words, **changed))

    def check(self, **changed: str) -> tuple[int, dict[str, tuple[str, str]]]:
        """Exit code of `tower check`; level and next step by name of the check."""
        done = self._start("tower", "check", "--watch", "0", "--json", **changed)
        checks = json.loads(done.stdout)["checks"]
        return done.returncode, {check["check"]: (check["level"], check["next"]) for check in checks}

    def kafka_topics(self, *words: str) -> list[str]:
        """Run Kafka's own kafka-topics; the words it prints."""
        return self._kafka_tool(
            "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", self.lab.bootstrap_servers, *words
        ).split()

    def dump(self, topic: str) -> str:
        """Have Kafka's own kafka-dump-log describe the batches of the topic's copies on broker 3."""
        segments = self.lab.node(3).folder.glob(f"data/{topic}-?/*.log")
        return self._kafka_tool("kafka.tools.DumpLogSegments", "--files", ",".join(map(str, segments)))

    def api(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask InfluxDB's 2.x API as its `influx` command does, with the admin token if it is exported.

        Raises:
            AssertionError: InfluxDB refuses it.
        """
        token = self.exported.get("INFLUXDB_ADMIN_TOKEN")
        headers = {"Authorization": f"Token {token}"} if token else {}
        url = f"{self.lab.influxdb.url}{path}"
        answer = urllib3.request(method, url, json=body, headers=headers, timeout=COMMAND_S, retries=False)
        assert answer.status < 300, answer.data
        return answer.json() if answer.data else None

    def ask(self, influxql: str, **changed: str) -> tuple[int, list[dict[str, Any]]]:
        """Ask as Chronograf does, at the v1 endpoint; status and rows.

        Args:
            influxql: The query.
            changed: Variables that differ from the exported ones.
        """
        known = self.exported | changed
        user, password = known["INFLUXDB_V1_USER"], known["INFLUXDB_V1_PASSWORD"]
        query = urlencode({"db": "Labs", "u": user, "p": password, "epoch": "ns", "q": influxql})
        url = f"{self.lab.influxdb.url}/query?{query}"
        answer = urllib3.request("GET", url, timeout=COMMAND_S, retries=False)
        if answer.status != 200:
            return answer.status, []
        series = answer.json()["results"][0].get("series", [])
        return 200, [
            dict(zip(part["columns"], values, strict=True)) for part in series for values in part["values"]
        ]

    def rows(self, influxql: str, count: int) -> list[dict[str, Any]]:
        """Wait until a query returns so many rows, then return all it does."""
        self.checkout.until(lambda: len(self.ask(influxql)[1]) >= count, STORED_S, f"{count} rows")
        return self.ask(influxql)[1]

    def pi_sends(self, moment: datetime, codec: str = "none") -> None:
        """Send one record as the Pi's Fluentd does: JSON, no key, its own time as text.

        Args:
            moment: The record's time; whole seconds of it are sent.
            codec: Compression, as kcat names it.
        """
        record = {
            "tx_bytes": 11,
            "rx_bytes": 22,
            "tx_drops": 0,
            "rx_drops": 1,
            "tx_errors": 0,
            "rx_errors": 0,
            "cpu_load": "3.80",
            "free_ram": 16479928,
            "disk_util": 7,
            "time": moment.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        subprocess.run(
            [self._kcat, "-P", "-b", self.lab.bootstrap_servers, "-t", "resource", "-z", codec],
            input=json.dumps(record, separators=(",", ":")).encode(),
            check=True,
            timeout=COMMAND_S,
        )

    def _start(self, program: str, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        argv = [f".venv/bin/{program}", *words]
        return _run(argv, kept | self.exported | changed, cwd=str(self.checkout.folder))

    def _kafka_tool(self, *words: str) -> str:
        return _output(_run(*self.lab.java_command(*words)))


def _run(
    argv: Sequence[str], environment: dict[str, str], cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )


def _output(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
