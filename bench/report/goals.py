"""The figures Tower is held to, read from the results of a run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Result = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure beside its goal.

    Args:
        name: What it is, in a few words.
        value: As measured.
        goal: What it should reach.
        is_upper_bound: The goal is an upper bound; else a lower one.
        unit: Behind the value.
        note: What it was measured on.
    """

    name: str
    value: float
    goal: float
    is_upper_bound: bool
    unit: str = ""
    note: str = ""

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.value <= self.goal if self.is_upper_bound else self.value >= self.goal

    @property
    def goal_text(self) -> str:
        """The goal as a person reads it."""
        return f"{'≤' if self.is_upper_bound else '≥'} {self.goal:g}{self.unit}"

    @property
    def text(self) -> str:
        """The value with as many digits as matter."""
        size = abs(self.value)
        digits = 0 if size >= 100 or size == int(size) else 1 if size >= 10 else 2
        return f"{self.value:,.{digits}f}{self.unit}"


def figures(results: Sequence[Result]) -> list[Figure]:
    """Every figure that these results tell."""
    all_figures: list[Figure] = []
    readers = {
        "throughput": _throughput,
        "latency": _latency,
        "outage": _outage,
        "scale": _scale,
        "compare": _compare,
        "conflict": _conflict,
    }
    for result in results:
        if result["kind"] in readers:
            all_figures += readers[result["kind"]](result)
    return all_figures


def worst(all_figures: Sequence[Figure]) -> list[Figure]:
    """One figure of each name: that which is furthest from its goal, with a note on all of them."""
    by_name: dict[str, list[Figure]] = {}
    for figure in all_figures:
        by_name.setdefault(figure.name, []).append(figure)
    chosen = []
    for same in by_name.values():
        last = max(same, key=lambda figure: figure.value if figure.is_upper_bound else -figure.value)
        notes = (
            [same[0].note]
            if len(same) == 1
            else [f"{figure.text.strip()}: {figure.note}" for figure in same]
        )
        chosen.append(replace(last, note="\n".join(notes)))
    return chosen


def disturbed(results: Sequence[Result]) -> float:
    """Most cores that anything else kept busy during a measurement."""
    seen = [0.0]
    for result in results:
        seen.append(result.get("other_cores", 0.0))
        for part in ("workers", "delays", "hosts"):
            rows = result.get(part)
            if isinstance(rows, list):
                seen += [row.get("other_cores", 0.0) for row in rows]
    return max(seen)


def _throughput(result: Result) -> Iterator[Figure]:
    note = f"{result['shape']['form']}, {result['records']:,} records, {result['workers']} workers"
    yield Figure("lost and duplicated", result["lost"] + result["duplicated"], 0, True, note=note)
    yield Figure("CPU of Tower / CPU of influxd", result["overhead_ratio"], 0.15, True, note=note)
    yield Figure("throughput / influxd's ceiling", result["ceiling_ratio"], 0.90, False, note=note)
    yield Figure("peak memory of a worker", result["peak_rss_mb_per_worker"], 50, True, " MB", note)


def _latency(result: Result) -> Iterator[Figure]:
    note = f"produced until queryable, {result['rate']:,.0f} records/s"
    yield Figure("latency p50", result["p50_ms"], 100, True, " ms", note)
    yield Figure("latency p99", result["p99_ms"], 250, True, " ms", note)


def _outage(result: Result) -> Iterator[Figure]:
    note = f"InfluxDB {result['how']} for {result['outage_s']:g} s, backlog {result['backlog']:,}"
    yield Figure("catch-up / influxd's ceiling", result["catch_up_ratio"], 0.90, False, note=note)
    yield Figure(
        "catch-up / a drain of the same run", result["catch_up_to_drained"], 0.90, False, note=note
    )
    yield Figure("from healed to the first write", result["recovery_s"], 2, True, " s", note)
    yield Figure("worker restarts in an outage", result["restarts"], 0, True, note=note)


def _scale(result: Result) -> Iterator[Figure]:
    costs = {row["workers"]: row["worker_cpu_us_per_record"] for row in result["workers"]}
    for workers in (12, 48):
        if costs.get(3) and workers in costs:
            note = f"{costs[workers]:.2f} µs beside {costs[3]:.2f} µs"
            name = f"cost of a record, {workers} workers / 3"
            yield Figure(name, costs[workers] / costs[3], 1.10, True, note=note)
    near = next((row["records_per_s"] for row in result["delays"] if row["delay_ms"] == 0), 0)
    for row in result["delays"]:
        if near and row["delay_ms"] == 100:
            lines = row.get("batch_lines")
            name = "throughput with InfluxDB 100 ms away" + (
                f", batches of {lines:,} lines" if lines else ""
            )
            note = f"{row['records_per_s']:,.0f} beside {near:,.0f} records/s"
            yield Figure(name, row["records_per_s"] / near, 0.70, False, note=note)


def _conflict(result: Result) -> Iterator[Figure]:
    for row in result["rows"]:
        if row["goal"] is None:
            continue
        note = f"{row['records_per_s']:,.0f} beside {result['clean_records_per_s']:,.0f} records/s"
        yield Figure(
            f"records/s, {row['name']} / clean", row["conflict_ratio"], row["goal"], False, note=note
        )


def _compare(result: Result) -> Iterator[Figure]:
    rows: Mapping[str, Result] = {row["name"]: row for row in result["rows"] if row["records_per_s"]}
    tower = rows.get("Tower")
    telegraf = next((row for name, row in rows.items() if "tuned" in name), None)
    tutorial = rows.get("tutorial code")
    if tower and telegraf:
        note = f"{tower['records_per_s']:,.0f} beside {telegraf['records_per_s']:,.0f} records/s"
        ratio = tower["records_per_s"] / telegraf["records_per_s"]
        yield Figure("records/s, times Telegraf's", ratio, 2, False, " x", note)
        note = f"{tower['cpu_us_per_record']:.2f} beside {telegraf['cpu_us_per_record']:.2f} µs"
        ratio = telegraf["cpu_us_per_record"] / max(0.01, tower["cpu_us_per_record"])
        yield Figure("Telegraf's CPU a record, times Tower's", ratio, 6, False, " x", note)
    if tower and tutorial:
        note = f"{tower['records_per_s']:,.0f} beside {tutorial['records_per_s']:,.0f} records/s"
        ratio = tower["records_per_s"] / tutorial["records_per_s"]
        yield Figure("records/s, times tutorial code's", ratio, 8, False, " x", note)
