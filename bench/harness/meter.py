"""CPU time and memory of processes over time, sampled from outside."""

import contextlib
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

import psutil

#: Seconds between two samples.
INTERVAL_S = 0.1
#: Samples after which a group's processes are looked up again: a process may have been restarted.
LOOK_UP = 10
#: Name of the series of the whole machine without this program.
MACHINE = "machine"


@dataclass
class Series:
    """The samples of one group of processes.

    Attributes:
        times: Epoch seconds.
        cpu: Seconds of CPU of the whole group since its first sample.
        rss: Resident megabytes of the largest process, at each time.
        peak: Maximum resident megabytes of any one process since its start.
    """

    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[float] = field(default_factory=list)
    peak: float = 0.0

    def cpu_at(self, moment: float) -> float:
        """Return the seconds of CPU used until `moment` (epoch seconds), interpolated."""
        if not self.times:
            return 0.0
        place = bisect_left(self.times, moment)
        if place == 0:
            return self.cpu[0]
        if place == len(self.times):
            return self.cpu[-1]
        before, after = self.times[place - 1], self.times[place]
        share = (moment - before) / (after - before) if after > before else 1.0
        return self.cpu[place - 1] + share * (self.cpu[place] - self.cpu[place - 1])

    def cpu_between(self, begin: float, end: float) -> float:
        """Return the seconds of CPU used between two times (epoch seconds)."""
        return self.cpu_at(end) - self.cpu_at(begin)

    def load(self) -> list[tuple[float, float]]:
        """Return (epoch seconds, cores in use), about one value each half second."""
        step = max(1, round(0.5 / INTERVAL_S))
        pairs = list(zip(self.times, self.cpu, strict=True))[::step]
        return [
            (late[0], (late[1] - early[1]) / (late[0] - early[0]))
            for early, late in pairwise(pairs)
            if late[0] > early[0]
        ]


class Meter:
    """Samples groups of processes in a thread while the block runs.

    Args:
        groups: Function that returns the processes, by group name.
        on_sample: Called with each sample's time, from the same thread.
    """

    def __init__(
        self,
        groups: Mapping[str, Callable[[], Iterable[psutil.Process]]],
        on_sample: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.series = {name: Series() for name in [*groups, MACHINE]}
        self._self = psutil.Process()
        self._groups = dict(groups)
        self._on_sample = on_sample
        self._known: dict[str, dict[int, psutil.Process]] = {name: {} for name in groups}
        self._used: dict[str, dict[int, float]] = {name: {} for name in groups}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        turn = 0
        while True:
            last = self._stop.is_set()
            for name in self._groups:
                if turn % LOOK_UP == 0 or not self._known[name]:
                    self._look_up(name)
                self._sample(name)
            self._sample_machine()
            self._on_sample(time.time())
            if last:
                return
            turn += 1
            self._stop.wait(INTERVAL_S)

    def _look_up(self, name: str) -> None:
        with contextlib.suppress(psutil.Error):
            for process in self._groups[name]():
                self._known[name].setdefault(process.pid, process)

    def _sample(self, name: str) -> None:
        series, used = self.series[name], self._used[name]
        largest = 0.0
        now = time.time()
        for pid, process in list(self._known[name].items()):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    largest = max(largest, process.memory_info().rss / 1e6)
            except psutil.Error:
                # It ended; the CPU it used stays in the sum.
                del self._known[name][pid]
                continue
            used[pid] = times.user + times.system
            series.peak = max(series.peak, peak_mb(pid))
        series.times.append(now)
        series.cpu.append(sum(used.values()))
        series.rss.append(largest)

    def _sample_machine(self) -> None:
        times, own = psutil.cpu_times(), self._self.cpu_times()
        # `steal` counts as busy: it is CPU that others have. The kernel counts a guest's time twice.
        busy = sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
        self.series[MACHINE].times.append(time.time())
        self.series[MACHINE].cpu.append(busy - own.user - own.system)
        self.series[MACHINE].rss.append(0.0)


def peak_mb(pid: int) -> float:
    """Return the maximum resident megabytes of a process; 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0
