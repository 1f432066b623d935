"""All measurements, one after the other, in one report that is rewritten after each."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.harness.machine import machine, versions
from bench.harness.rig import Rig
from bench.load.record import LINE, Clock, RecordShape, Unit
from bench.measure import ceiling, compare, conflict, latency, outage, profile, scale, throughput
from bench.measure.outage import OutageKind
from bench.report import page
from lab.errors import LabError
from lab.senders.formats import Format

Result = dict[str, Any]
#: Records a second of the latency measurement.
LATENCY_RATE = 1_000


@dataclass(frozen=True)
class SuiteSize:
    """The number of records and the seconds of each measurement."""

    records: int
    profile_records: int
    scale_records: int
    scale_counts: tuple[int, ...]
    latency_s: float
    outage_s: float
    outage_rate: float
    compare_records: int
    compare_cap_s: float


#: Under 15 minutes on two cores. The figures in docs/benchmarks.md are of this size.
SHORT = SuiteSize(
    records=1_000_000,
    profile_records=500_000,
    scale_records=1_000_000,
    scale_counts=(1, 3, 12, 48),
    latency_s=15,
    outage_s=40,
    outage_rate=30_000,
    compare_records=1_200_000,
    compare_cap_s=60,
)
#: More records and more cases, about an hour.
FULL = SuiteSize(
    records=2_000_000,
    profile_records=1_000_000,
    scale_records=1_000_000,
    scale_counts=scale.COUNTS,
    latency_s=60,
    outage_s=60,
    outage_rate=17_000,
    compare_records=2_000_000,
    compare_cap_s=120,
)


@dataclass
class ResultSet:
    """Results and failures; the files are rewritten whenever one is added.

    Args:
        json_file: Results and failures as JSON, for programs.
        html_file: The report.
    """

    json_file: Path | None
    html_file: Path | None
    results: list[Result] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, measure: Callable[[], Result]) -> Result | None:
        """Run one measurement and add its result, or its failure; return the result."""
        result: Result | None = None
        try:
            result = measure()
            self.results.append(result)
        except LabError as error:
            self.failures[name] = str(error)
        self.write()
        return result

    def write(self) -> None:
        """Write both files."""
        if self.json_file is not None:
            self.json_file.parent.mkdir(parents=True, exist_ok=True)
            content = {
                "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "results": self.results,
                "failures": self.failures,
            }
            self.json_file.write_text(json.dumps(content, indent=1) + "\n")
        if self.html_file is not None:
            page.write(self.html_file, self.results, self.failures)

    @property
    def wrong(self) -> bool:
        """Whether Tower lost or duplicated a record in any measurement."""
        keys = ("lost", "duplicated", "unknown")
        return any(result.get(key) for result in self.results for key in keys)


def shape(count: int, form: str = Format.JSON, **more: Any) -> RecordShape:
    """Return the shape of records whose times end now."""
    return RecordShape(Clock(int(time.time() * 1000 - count)), form, **more)


def run(rig: Rig, size: SuiteSize, result_set: ResultSet) -> None:
    """Measure everything and add it to the result set."""
    n = size.records
    best: list[ceiling.Ceiling] = []

    def ceilings() -> Result:
        rig.settle()
        highest, trials = ceiling.measure(rig, shape(n), n)
        best.append(highest)
        described = {"kind": "ceiling", "shape": throughput.describe(shape(n))}
        return (
            described
            | ceiling.as_json(highest, trials)
            | {"machine": machine(), "versions": versions(rig.lab)}
        )

    def drained(record_shape: RecordShape) -> Result:
        return throughput.run(rig, record_shape, n, best=best[0] if best else None)

    def away(how: OutageKind) -> Result:
        record_shape = shape(int(size.outage_rate * (size.outage_s + outage.BEFORE_S)))
        rate, seconds = size.outage_rate, size.outage_s
        return outage.run(
            rig,
            record_shape,
            rate=rate,
            seconds=seconds,
            how=how,
            best=best[0] if best else None,
            drained=next(
                (
                    result["records_per_s"]
                    for result in result_set.results
                    if result["kind"] == "throughput"
                ),
                None,
            ),
        )

    result_set.take("ceiling", ceilings)
    for form in (Format.JSON, Format.MSGPACK, LINE):
        result_set.take(f"throughput, {form}", partial(drained, shape(n, form)))
    result_set.take("conflict", lambda: conflict.run(rig, shape(n), n, best=best[0] if best else None))
    m = size.profile_records
    for form in (Format.JSON, Format.MSGPACK):
        result_set.take(f"profile, {form.value}", partial(profile.run, rig, shape(m, form), m))
    result_set.take("latency", partial(latency.run, rig, LATENCY_RATE, size.latency_s))
    for how in OutageKind:
        result_set.take(f"outage, {how.value}", partial(away, how))
    k = size.scale_records
    result_set.take("scale", partial(scale.run, rig, shape(k), k, counts=size.scale_counts))
    c = size.compare_records
    together = shape(c, unit=Unit.MILLISECOND)
    result_set.take("compare", partial(compare.run, rig, together, c, cap_s=size.compare_cap_s))
    result_set.take("collisions", partial(collide, rig))


def collide(rig: Rig) -> Result:
    """Records that share a second: five devices, two samples a second each, times in whole seconds."""
    count = 20_000
    record_shape = RecordShape(
        Clock(int(time.time() * 1000 - 100 * count), 100), devices=5, unit=Unit.SECOND
    )
    result = compare.run(rig, record_shape, count, cap_s=60, peers=("telegraf", "tutorial"))
    return result | {"kind": "collisions"}
