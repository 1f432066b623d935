"""Records on the wire, samples, synthetic records and the account of them."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgpack
import pytest

from lab.errors import LabError, MissingError
from lab.fate import Bad, Good
from lab.feed import Feed
from lab.ledger import Ledger
from lab.sample import OIDS, Snmp, psutil_sample
from lab.synthetic import BAD_EVERY, POISON, records
from lab.wire import Format, encode

if TYPE_CHECKING:
    from pathlib import Path

LAB_FIELDS = {
    *("memory", "tx", "rx", "CPU_Usage", "tx_dropped", "rx_dropped"),
    *("rxError", "txError", "disk"),
}


class FakeSender:
    """Keeps what it was asked to send."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.taken = 0
        self.reason = ""

    def send(self, value: bytes, tag: Any = None) -> None:
        self.sent.append((value, tag))

    def poll(self, seconds: float = 0.0) -> None:
        pass

    def finish(self) -> None:
        self.taken = len(self.sent)


def test_json_has_milliseconds() -> None:
    value = encode({"memory": "1"}, Format.JSON, 1_700_000_000.123)

    assert json.loads(value) == {"memory": "1", "timestamp": 1_700_000_000_123}


def test_msgpack_has_fluentds_event_time() -> None:
    value = encode({"memory": "1"}, Format.MSGPACK, 1_700_000_000.5)

    assert msgpack.unpackb(value) == {
        "memory": "1",
        "timestamp": msgpack.ExtType(0, bytes.fromhex("6553f100 1dcd6500")),
    }


def test_text_has_whole_seconds() -> None:
    value = encode({"memory": "1", "tx": 2}, Format.TEXT, 1_700_000_000.9)

    assert value == b"memory:1,tx:2,timestamp:1700000000"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Format.JSON, b'{"memory":"1"}'),
        (Format.MSGPACK, b"\x81\xa6memory\xa11"),
        (Format.TEXT, b"memory:1"),
    ],
)
def test_a_record_without_a_time_has_no_timestamp(form: Format, value: bytes) -> None:
    assert encode({"memory": "1"}, form) == value


def test_a_sample_of_this_machine_is_text_as_snmpget_prints_it() -> None:
    found = psutil_sample()

    assert found.keys() == LAB_FIELDS == OIDS.keys()
    assert all(isinstance(value, str) and float(value) >= 0 for value in found.values())


def test_a_single_pi_sends_neither_device_nor_timestamp() -> None:
    sender = FakeSender()

    Feed(sender, lambda: {"memory": "1"}).run(2, 0, lambda _: None)  # type: ignore[arg-type]

    assert [value for value, _ in sender.sent] == [b'{"memory":"1"}'] * 2


def test_several_devices_share_a_sample_and_count_for_themselves() -> None:
    sender = FakeSender()
    feed = Feed(
        sender,  # type: ignore[arg-type]
        lambda: {"memory": "1"},
        Format.JSON,
        ("a", "b"),
        numbered=True,
    )

    feed.run(2, 0, lambda _: None)

    assert [tag for _, tag in sender.sent] == [
        *(Good("a", 0), Good("b", 0)),
        *(Good("a", 1), Good("b", 1)),
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


def test_snmpget_is_asked_for_the_labs_objects_and_its_answers_are_kept(
    programs: Path, tmp_path: Path
) -> None:
    answers = [*map(str, range(6)), "0.33", "No Such Instance currently exists at this OID", "7"]
    lines = "\\n".join(answers)
    fake_program(
        programs,
        "snmpget",
        f'echo "$@" > {tmp_path}/argv; cat $SNMPCONFPATH/snmp.conf > {tmp_path}/conf; printf "{lines}\\n"',
    )

    found = Snmp("127.0.0.1:1161", "canary", 4).sample()

    assert found == dict(zip(OIDS, answers, strict=True))
    argv = (tmp_path / "argv").read_text()
    assert argv.startswith("-Oqv ")
    assert ".1.3.6.1.2.1.2.2.1.16.4 " in argv
    assert "canary" not in argv
    assert "defCommunity canary" in (tmp_path / "conf").read_text()


def test_an_snmpd_that_does_not_answer_is_an_error(programs: Path) -> None:
    fake_program(programs, "snmpget", 'echo "Timeout: No Response" >&2; exit 1')

    with pytest.raises(LabError, match=r"Timeout: No Response.*is it running"):
        Snmp("127.0.0.1", "public").sample()


def test_a_missing_snmpget_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(MissingError, match="apt-get install snmp"):
        Snmp("127.0.0.1", "public").sample()


def test_a_fixed_share_of_the_synthetic_records_is_bad() -> None:
    found = [fate for _, fate in records(1000, 7, itertools.repeat(1.7e9))]

    kinds = Counter(fate.kind for fate in found if isinstance(fate, Bad))
    assert kinds.total() == 1000 // BAD_EVERY
    assert set(kinds) == set(POISON)


def test_no_two_good_records_have_the_same_identity() -> None:
    found = [fate for _, fate in records(3000, 7, itertools.repeat(1.7e9))]

    good = [fate for fate in found if isinstance(fate, Good)]
    assert len(set(good)) == len(good) == 3000 - 3000 // BAD_EVERY
    assert len({fate.device for fate in good}) == 7


def test_synthetic_records_come_in_all_formats() -> None:
    values = [value for value, fate in records(40, 5, itertools.repeat(1.7e9)) if isinstance(fate, Good)]

    assert {value[:1] == b"{" for value in values} == {True, False}
    assert any(value.startswith(b"memory:") for value in values)
    assert any(value[0] == 0x8D for value in values)  # a msgpack map of 13 fields


def book() -> Ledger:
    """Three good records and a bad one on two partitions."""
    found = Ledger()
    found.delivered(Good("a", 0), 0, 0)
    found.delivered(Good("a", 1), 0, 1)
    found.delivered(Good("b", 0), 1, 0)
    found.delivered(Bad("empty"), 1, 1)
    return found


ALL = Counter([Good("a", 0), Good("a", 1), Good("b", 0)])
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
        pytest.param(ALL - Counter([Good("a", 1)]), DEAD, ENDS, "in no point", id="lost"),
        pytest.param(ALL + Counter([Good("a", 1)]), DEAD, ENDS, "several points", id="doubled"),
        pytest.param(ALL + Counter([Good("c", 1)]), DEAD, ENDS, "nobody's", id="not produced"),
        pytest.param(ALL, Counter(), ENDS, "no dead letters", id="bad one lost"),
        pytest.param(ALL, DEAD + DEAD, ENDS, "several dead letters", id="dead twice"),
        pytest.param(ALL, DEAD + Counter([(0, 0)]), ENDS, "good records are dead", id="both"),
        pytest.param(ALL, DEAD, {0: 1, 1: 2}, "committed 1 of 2", id="not committed"),
        pytest.param(ALL, DEAD, {0: None, 1: 2}, "committed None of 2", id="never committed"),
    ],
)
def test_an_account_that_does_not_hold_says_where(
    stored: Counter[Good],
    dead: Counter[tuple[int, int]],
    committed: dict[int, int | None],
    problem: str,
) -> None:
    _, problems = book().settle(stored, dead, committed, ENDS)

    assert problem in "\n".join(problems)
