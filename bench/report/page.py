"""One page with everything in it: figures beside their goals, plots, and what they do not show."""

import html
import json
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from bench.report import plots
from bench.report.drawing import svg
from bench.report.goals import Figure, disturbed, figures, worst

Result = dict[str, Any]

#: Cores of anything else from which on figures are called provisional.
DISTURBED = 0.25
TITLES = {
    "throughput": "Throughput",
    "compare": "Beside its peers",
    "collisions": "Records that share a second",
    "profile": "Where the time goes",
    "latency": "Latency",
    "outage": "Outage",
    "scale": "Scale",
    "conflict": "Records that InfluxDB rejects",
    "ceiling": "The ceiling",
}
#: What the figures are, and are not.
CARE = (
    "Ratios are of figures of this one run: producer, Kafka, Tower and InfluxDB share one machine's cores.",
    "Rates are this machine's. Others have other rates; their ratios differ less.",
    "The ceiling is influxd fed with the same lines, made and compressed beforehand, while Kafka is idle.",
    "CPU is what the kernel counted for the processes, from outside. Memory is the most one had.",
    "Lost and duplicated are counted by asking InfluxDB for the number of every record, not by counters.",
    "Records are synthetic and alike; few series, nothing else is written or asked, and the disk is local.",
)
#: Names of columns as a person reads them.
COLUMNS = {
    "records_per_s": "records/s",
    "cpu_us_per_record": "own µs a record",
    "worker_cpu_us_per_record": "workers' µs a record",
    "influxd_cpu_us_per_record": "influxd's µs",
    "kafka_cpu_us_per_record": "Kafka's µs",
    "overhead_ratio": "own / influxd's",
    "peak_rss_mb": "peak MB",
    "peak_rss_mb_per_worker": "peak MB of a worker",
    "batch_p50_lines": "lines a batch",
    "ended": "ended by",
}
#: Lists that are plotted, not read.
LONG = ("series", "histogram", "over_time", "lag", "waiting", "rss_mb", "curve", "trials")


def write(file: Path, results: Sequence[Result], failures: dict[str, str] | None = None) -> None:
    """Write the page."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page(results, failures or {}))


def page(results: Sequence[Result], failures: dict[str, str]) -> str:
    """The page, with its plots inside: it needs no network.

    Args:
        results: In the order they were taken.
        failures: Measurements that could not be taken, with the reason.
    """
    body = "\n".join(_body(results, failures))
    style = resources.files("bench.report").joinpath("page.css").read_text()
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Tower: bench</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{style}</style><main>{body}</main></html>\n"
    )


def _body(results: Sequence[Result], failures: dict[str, str]) -> Iterator[str]:
    yield "<h1>Tower, measured</h1>"
    yield from _where(results)
    others = disturbed(results)
    if others > DISTURBED:
        yield (
            f'<div class="note"><b>Provisional.</b> Up to {others:.1f} cores were busy with something else '
            "while this was measured: rates and latencies would be better without; CPU and counts hold."
            "</div>"
        )
    yield f'<div class="tiles">{"".join(map(_tile, worst(figures(results))))}</div>'
    for kind, title in TITLES.items():
        chosen = [result for result in results if result["kind"] == kind]
        if not chosen:
            continue
        yield f"<h2>{title}</h2>"
        for result in chosen:
            yield f'<p class="soft">{_escape(_caption(result))}</p>'
            yield f'<div class="cards">{"".join(map(_card, plots.of(result)))}</div>'
            yield from _table(result)
    left_out = {
        name: why for result in results for name, why in result.get("left_out", {}).items()
    } | failures
    if left_out:
        yield "<h2>Left out</h2>"
        yield "".join(f"<p><b>{_escape(name)}</b>: {_escape(why)}</p>" for name, why in left_out.items())
    yield f"<h2>How to read this</h2><ul>{''.join(f'<li>{_escape(line)}</li>' for line in CARE)}</ul>"
    yield f"<details><summary>All figures</summary><pre>{_escape(_json(results))}</pre></details>"


def _where(results: Sequence[Result]) -> Iterator[str]:
    if not results or "machine" not in results[0]:
        return
    machine, versions = results[0]["machine"], results[0]["versions"]
    yield (
        f'<p class="soft">{time.strftime("%Y-%m-%d %H:%M", time.gmtime())} UTC · '
        f"{_escape(machine['cpu'])}, {machine['cores']} cores, {machine['memory_gb']} GB, "
        f"{_escape(machine['system'])}</p>"
    )
    listed = " · ".join(f"{name} {value}" for name, value in versions.items())
    yield f'<p class="soft small">{_escape(listed)}</p>'


def _tile(figure: Figure) -> str:
    short = "" if figure.reached else " short"
    goal = figure.goal_text if figure.reached else f"{figure.goal_text}: short of it"
    return (
        f'<div class="tile{short}"><span class="small">{_escape(figure.name)}</span>'
        f"<b>{_escape(figure.text)}</b>"
        f'<span class="soft small">goal {_escape(goal)}</span>'
        f'<span class="soft small">{_escape(figure.note).replace(chr(10), "<br>")}</span></div>'
    )


def _card(plot: plots.Plot) -> str:
    title, caption, chart = plot
    return (
        f'<div class="card"><h3>{_escape(title)}</h3><p class="soft small">{_escape(caption)}</p>'
        f'<div class="plot">{svg(chart)}</div></div>'
    )


def _caption(result: Result) -> str:
    shape = result.get("shape")
    parts = []
    if shape:
        senders = f"{shape['devices']} device{'s' * (shape['devices'] > 1)}"
        parts.append(f"{shape['form']} records of {shape['bytes']} bytes from {senders}")
    if "lost" in result:
        parts.append(f"{result['lost']} lost, {result['duplicated']} duplicated")
    if result.get("settings"):
        parts.append(", ".join(f"{name}={value}" for name, value in result["settings"].items()))
    return " · ".join(parts)


def _table(result: Result) -> Iterator[str]:
    rows = result.get("rows") or [
        row for part in ("workers", "delays", "hosts") for row in _rows(result, part)
    ]
    if not rows:
        return
    first = "name" if "name" in rows[0] else "case"
    names = [first, *(name for name in rows[0] if name not in {first, "log", *LONG})]
    head = "".join(f"<th>{_escape(COLUMNS.get(name, name.replace('_', ' ')))}</th>" for name in names)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_escape(_cell(row.get(name)))}</td>" for name in names) + "</tr>"
        for row in rows
    )
    yield f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def _rows(result: Result, part: str) -> list[Result]:
    rows = result.get(part)
    return rows if isinstance(rows, list) else []


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.2f}"


def _json(results: Sequence[Result]) -> str:
    return json.dumps(
        [{name: value for name, value in result.items() if name not in LONG} for result in results],
        indent=1,
    )


def _escape(text: str) -> str:
    return html.escape(text)
