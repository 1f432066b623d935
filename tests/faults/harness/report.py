"""The table of all faults, made from the file of results and from nothing else.

`python -m tests.faults.harness.report` prints the newest result of each; `--write` makes docs/faults.md of
them, and docs/faults.json beside it, which the table can be made from again.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tests.faults.harness.result import load

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "var" / "faults" / "results.json"
DOCUMENT = ROOT / "docs" / "faults.md"

#: Number of faults the suite is about.
FAULTS = 42

#: Figures every fault has, with the heading of their column.
COLUMNS = {
    "acknowledged": "records",
    "dead_letters": "dead letters",
    "first_write_s": "first write, s",
    "lag_zero_s": "lag 0, s",
    "amplification": "written / stored",
    "peak_mb": "peak MB",
}

INTRODUCTION = """\
# Faults

`make faults` breaks a real cluster (three controllers, three brokers, InfluxDB, the pool) under
load, in 42 ways, one after the other, and accounts for every record. This page says what was done
and what was left. Every number is from the run named in its row.

```
make faults                          # all 42, about 80 minutes
make faults ONLY=8,15 SEED=2027      # some of them, again with the same seed
make soak MINUTES=60                 # eighteen kinds of them at random
```

Each record is sent with its partition, a sequence number and a checksum. Every attempt and delivery
report is recorded, and all points are read back. `make test` runs a quick part of the suite. Full
disks and cut cables (19, 27) need root and iproute2, certificates (29) need openssl 3.

A fault passes when all of these hold, besides what its own row is about:

| check | what holds |
|---|---|
| C1 | every record Kafka acknowledged is stored or a dead letter |
| C2 | every point is a record that was sent, unchanged, at its own time |
| C3 | the committed offset never led: twice a second it is read first, and the points after it |
| C4 | the group committed everything, and a consumer that continues from there reads nothing |
| C5 | no record has two points |
| C6 | every worker runs and has a heartbeat; memory and open files are bounded |
| C7 | consumed = written + dead-lettered + uncommitted, by the workers' own counters |
| C8 | no line was written again, except for what the fault explains |
| C9 | from fault 32 on: if records do not become points, `status` says so within 15 s, and only then |

Dead letters are exactly the bad records that were sent, and no log, state or command line holds a
token.

*first write*: seconds from the end of the fault to the first write InfluxDB acknowledged. *lag 0*:
seconds until everything produced by then was committed. *written / stored*: lines InfluxDB
acknowledged for each record it holds. Rows with the same seed are from one run. A fault that was
repaired, or added later, ran again with another seed.
"""


def newest(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last result of each fault and variant, controls first, then by number."""
    last = {(row["fault"], row["title"]): row for row in results}
    return sorted(last.values(), key=lambda row: (row["fault"].isdigit(), int_or_zero(row["fault"])))


def int_or_zero(text: str) -> int:
    """The number a text is, 0 for a word."""
    return int(text) if text.isdigit() else 0


def number(value: float | None) -> str:
    """A figure as it stands in the table, a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def particular(result: Mapping[str, Any]) -> list[str]:
    """What was checked for this fault alone, and its own figures."""
    common = {*(f"C{n}" for n in range(1, 9)), "dead letters", "secrets"}
    return [
        f"{verdict['check']}: {verdict['evidence']}"
        for verdict in result["verdicts"]
        if verdict["check"] not in common or not verdict["ok"]
    ]


def document(results: Sequence[Mapping[str, Any]]) -> str:
    """The markdown document."""
    faults = [row for row in results if row["fault"].isdigit()]
    controls = [row for row in results if not row["fault"].isdigit()]
    lines = [INTRODUCTION, "## Results", ""]
    lines += ["| # | what was done | verdict | " + " | ".join(COLUMNS.values()) + " | seed |"]
    lines += ["|---" * (len(COLUMNS) + 4) + "|"]
    for each in faults:
        figures = [number(each["figures"].get(name)) for name in COLUMNS]
        verdict = "passed" if each["ok"] else "**failed**"
        cells = [each["fault"], each["title"], verdict, *figures, str(each["seed"])]
        lines.append(f"| {' | '.join(cells)} |")
    missing = sorted(set(map(str, range(1, FAULTS + 1))) - {row["fault"] for row in faults}, key=int)
    if missing:
        lines += ["", f"Without a result: {', '.join(missing)}."]
    lines += ["", "## What was looked at in particular", ""]
    for each in faults:
        lines += [f"**{each['fault']}. {each['title']}** ({when(each)}, {each['topology']})", ""]
        lines += [f"- {text}" for text in [*particular(each), *each["notes"]] or ["C1 to C8 only"]]
        lines.append("")
    lines += [
        "## Negative controls",
        "",
        "Workers broken on purpose: each has to be reported, and by which check.",
    ]
    lines += ["", "| control | reported | evidence |", "|---|---|---|"]
    for each in controls:
        evidence = "; ".join(verdict["evidence"] for verdict in each["verdicts"])
        lines.append(f"| {each['title']} | {'yes' if each['ok'] else '**no**'} | {evidence} |")
    return "\n".join(lines) + "\n"


def when(result: Mapping[str, Any]) -> str:
    """Day of a run."""
    return datetime.fromtimestamp(result["at"], UTC).strftime("%Y-%m-%d")


def table(results: Sequence[Mapping[str, Any]]) -> Table:
    """The table for a terminal."""
    faults_table = Table(title="faults")
    for heading in ("#", "what was done", "verdict", *COLUMNS.values()):
        faults_table.add_column(heading)
    for result in results:
        figures = [number(result["figures"].get(name)) for name in COLUMNS]
        faults_table.add_row(
            result["fault"], result["title"], "passed" if result["ok"] else "FAILED", *figures
        )
    return faults_table


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--write", is_flag=True, help="Make docs/faults.md and docs/faults.json.")
def main(file: Path, write: bool) -> None:
    """Print the newest result of each fault in FILE; exit code 1 where one failed or is missing."""
    results = newest(load(file))
    if not results:
        raise click.ClickException(f"{file} has no results; run `make faults` first")
    if write:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(document(results))
        lines = ",\n".join(json.dumps(result) for result in results)
        DOCUMENT.with_suffix(".json").write_text(f"[\n{lines}\n]\n")
    Console().print(table(results))
    done = {result["fault"] for result in results if result["ok"] and result["fault"].isdigit()}
    failed = [result["fault"] for result in results if not result["ok"]]
    sys.exit(bool(failed) or len(done) < FAULTS)


if __name__ == "__main__":
    main()
