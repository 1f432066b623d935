"""The plots of the report."""

from collections.abc import Iterator
from typing import Any

from matplotlib.axes import Axes

from bench.report.drawing import axes, bars, legend

Result = dict[str, Any]
Plot = tuple[str, str, Axes]  #: title, what to see in it, plot

TOWER, INFLUXD, KAFKA, OTHER, RED = "#0f766e", "#7c3aed", "#d97706", "#94a3b8", "#dc2626"
GROUPS = {"workers": ("Tower's workers", TOWER), "influxd": ("influxd", INFLUXD), "kafka": ("Kafka", KAFKA)}
PEERS = [TOWER, "#2563eb", "#93c5fd", "#d97706", "#a21caf"]
HOPS = ["#64748b", "#0ea5e9", "#0f766e", "#22c55e", "#7c3aed", "#f59e0b", "#cbd5e1"]


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
    plot = axes(220, x="records a second")
    rates = [result["records_per_s"], result["ceiling_records_per_s"]]
    texts = [f"{rate:,.0f}" for rate in rates]
    bars(plot, ["pool, end to end", "influxd alone"], rates, colour=[TOWER, OTHER], texts=texts)
    ratio = result["ceiling_ratio"]
    yield "Records a second", f"The pool reaches {ratio:.0%} of what influxd takes on this machine.", plot
    plot = axes(x="seconds since the first write", y="cores in use")
    points = {
        name: [point for point in result["series"][name]["cores"] if point[0] > -2] for name in GROUPS
    }
    # All were measured at the same moments, but one may have ended before the others.
    count = min(map(len, points.values()))
    plot.stackplot(
        [at for at, _ in points["workers"][:count]],
        *([cores for _, cores in points[name][:count]] for name in GROUPS),
        labels=[label for label, _ in GROUPS.values()],
        colors=[colour for _, colour in GROUPS.values()],
        alpha=0.75,
    )
    legend(plot)
    caption = (
        f"A record costs {result['worker_cpu_us_per_record']:.2f} µs in the workers and "
        f"{result['influxd_cpu_us_per_record']:.2f} µs in influxd."
    )
    yield "Who uses the processor", caption, plot


def _ceiling(result: Result) -> Iterator[Plot]:
    plot = axes(300, x="lines in a body", y="records a second")
    sizes = sorted({trial["body_lines"] for trial in result["trials"]})
    for connections, colour, shift in ((2, OTHER, -0.2), (3, INFLUXD, 0.2)):
        trials = [trial for trial in result["trials"] if trial["connections"] == connections]
        plot.bar(
            [sizes.index(trial["body_lines"]) + shift for trial in trials],
            [trial["records_per_s"] for trial in trials],
            width=0.38,
            color=colour,
            label=f"{connections} connections",
        )
    plot.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    plot.grid(visible=False, axis="x")
    legend(plot)
    yield "influxd alone", "Bodies made beforehand; the best pair is the ceiling.", plot


def _profile(result: Result) -> Iterator[Plot]:
    plot = axes(260, x="µs a record")
    costs = {hop: cost["cpu_us"] for hop, cost in result["hops"].items()}
    colours = [HOPS[number % len(HOPS)] for number in range(len(costs))]
    bars(
        plot,
        list(costs),
        list(costs.values()),
        colour=colours,
        texts=[f"{us:.2f}" for us in costs.values()],
    )
    caption = (
        f"{result['cpu_us_per_record']:.2f} µs of CPU a record in one worker; the write itself is waiting: "
        f"{result['hops']['write']['wall_us']:.1f} µs on the clock."
    )
    yield "Where a record's microseconds go", caption, plot


def _latency(result: Result) -> Iterator[Plot]:
    plot = axes(x="ms from due to queryable", y="records")
    edges = [edge for edge, _ in result["histogram"]]
    width = edges[0]
    plot.bar(
        [edge - width / 2 for edge in edges],
        [count for _, count in result["histogram"]],
        width=width,
        color=TOWER,
    )
    for name, value, colour in (("p50", result["p50_ms"], INFLUXD), ("p99", result["p99_ms"], RED)):
        plot.axvline(value, color=colour, linestyle="--", label=f"{name} {value:.0f} ms")
    legend(plot)
    caption = (
        f"{result['records']:,} records at {result['rate']:,.0f} a second, each from when it was due; "
        f"± {result['resolution_ms']:.0f} ms by the method."
    )
    yield "Latency", caption, plot
    plot = axes(280, x="seconds", y="ms")
    rows = result["over_time"]
    for place, name, colour in ((1, "median", TOWER), (2, "p99", RED)):
        plot.plot([row[0] for row in rows], [row[place] for row in rows], color=colour, label=name)
    legend(plot)
    yield "Latency over time", "Each half second by itself.", plot


def _scale(result: Result) -> Iterator[Plot]:
    rows = result["workers"]
    plot = axes(x="partitions and workers", y="µs of CPU a record")
    names = [str(row["workers"]) for row in rows]
    costs = [row["worker_cpu_us_per_record"] for row in rows]
    three = next((row["worker_cpu_us_per_record"] for row in rows if row["workers"] == 3), None)
    if three:
        plot.axhspan(three * 0.9, three * 1.1, color=TOWER, alpha=0.12, linewidth=0)
    plot.plot(costs, marker="o", color=TOWER)
    plot.set_xticks(range(len(names)), names)
    for place, cost in enumerate(costs):
        plot.annotate(f"{cost:.2f}", (place, cost), (0, 7), textcoords="offset points", ha="center")
    plot.set_ylim(0, max(costs) * 1.2)
    yield "What a record costs with more workers", "The band is 10 % around three workers.", plot
    for part, title, caption in (
        (
            "delays",
            "InfluxDB further away",
            "Added to each round trip. Latency only, no limit of bandwidth.",
        ),
        ("hosts", "Two hosts, one group", "Network namespaces with host names of their own."),
    ):
        if not result[part]:
            continue
        plot = axes(120 + 42 * len(result[part]), x="records a second")
        rates = [row["records_per_s"] for row in result[part]]
        names = [str(row["case"]) for row in result[part]]
        bars(plot, names, rates, colour=TOWER, texts=[f"{rate:,.0f}" for rate in rates])
        yield title, caption, plot


def _outage(result: Result) -> Iterator[Plot]:
    plot = axes(x="seconds since the outage began", y="records not committed")
    plot.axvspan(0, result["outage_s"], color=RED, alpha=0.08, linewidth=0, label="no InfluxDB")
    times, lags = [at for at, _ in result["lag"]], [lag for _, lag in result["lag"]]
    plot.plot(times, lags, color=TOWER, label="lag")
    plot.fill_between(times, lags, color=TOWER, alpha=0.2, linewidth=0)
    plot.set_ylim(bottom=0)
    memory = plot.twinx()
    memory.plot(
        [at for at, _ in result["rss_mb"]],
        [rss for _, rss in result["rss_mb"]],
        color=KAFKA,
        label="largest worker, MB",
    )
    memory.set_ylabel("MB")
    memory.set_ylim(bottom=0)
    memory.grid(visible=False)
    memory.spines[:].set_visible(False)
    plot.spines[["top", "right"]].set_visible(False)
    legend(plot, memory)
    caption = (
        f"First write {result['recovery_s']:.2f} s after the end, then {result['backlog']:,} records at "
        f"{result['catch_up_records_per_s']:,.0f} a second; {result['restarts']} restarts, "
        f"{result['rebalances']} rebalances."
    )
    yield f"An outage ({result['how']})", caption, plot


def _compare(result: Result) -> Iterator[Plot]:
    rows = [row for row in result["rows"] if row["records_per_s"]]
    names = [row["name"] for row in rows]
    own = [TOWER if name == "Tower" else OTHER for name in names]
    plot = axes(100 + 42 * len(rows), x="records a second")
    rates = [row["records_per_s"] for row in rows]
    bars(plot, names, rates, colour=own, texts=[f"{rate:,.0f}" for rate in rates])
    yield "Records a second", "Same topic, same InfluxDB, one after the other.", plot
    plot = axes(130 + 42 * len(rows), x="µs of CPU a record")
    begins = [0.0] * len(rows)
    for key, label, colours in (
        ("cpu_us_per_record", "the program", own),
        ("influxd_cpu_us_per_record", "influxd", [INFLUXD] * len(rows)),
    ):
        costs = [row[key] for row in rows]
        bars(
            plot,
            names,
            costs,
            colour=colours,
            texts=[f"{us:.1f}" for us in costs],
            label=label,
            after=begins,
        )
        begins = [begin + us for begin, us in zip(begins, costs, strict=True)]
    legend(plot)
    yield "What a record costs", "The program's own CPU, and what it makes influxd use.", plot
    plot = axes(x="seconds since the first write", y="records stored")
    for colour, row in zip(PEERS, result["rows"], strict=False):
        if row.get("curve"):
            plot.plot(
                [at for at, _ in row["curve"]],
                [records for _, records in row["curve"]],
                color=colour,
                linewidth=3 if row["name"] == "Tower" else 1.5,
                label=row["name"],
            )
    legend(plot)
    yield "Records stored over time", "By the growth of influxd's write-ahead log.", plot


def _collisions(result: Result) -> Iterator[Plot]:
    rows = result["rows"]
    plot = axes(130 + 42 * len(rows), x="records")
    names = [row["name"] for row in rows]
    stored = [row["stored"] for row in rows]
    gone = [row["produced"] - row["stored"] for row in rows]
    for label, values, colour, after in (
        ("stored", stored, TOWER, []),
        ("overwritten by another", gone, RED, stored),
    ):
        texts = [f"{value:,}" if value else "" for value in values]
        bars(plot, names, values, colour=colour, texts=texts, label=label, after=after)
    legend(plot)
    caption = "Five devices, two samples a second each, times in whole seconds: what is left of them."
    yield "Stored of what was produced", caption, plot
