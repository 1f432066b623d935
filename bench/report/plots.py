"""The plots of the report."""

from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

Result = dict[str, Any]
Plot = tuple[str, str, Any]  #: title, what to see in it, figure

TOWER, INFLUXD, KAFKA, OTHER, RED = "#0f766e", "#7c3aed", "#d97706", "#94a3b8", "#dc2626"
GROUPS = {"workers": ("Tower's workers", TOWER), "influxd": ("influxd", INFLUXD), "kafka": ("Kafka", KAFKA)}
PEERS = [TOWER, "#2563eb", "#93c5fd", "#d97706", "#a21caf"]
HOPS = ["#64748b", "#0ea5e9", "#0f766e", "#22c55e", "#7c3aed", "#f59e0b", "#cbd5e1"]


def figure(height: int = 340, **layout: Any) -> Any:
    """An empty figure in the report's dress."""
    chart = go.Figure()
    chart.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 20, "b": 45},
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1e293b"},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        bargap=0.35,
        **layout,
    )
    return chart


def of(result: Result) -> Iterator[Plot]:
    """The plots of one result."""
    makers = {
        "throughput": _throughput,
        "ceiling": _ceiling,
        "profile": _profile,
        "latency": _latency,
        "scale": _scale,
        "outage": _outage,
        "compare": _compare,
        "collisions": _collisions,
    }
    if result["kind"] in makers:
        yield from makers[result["kind"]](result)


def _throughput(result: Result) -> Iterator[Plot]:
    chart = figure(xaxis_title="records a second")
    chart.update_layout(showlegend=False)
    names = ["pool, end to end", "influxd alone"]
    rates = [result["records_per_s"], result["ceiling_records_per_s"]]
    chart.add_bar(
        y=names,
        x=rates,
        orientation="h",
        marker_color=[TOWER, OTHER],
        text=[f"{rate:,.0f}" for rate in rates],
        textposition="auto",
    )
    ratio = result["ceiling_ratio"]
    yield "Records a second", f"The pool reaches {ratio:.0%} of what influxd takes on this machine.", chart
    chart = figure(xaxis_title="seconds since the first write", yaxis_title="cores in use")
    for name, (label, colour) in GROUPS.items():
        points = [point for point in result["series"][name]["cores"] if point[0] > -2]
        chart.add_scatter(
            x=[at for at, _ in points],
            y=[cores for _, cores in points],
            name=label,
            stackgroup="cores",
            line={"width": 0.5, "color": colour},
        )
    caption = (
        f"A record costs {result['worker_cpu_us_per_record']:.2f} µs in the workers and "
        f"{result['influxd_cpu_us_per_record']:.2f} µs in influxd."
    )
    yield "Who uses the processor", caption, chart


def _ceiling(result: Result) -> Iterator[Plot]:
    chart = figure(300, xaxis_title="lines in a body", yaxis_title="records a second", barmode="group")
    for connections, colour in ((2, OTHER), (3, INFLUXD)):
        trials = [trial for trial in result["trials"] if trial["connections"] == connections]
        chart.add_bar(
            x=[f"{trial['body_lines']:,}" for trial in trials],
            y=[trial["records_per_s"] for trial in trials],
            name=f"{connections} connections",
            marker_color=colour,
        )
    yield "influxd alone", "Bodies made beforehand; the best pair is the ceiling.", chart


def _profile(result: Result) -> Iterator[Plot]:
    chart = figure(230, xaxis_title="µs a record", barmode="stack")
    chart.update_layout(legend={"traceorder": "normal"})
    for colour, (hop, cost) in zip(HOPS, result["hops"].items(), strict=False):
        chart.add_bar(
            y=["CPU"],
            x=[cost["cpu_us"]],
            name=hop,
            orientation="h",
            marker_color=colour,
            text=f"{hop}<br>{cost['cpu_us']:.2f}",
            textposition="inside",
            insidetextanchor="middle",
        )
    caption = (
        f"{result['cpu_us_per_record']:.2f} µs of CPU a record in one worker; the write itself is waiting: "
        f"{result['hops']['write']['wall_us']:.1f} µs on the clock."
    )
    yield "Where a record's microseconds go", caption, chart


def _latency(result: Result) -> Iterator[Plot]:
    chart = figure(xaxis_title="ms from due to queryable", yaxis_title="records")
    edges = [edge for edge, _ in result["histogram"]]
    counts = [count for _, count in result["histogram"]]
    width = edges[0]
    chart.add_bar(
        x=[edge - width / 2 for edge in edges],
        y=counts,
        width=width,
        marker_color=TOWER,
        showlegend=False,
    )
    for name, value, colour in (("p50", result["p50_ms"], INFLUXD), ("p99", result["p99_ms"], RED)):
        chart.add_vline(
            x=value, line_color=colour, line_dash="dash", annotation_text=f"{name} {value:.0f} ms"
        )
    caption = (
        f"{result['records']:,} records at {result['rate']:,.0f} a second, each from when it was due; "
        f"± {result['resolution_ms']:.0f} ms by the method."
    )
    yield "Latency", caption, chart
    chart = figure(280, xaxis_title="seconds", yaxis_title="ms")
    rows = result["over_time"]
    for place, name, colour in ((1, "median", TOWER), (2, "p99", RED)):
        chart.add_scatter(
            x=[row[0] for row in rows], y=[row[place] for row in rows], name=name, line_color=colour
        )
    yield "Latency over time", "Each half second by itself.", chart


def _scale(result: Result) -> Iterator[Plot]:
    rows = result["workers"]
    chart = figure(xaxis_title="partitions and workers", yaxis_title="µs of CPU a record")
    names = [str(row["workers"]) for row in rows]
    costs = [row["worker_cpu_us_per_record"] for row in rows]
    three = next((row["worker_cpu_us_per_record"] for row in rows if row["workers"] == 3), None)
    chart.update_xaxes(type="category")
    if three:
        chart.add_hrect(y0=three * 0.9, y1=three * 1.1, fillcolor=TOWER, opacity=0.12, line_width=0)
    chart.add_scatter(x=names, y=costs, mode="lines+markers+text", line_color=TOWER, showlegend=False)
    chart.update_traces(text=[f"{cost:.2f}" for cost in costs], textposition="top center")
    chart.update_yaxes(rangemode="tozero")
    yield "What a record costs with more workers", "The band is 10 % around three workers.", chart
    for part, axis, title, caption in (
        (
            "delays",
            "added to each round trip",
            "InfluxDB further away",
            "Latency only, no limit of bandwidth.",
        ),
        ("hosts", "", "Two hosts, one group", "Network namespaces with host names of their own."),
    ):
        if not result[part]:
            continue
        chart = figure(260, xaxis_title=axis, yaxis_title="records a second", showlegend=False)
        chart.add_bar(
            x=[row["case"] for row in result[part]],
            y=[row["records_per_s"] for row in result[part]],
            marker_color=TOWER,
            text=[f"{row['records_per_s']:,.0f}" for row in result[part]],
            width=0.4,
        )
        yield title, caption, chart


def _outage(result: Result) -> Iterator[Plot]:
    chart = figure(xaxis_title="seconds since the outage began", yaxis_title="records not committed")
    chart.add_vrect(
        x0=0,
        x1=result["outage_s"],
        fillcolor=RED,
        opacity=0.08,
        line_width=0,
        annotation_text="no InfluxDB",
    )
    chart.add_scatter(
        x=[at for at, _ in result["lag"]],
        y=[lag for _, lag in result["lag"]],
        name="lag",
        line_color=TOWER,
        fill="tozeroy",
    )
    chart.add_scatter(
        x=[at for at, _ in result["rss_mb"]],
        y=[rss for _, rss in result["rss_mb"]],
        name="largest worker, MB",
        yaxis="y2",
        line_color=KAFKA,
    )
    chart.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "title": "MB",
            "rangemode": "tozero",
            "showgrid": False,
        },
        margin={"r": 60},
    )
    caption = (
        f"First write {result['recovery_s']:.2f} s after the end, then {result['backlog']:,} records at "
        f"{result['catch_up_records_per_s']:,.0f} a second; {result['restarts']} restarts, "
        f"{result['rebalances']} rebalances."
    )
    yield f"An outage ({result['how']})", caption, chart


def _compare(result: Result) -> Iterator[Plot]:
    rows = [row for row in result["rows"] if row["records_per_s"]][::-1]
    names = [row["name"] for row in rows]
    own = [TOWER if name == "Tower" else OTHER for name in names]
    chart = figure(120 + 42 * len(rows), xaxis_title="records a second", showlegend=False)
    chart.add_bar(
        y=names,
        x=[row["records_per_s"] for row in rows],
        orientation="h",
        marker_color=own,
        text=[f"{row['records_per_s']:,.0f}" for row in rows],
    )
    chart.update_layout(margin={"l": 190})
    yield "Records a second", "Same topic, same InfluxDB, one after the other.", chart
    chart = figure(140 + 42 * len(rows), xaxis_title="µs of CPU a record", barmode="stack")
    for key, label, colours in (
        ("cpu_us_per_record", "the program", own),
        ("influxd_cpu_us_per_record", "influxd", [INFLUXD] * len(rows)),
    ):
        chart.add_bar(
            y=names,
            x=[row[key] for row in rows],
            name=label,
            orientation="h",
            marker_color=colours,
            text=[f"{row[key]:.1f}" for row in rows],
        )
    chart.update_layout(margin={"l": 190})
    yield "What a record costs", "The program's own CPU, and what it makes influxd use.", chart
    chart = figure(xaxis_title="seconds since the first write", yaxis_title="records stored")
    for colour, row in zip(PEERS, result["rows"], strict=False):
        if row.get("curve"):
            chart.add_scatter(
                x=[at for at, _ in row["curve"]],
                y=[records for _, records in row["curve"]],
                name=row["name"],
                mode="lines",
                line={"width": 4 if row["name"] == "Tower" else 2, "color": colour},
            )
    yield "Records stored over time", "By the growth of influxd's write-ahead log.", chart


def _collisions(result: Result) -> Iterator[Plot]:
    rows = result["rows"][::-1]
    chart = figure(130 + 42 * len(rows), xaxis_title="records", barmode="stack")
    names = [row["name"] for row in rows]
    stored = [row["stored"] for row in rows]
    gone = [row["produced"] - row["stored"] for row in rows]
    for label, values, colour in (("stored", stored, TOWER), ("overwritten by another", gone, RED)):
        texts = [f"{value:,}" if value else "" for value in values]
        chart.add_bar(y=names, x=values, name=label, orientation="h", marker_color=colour, text=texts)
    chart.update_layout(margin={"l": 190})
    caption = "Five devices, two samples a second each, times in whole seconds: what is left of them."
    yield "Stored of what was produced", caption, chart
