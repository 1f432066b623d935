"""The figures of a run as Markdown, for the documents: what stands there, a run has printed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.report.goals import disturbed, figures, worst

Result = dict[str, Any]

#: Columns of a list of cases: heading and key.
CASES = {
    "records": "records",
    "records/s": "records_per_s",
    "workers' µs a record": "worker_cpu_us_per_record",
    "influxd's µs": "influxd_cpu_us_per_record",
    "Kafka's µs": "kafka_cpu_us_per_record",
    "peak MB of a worker": "peak_rss_mb_per_worker",
    "lines a batch": "batch_p50_lines",
}
PEERS = {
    "records/s": "records_per_s",
    "own µs a record": "cpu_us_per_record",
    "influxd's µs": "influxd_cpu_us_per_record",
    "peak MB": "peak_rss_mb",
    "lost": "missing",
    "duplicated": "duplicated",
    "ended by": "ended",
}


def goals(results: Sequence[Result]) -> str:
    """Every figure beside its goal, the worst of those that were taken more than once."""
    lines = ["| figure | measured | goal | | on |", "|---|---|---|---|---|"]
    for figure in worst(figures(results)):
        verdict = "reached" if figure.reached else "**not reached**"
        note = figure.note.replace("\n", "; ")
        lines.append(f"| {figure.name} | {figure.text.strip()} | {figure.goal_text} | {verdict} | {note} |")
    return "\n".join([*lines, "", _where(results)])


def everything(results: Sequence[Result]) -> str:
    """The figures, then what lies behind them."""
    parts = [goals(results)]
    for result in results:
        if result["kind"] == "profile":
            parts.append(_hops(result))
        elif result["kind"] == "scale":
            rows = [row for part in ("workers", "delays", "hosts") for row in result[part]]
            parts.append("**Scale**\n\n" + _table(rows, "case", CASES))
        elif result["kind"] == "compare":
            parts.append("**Beside its peers**\n\n" + _table(result["rows"], "name", PEERS))
            parts += [f"Left out: {name}: {why}." for name, why in result["left_out"].items()]
    return "\n\n".join(parts)


def _hops(result: Result) -> str:
    lines = [f"**Where a record's {result['cpu_us_per_record']} µs go** ({result['shape']['form']})", ""]
    lines += ["| " + " | ".join(result["hops"]) + " |", "|---" * len(result["hops"]) + "|"]
    lines.append("| " + " | ".join(f"{hop['cpu_us']:.2f}" for hop in result["hops"].values()) + " |")
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, Any]], first: str, columns: Mapping[str, str]) -> str:
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {row[first]} | " + " | ".join(_cell(row.get(key)) for key in columns.values()) + " |"
        for row in rows
    ]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:,.2f}"


def _where(results: Sequence[Result]) -> str:
    result = next(result for result in results if "machine" in result)
    machine, versions = result["machine"], result["versions"]
    return (
        f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']:g} GB, {machine['system']}; "
        + ", ".join(_versions(versions))
        + f". Anything else on the machine took at most {disturbed(results):.2f} cores meanwhile."
    )


def _versions(versions: Mapping[str, str]) -> Iterator[str]:
    for name in ("python", "confluent-kafka", "librdkafka", "kernel", "kafka", "influxd"):
        if name in versions:
            yield f"{name} {versions[name]}"
