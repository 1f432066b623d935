"""The wall clock of one running process, moved while its monotonic clock goes on as it was."""

import os
import platform
import signal
import struct
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from lab.system.server_process import is_frozen, wait_until

#: Seconds until a stopped process stands still, and outside of code that is written over.
STILL_S = 5.0

#: A library that waits for a time of the wall clock in the kernel, through the function below.
WAITER = "librdkafka"
WAIT = "cnd_timedwait"

# Machine code for x86-64. `@` stands for the distance to the seconds that are added, `#` for the one to the
# address of the real `WAIT`.

#: clock_gettime: asks the kernel, and adds to CLOCK_REALTIME (0) and CLOCK_REALTIME_COARSE (5) alone.
CLOCK_GETTIME = "b8e4000000 0f05 85c0 7513 85ff 7405 83ff05 750a 488b15@ 480116 c3"
#: gettimeofday: the same for its one clock.
GETTIMEOFDAY = "b860000000 0f05 85c0 750f 4885ff 740a 488b15@ 480117 c3"
#: time: the same, stored as well where the caller asks for that.
TIME = "57 31ff b8c9000000 0f05 5f 480305@ 4885ff 7403 488907 c3"
#: cnd_timedwait until a time of the moved clock, which the kernel does not know: waits of 10 ms by the real
#: one, each time asking how far the moved one still is, until one succeeds (0). So a wait ends early where
#: the clock is put forward in it and late where it is put back, as if the machine's own clock were.
TIMEDWAIT = (
    "53 4154 4155 4883ec20 4889fb 4989f4 4989d5"
    " b8e4000000 31ff 4889e6 0f05 488b1424 488b4c2408 4881c180969800 4881f900ca9a3b 7c0a 4881e900ca9a3b"
    " 48ffc2 498b4500 482b05@ 4d8b4508 4839d0 7f21 7c05 4939c8 7f1a"
    " 48890424 4c89442408 4889df 4c89e6 4889e2 ff15# eb20"
    " 48891424 48894c2408 4889df 4c89e6 4889e2 ff15# 85c0 0f857cffffff"
    " 4883c420 415d 415c 5b c3"
)


class Mapping(NamedTuple):
    """One line of a process's memory map."""

    start: int
    end: int
    name: str


def assemble(code: str, at: int, seconds: int, wait: int = 0) -> bytes:
    """Bytes of a piece of code for the address `at`, with its two distances filled in."""
    words = code.replace(" ", "").replace("@", "@" * 8).replace("#", "#" * 8)
    machine_code = bytearray(bytes.fromhex(words.replace("@", "0").replace("#", "0")))
    for mark, target in (("@", seconds), ("#", wait)):
        place = words.find(mark)
        while place >= 0:
            end = place // 2 + 4
            machine_code[end - 4 : end] = struct.pack("<i", target - (at + end))
            place = words.find(mark, place + 8)
    return bytes(machine_code)


class Clock:
    """Moves CLOCK_REALTIME of one process by writing over its private copy of the kernel's vDSO.

    It works for programs that no preloaded library reaches, such as those in Go. `CLOCK_MONOTONIC` and all
    others are asked of the kernel and stay true. Not moved are processes started later, and waits in the
    kernel for a time of the wall clock, except librdkafka's, which are led round through `TIMEDWAIT`.

    Args:
        pid: The process; it must be this user's own, or this user root.

    Raises:
        NotImplementedError: The processor is no x86-64, the kernel's vDSO has no room for the code, or
            librdkafka waits by another function. The test fails then, and is not skipped.
        TimeoutError: The process does not stand still, outside of the vDSO where its code is written.
    """

    def __init__(self, pid: int) -> None:
        if platform.machine() not in {"x86_64", "AMD64"}:
            raise NotImplementedError(f"moving a clock is written for x86-64, this is {platform.machine()}")
        self.pid = pid
        self._vdso = next(mapping for mapping in self._maps() if mapping.name == "[vdso]")
        image = self._read(self._vdso.start, self._vdso.end - self._vdso.start)
        symbols = ELFFile(BytesIO(image)).get_section_by_name(".dynsym")
        assert isinstance(symbols, SymbolTableSection)
        places: dict[str, tuple[int, int]] = {
            symbol.name: (self._vdso.start + symbol["st_value"], symbol["st_size"])
            for symbol in symbols.iter_symbols()
        }
        start, size = places["__vdso_clock_gettime"]
        wait = start + 64
        self._seconds = start + 256
        original = start + 264
        if original + 8 > start + size:
            raise NotImplementedError(f"this kernel's clock_gettime has only {size} bytes")
        pieces = {
            start: assemble(CLOCK_GETTIME, start, self._seconds),
            places["__vdso_gettimeofday"][0]: assemble(
                GETTIMEOFDAY, places["__vdso_gettimeofday"][0], self._seconds
            ),
            places["__vdso_time"][0]: assemble(TIME, places["__vdso_time"][0], self._seconds),
        }
        slot = self._waiter()
        if slot:
            way, round_ = self._read(slot, 8), struct.pack("<Q", wait)
            # A second clock for one process finds its own way round there.
            if way != round_:
                pieces |= {original: way, slot: round_}
            pieces[wait] = assemble(TIMEDWAIT, wait, self._seconds, original)
        # Where a clock was before, the code is there already: nothing has to stay out of it.
        fresh = {at: code for at, code in pieces.items() if self._read(at, len(code)) != code}
        if fresh:
            self._write(fresh | {self._seconds: bytes(8)}, code=True)
        else:
            self.skew(0)

    def skew(self, seconds: int) -> None:
        """Let its wall clock differ from the machine's by so many seconds from now on."""
        # Data: a thread may be stopped within the code that reads it. One that asks for the time again and
        # again is hardly ever stopped anywhere else, since the code asks the kernel from there.
        self._write({self._seconds: struct.pack("<q", seconds)}, code=False)

    def back(self) -> None:
        """Let its wall clock be the machine's again. A process that has ended needs nothing."""
        with suppress(FileNotFoundError, ProcessLookupError):
            self.skew(0)

    def _maps(self) -> list[Mapping]:
        mappings = []
        for line in Path(f"/proc/{self.pid}/maps").read_text().splitlines():
            span, *_, name = [*line.split(maxsplit=5), ""][:6]
            start, _, end = span.partition("-")
            mappings.append(Mapping(int(start, 16), int(end, 16), name))
        return mappings

    def _read(self, at: int, size: int) -> bytes:
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), size, at)

    def _waiter(self) -> int:
        """Address of the pointer through which the library calls `WAIT`, 0 where it is not loaded."""
        library = next((mapping for mapping in self._maps() if WAITER in mapping.name), None)
        if library is None:
            return 0
        with open(library.name, "rb") as file:
            elf = ELFFile(file)
            names, calls = elf.get_section_by_name(".dynsym"), elf.get_section_by_name(".rela.plt")
            assert isinstance(names, SymbolTableSection)
            assert isinstance(calls, RelocationSection)
            for relocation in calls.iter_relocations():
                if names.get_symbol(relocation["r_info_sym"]).name == WAIT:
                    return int(library.start + relocation["r_offset"])
        raise NotImplementedError(f"{WAITER} does not wait by {WAIT}")

    def _write(self, pieces: dict[int, bytes], *, code: bool) -> None:
        """Write into a process that stands still; code, with no thread inside the vDSO."""
        deadline = time.monotonic() + STILL_S
        while True:
            os.kill(self.pid, signal.SIGSTOP)
            try:
                still = wait_until(lambda: is_frozen(self.pid), 1, 0.001)
                if still and not (code and self._is_inside()):
                    with open(f"/proc/{self.pid}/mem", "r+b", buffering=0) as memory:
                        for at, data in pieces.items():
                            os.pwrite(memory.fileno(), data, at)
                    return
            finally:
                os.kill(self.pid, signal.SIGCONT)
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"process {self.pid} does not stand still{' outside of the vDSO' * code}"
                )
            time.sleep(0.005)

    def _is_inside(self) -> bool:
        """Whether one of its threads, all stopped, would go on inside the vDSO."""
        # The last word is where the thread goes on; for one in a system call, where it returns to.
        tasks = Path(f"/proc/{self.pid}/task").glob("*/syscall")
        places = [int(task.read_text().split()[-1], 16) for task in tasks]
        return any(self._vdso.start <= place < self._vdso.end for place in places)
