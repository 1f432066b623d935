"""A record that ended two workers in a row becomes a dead letter; no other does."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import fakes
from tests.support.fakes import FakeMessage, partition
from tests.support.kernel import needs_kernel
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.crash_record import CrashRecord, Place
from workers.records.encoder import Encoder
from workers.types import Message, Reason

ROOT = Path(__file__).resolve().parents[3]

#: Seconds that the workers may take together.
WORKERS_S = 60.0

#: Starts workers one after the other. Each converts ten records, and one of these ends it: in Python code,
#: or below it. Forks, because most of what a worker costs here is its start.
WORKERS = """
import ctypes, os, sys
from pathlib import Path
import workers.records.decoder  # imported late otherwise, by each worker
from tests.support import fakes
from tests.support.fakes import FakeMessage
from workers.batch import Batch
from workers.records.converter import Converter
from workers.records.crash_record import CrashRecord
from workers.records.encoder import Encoder

class Fatal(FakeMessage):
    def timestamp(self):
        if self.place == 4:
            {end}
        return super().timestamp()

def work():
    route, batch = fakes.route(), Batch()
    crash_record = CrashRecord(Path(sys.argv[1]))
    converter = Converter(route, Encoder(route), native=sys.argv[2] == "kernel", crash_record=crash_record)
    converter.convert([Fatal(b'{{"memory":1}}', 0, offset) for offset in range(10)], batch)
    print(len(batch.lines), *(letter.origin.message.offset() for letter in batch.dead_letters))

for _ in range(int(sys.argv[3])):
    child = os.fork()
    if not child:
        work()
        sys.exit()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for stream in sys.stdout, sys.stderr:
        print("ended with", code, file=stream, flush=True)
"""

ENDS = [
    pytest.param("ctypes.string_at(0)", -signal.SIGSEGV, id="a segmentation fault"),
    pytest.param("os.kill(os.getpid(), 9)", -signal.SIGKILL, id="killed"),
    pytest.param("os._exit(1)", 1, id="the watchdog"),
    pytest.param("raise MemoryError", 1, id="no memory"),
]


class Ended(NamedTuple):
    """A worker that has ended."""

    code: int
    stdout: str
    stderr: str


def work(end: str, file: Path, path: str, workers: int) -> list[Ended]:
    """Run workers on the same ten records, one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", WORKERS.format(end=end), str(file), path, str(workers)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=WORKERS_S,
        check=True,
    )
    stdout, stderr = (re.split(r"ended with (-?\d+)\n", text) for text in (done.stdout, done.stderr))
    return [
        Ended(int(code), *texts)
        for code, *texts in zip(stdout[1::2], stdout[::2], stderr[::2], strict=False)
    ]


@needs_kernel
@pytest.mark.parametrize("path", ["kernel", "python"])
@pytest.mark.parametrize(("end", "code"), ENDS)
def test_the_third_worker_sets_aside_what_ended_two(tmp_path: Path, end: str, code: int, path: str) -> None:
    file = tmp_path / "worker-0.crash"

    first, second, third, fourth = work(end, file, path, 4)

    assert (first.code, second.code) == (code, code)
    assert "offset 4" in second.stderr
    assert (third.code, third.stdout.split()) == (0, ["9", "4"])
    # The record was not committed: it is one that ends a worker again, for the first time.
    assert fourth.code == code


def messages(*offsets: int, topic: str = "resource", number: int = 0) -> list[Message]:
    return [FakeMessage(b'{"memory":1}', number, offset, topic) for offset in offsets]


def ended_at(file: Path, topic: str, number: int, offset: int) -> None:
    """What a worker leaves that ends while it converts a record."""
    crash_record = CrashRecord(file)
    crash_record.begin(topic)
    crash_record.at(FakeMessage(b"", number, offset, topic))


def converter(crash_record: CrashRecord, native: bool) -> Converter:
    route = fakes.route()
    return Converter(route, Encoder(route), native=native, crash_record=crash_record)


@needs_kernel
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_its_neighbours_become_lines_and_the_offset_goes_on(
    tmp_path: Path, native: bool, place: int
) -> None:
    file = tmp_path / "worker-0.crash"
    for _ in range(2):
        ended_at(file, "resource", 0, place)
    batch = Batch()

    converter(CrashRecord(file), native).convert(messages(0, 1, 2, 3, 4), batch)

    assert [(letter.reason, letter.origin.message.offset()) for letter in batch.dead_letters] == [
        (Reason.CRASH, place)
    ]
    assert len(batch.lines) == len(batch.origins) == 4
    assert (batch.next_offsets, batch.records) == ({partition(0): 5}, {partition(0): 5})


class TestInARow:
    """Only the same record, and only by one worker after the other."""

    def test_one_end_condemns_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        ended_at(tmp_path / "worker-0.crash", "resource", 0, 7)

        assert CrashRecord(tmp_path / "worker-0.crash").excluded is None
        assert "resource[0] offset 7" in caplog.text

    def test_two_ends_condemn_the_record(self, tmp_path: Path) -> None:
        for _ in range(2):
            ended_at(tmp_path / "worker-0.crash", "resource", 0, 7)

        assert CrashRecord(tmp_path / "worker-0.crash").excluded == Place("resource", 0, 7)

    @pytest.mark.parametrize(
        "other",
        [("resource", 0, 8), ("resource", 1, 7), ("another", 0, 7)],
        ids=["offset", "partition", "topic"],
    )
    def test_two_ends_at_different_records_condemn_none(
        self, tmp_path: Path, other: tuple[str, int, int]
    ) -> None:
        ended_at(tmp_path / "worker-0.crash", "resource", 0, 7)
        ended_at(tmp_path / "worker-0.crash", *other)

        assert CrashRecord(tmp_path / "worker-0.crash").excluded is None

    def test_an_end_elsewhere_in_between_begins_again(self, tmp_path: Path) -> None:
        ended_at(tmp_path / "worker-0.crash", "resource", 0, 7)
        crash_record = CrashRecord(tmp_path / "worker-0.crash")
        crash_record.begin("resource")
        crash_record.at(FakeMessage(b"", 0, 3))
        crash_record.clear()
        ended_at(tmp_path / "worker-0.crash", "resource", 0, 7)

        assert CrashRecord(tmp_path / "worker-0.crash").excluded is None

    def test_a_record_that_was_set_aside_is_condemned_no_more(self, tmp_path: Path) -> None:
        for _ in range(2):
            ended_at(tmp_path / "worker-0.crash", "resource", 0, 7)
        crash_record = CrashRecord(tmp_path / "worker-0.crash")
        crash_record.forget()
        crash_record.begin("resource")
        crash_record.at(FakeMessage(b"", 0, 7))

        assert CrashRecord(tmp_path / "worker-0.crash").excluded is None

    def test_a_worker_that_ends_while_it_converts_nothing_leaves_no_crash_record(
        self, tmp_path: Path
    ) -> None:
        converter(CrashRecord(tmp_path / "worker-0.crash"), native=True).convert(messages(0, 1), Batch())

        assert CrashRecord(tmp_path / "worker-0.crash").excluded is None
        ended_at(tmp_path / "worker-0.crash", "resource", 0, 1)
        assert CrashRecord(tmp_path / "worker-0.crash").excluded is None


def test_a_folder_that_cannot_be_written_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batch = Batch()

    converter(CrashRecord(tmp_path / "missing" / "worker-0.crash"), native=True).convert(
        messages(0, 1), batch
    )

    assert len(batch.lines) == 2
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 554])
def test_a_file_of_another_form_is_no_crash_record(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "worker-0.crash").write_bytes(content)

    assert CrashRecord(tmp_path / "worker-0.crash").excluded is None
