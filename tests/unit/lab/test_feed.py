"""Records on the wire, samples, synthetic records and the account of them."""

import itertools
import json
import os
import shlex
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

import msgpack
import pytest

from lab.errors import LabError, MissingError
from lab.senders.expected import ExpectedDeadLetter, ExpectedPoint
from lab.senders.feed import Feed
from lab.senders.formats import TIME_FORMAT, Format, encode, stamp
from lab.senders.ledger import ProducedRecords
from lab.senders.sample import Snmp, psutil_sample, shell_line
from lab.senders.synthetic import BAD_EVERY, POISON, records

#: What the lab's Fluentd sends, byte for byte, and the second of its time.
LAB_RECORD = (
    b'{"tx_bytes":11,"rx_bytes":22,"tx_drops":0,"rx_drops":1,"tx_errors":0,"rx_errors":0,"cpu_load":"3.80",'
    b'"free_ram":16479928,"disk_util":7,"time":"2026-11-26T07:50:00+0900"}'
)
SECOND = 1_795_647_000
VALUES = {name: value for name, value in json.loads(LAB_RECORD).items() if name != "time"}


class FakeSender:
    """Keeps what it was asked to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.delivered_count = 0
        self.reason = ""

    def send(self, value: bytes, tag: Any = None) -> None:
        self.sent.append((value, tag))

    def poll(self, seconds: float = 0.0) -> None:
        pass

    def finish(self) -> None:
        self.delivered_count = len(self.sent)


def test_json_is_the_labs_record() -> None:
    assert encode(VALUES, Format.JSON, SECOND + 0.9) == LAB_RECORD


def test_msgpack_is_the_same_record() -> None:
    assert msgpack.unpackb(encode(VALUES, Format.MSGPACK, SECOND)) == json.loads(LAB_RECORD)


def test_text_has_the_names_and_the_time_of_the_flume_years() -> None:
    value = encode({"free_ram": 1, "cpu_load": "3.80", "ip": "10.0.0.1"}, Format.TEXT, SECOND + 0.9)

    assert value == b"memory:1,CPU_Usage:3.80,ip:10.0.0.1,timestamp:1795647000"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Format.JSON, b'{"disk_util":1}'),
        (Format.MSGPACK, b"\x81\xa9disk_util\x01"),
        (Format.TEXT, b"disk:1"),
    ],
)
def test_a_record_without_a_time_has_no_such_field(form: Format, value: bytes) -> None:
    assert encode({"disk_util": 1}, form) == value


def test_the_time_is_the_one_that_the_pis_fluentd_injects() -> None:
    config = resources.files("lab.senders").joinpath("fluent.conf").read_text()

    assert f"time_key time\n    time_type string\n    time_format {TIME_FORMAT}\n" in config


def test_a_sample_of_this_machine_is_what_the_pi_sends() -> None:
    sample = psutil_sample()

    assert list(sample) == list(VALUES)
    assert {name: type(value) for name, value in sample.items()} == {
        name: type(value) for name, value in VALUES.items()
    }
    assert all(float(value) >= 0 for value in sample.values())


def test_a_single_pi_sends_the_labs_record_and_nothing_else() -> None:
    sender = FakeSender()
    feed = Feed(sender, lambda: VALUES)  # type: ignore[arg-type]

    feed.run(2, 0, lambda _: None)

    records = [json.loads(value) for value, _ in sender.sent]
    assert [list(record) for record in records] == [list(json.loads(LAB_RECORD))] * 2
    assert [stamp(tag.seq) for _, tag in sender.sent] == [record["time"] for record in records]
    assert feed.last == sender.sent[-1][0]


def test_several_devices_share_a_sample_and_count_for_themselves() -> None:
    sender = FakeSender()
    feed = Feed(
        sender,  # type: ignore[arg-type]
        lambda: VALUES,
        Format.JSON,
        ("a", "b"),
        numbered=True,
    )

    feed.run(2, 0, lambda _: None)

    assert [tag for _, tag in sender.sent] == [
        *(ExpectedPoint("a", 0), ExpectedPoint("b", 0)),
        *(ExpectedPoint("a", 1), ExpectedPoint("b", 1)),
    ]
    assert json.loads(sender.sent[3][0])["seq"] == 1


def fake_program(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def test_the_pis_line_asks_for_nine_objects() -> None:
    words = shlex.split(shell_line())

    assert words[0] == "printf"
    assert [word.split()[:5] for word in words[2:]] == [["$(snmpget", "-v2c", "-c", "public", "-Oqv"]] * 9
    assert {word.split()[5] for word in words[2:]} == {"localhost"}


def test_another_agent_and_another_interface_are_asked_for_instead() -> None:
    objects = [word.rstrip(")").split()[-2:] for word in shlex.split(shell_line("10.0.0.1:1161", 14))[2:]]

    assert {agent for agent, _ in objects} == {"10.0.0.1:1161"}
    assert [oid for _, oid in objects] == [
        *(f".1.3.6.1.2.1.2.2.1.{column}.14" for column in (16, 10, 19, 13, 20, 14)),
        *(".1.3.6.1.4.1.2021.10.1.3.1", ".1.3.6.1.4.1.2021.4.6.0", ".1.3.6.1.4.1.2021.9.1.9.1"),
    ]


def test_a_community_of_ones_own_is_in_no_command_line(programs: Path, tmp_path: Path) -> None:
    fake_program(
        programs,
        "snmpget",
        f"echo $@ >> {tmp_path}/argv; cat ${{SNMPCONFPATH%%:*}}/snmp.conf > {tmp_path}/conf; echo 7",
    )

    sample = Snmp("127.0.0.1:1161", "canary").sample()

    assert sample == dict.fromkeys(VALUES, 7)
    assert "canary" not in (tmp_path / "argv").read_text()
    assert "defCommunity canary" in (tmp_path / "conf").read_text()


def test_an_object_that_is_missing_is_an_error_that_shows_the_answer(programs: Path) -> None:
    fake_program(programs, "snmpget", "echo No Such Instance currently exists at this OID")

    with pytest.raises(LabError, match=r'"disk_util":No Such Instance.* a line `disk /`'):
        Snmp("127.0.0.1").sample()


def test_an_snmpd_that_does_not_answer_is_an_error(programs: Path) -> None:
    fake_program(programs, "snmpget", 'echo "Timeout: No Response" >&2; exit 1')

    with pytest.raises(LabError, match=r"Timeout: No Response.*is it running"):
        Snmp("127.0.0.1", "public").sample()


def test_a_missing_snmpget_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MissingError, match="apt-get install snmp"):
        Snmp("127.0.0.1", "public").sample()


def test_a_fixed_share_of_the_synthetic_records_is_bad() -> None:
    expected = [outcome for _, outcome in records(1000, 7, itertools.repeat(1.7e9))]

    kinds = Counter(outcome.kind for outcome in expected if isinstance(outcome, ExpectedDeadLetter))
    assert kinds.total() == 1000 // BAD_EVERY
    assert set(kinds) == set(POISON)


def test_no_two_good_records_have_the_same_identity() -> None:
    expected = [outcome for _, outcome in records(3000, 7, itertools.repeat(1.7e9))]

    good = [outcome for outcome in expected if isinstance(outcome, ExpectedPoint)]
    assert len(set(good)) == len(good) == 3000 - 3000 // BAD_EVERY
    assert len({outcome.device for outcome in good}) == 7


def test_synthetic_records_come_in_all_formats() -> None:
    values = [
        value
        for value, outcome in records(40, 5, itertools.repeat(1.7e9))
        if isinstance(outcome, ExpectedPoint)
    ]

    assert {value[:1] == b"{" for value in values} == {True, False}
    assert any(value.startswith(b"tx:") for value in values)
    assert any(value[0] == 0x8D for value in values)  # a msgpack map of 13 fields


def book() -> ProducedRecords:
    """Three good records and a bad one on two partitions."""
    produced = ProducedRecords()
    produced.delivered(ExpectedPoint("a", 0), 0, 0)
    produced.delivered(ExpectedPoint("a", 1), 0, 1)
    produced.delivered(ExpectedPoint("b", 0), 1, 0)
    produced.delivered(ExpectedDeadLetter("empty"), 1, 1)
    return produced


ALL = Counter([ExpectedPoint("a", 0), ExpectedPoint("a", 1), ExpectedPoint("b", 0)])
DEAD = Counter([(1, 1)])
ENDS = {0: 2, 1: 2}


def test_an_account_that_holds_has_no_problems() -> None:
    rows, problems = book().settle(ALL, DEAD, ENDS, ENDS)

    assert problems == []
    assert [(row.produced, row.stored, row.dead_lettered) for row in rows.values()] == [
        *((2, 2, 0), (2, 1, 1)),
    ]


@pytest.mark.parametrize(
    ("stored", "dead", "committed", "problem"),
    [
        pytest.param(ALL - Counter([ExpectedPoint("a", 1)]), DEAD, ENDS, "in no point", id="lost"),
        pytest.param(ALL + Counter([ExpectedPoint("a", 1)]), DEAD, ENDS, "several points", id="doubled"),
        pytest.param(ALL + Counter([ExpectedPoint("c", 1)]), DEAD, ENDS, "nobody's", id="not produced"),
        pytest.param(ALL, Counter(), ENDS, "no dead letters", id="bad one lost"),
        pytest.param(ALL, DEAD + DEAD, ENDS, "several dead letters", id="dead twice"),
        pytest.param(ALL, DEAD + Counter([(0, 0)]), ENDS, "good records are dead", id="both"),
        pytest.param(ALL, DEAD, {0: 1, 1: 2}, "committed 1 of 2", id="not committed"),
        pytest.param(ALL, DEAD, {0: None, 1: 2}, "committed None of 2", id="never committed"),
    ],
)
def test_an_account_that_does_not_hold_says_where(
    stored: Counter[ExpectedPoint],
    dead: Counter[tuple[int, int]],
    committed: dict[int, int | None],
    problem: str,
) -> None:
    _, problems = book().settle(stored, dead, committed, ENDS)

    assert problem in "\n".join(problems)
