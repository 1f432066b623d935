"""The page tells what the results say, and needs nothing from outside."""

import re
from pathlib import Path

from bench.harness.account import Account
from bench.harness.meter import MACHINE, Series
from bench.measure import conflict
from bench.measure.ceiling import Ceiling
from bench.measure.throughput import DrainResult, result
from bench.report.goals import Figure, disturbed, figures, worst
from bench.report.page import page, write
from bench.report.tables import everything


def drain_result(workers: float = 2.0, influxd: float = 20.0) -> DrainResult:
    """A drain of a million records in ten seconds, with CPU in microseconds a record."""
    times = [100.0, 101.0, 111.0]

    def used(us: float) -> Series:
        return Series(times, [0.0, 0.0, us], [30.0] * 3, 45.0)

    series = {"workers": used(workers), "influxd": used(influxd), "kafka": used(1.0), MACHINE: used(30.0)}
    return DrainResult(
        begin=101.0, first=101.0, last=111.0, batch_p50=5000, series=series, counters={}, starts=3
    )


BEST = Ceiling(1_000_000, 10.0, 100_000.0, 20.0, 10_000, 2)
MACHINE_OF_A_RUN = {"cores": 2, "cpu": "a processor", "memory_gb": 25.3, "system": "Linux 6"}
SHAPE = {"form": "json", "devices": 1, "bytes": 170, "bad": 0.0, "seed": 1, "step_ms": 1.0, "unit": "ms"}


def throughput(**changed: object) -> dict[str, object]:
    figures_of_run = result(drain_result(), 1_000_000, 3, BEST)
    return {"kind": "throughput", "shape": SHAPE, "lost": 0, "duplicated": 0, **figures_of_run, **changed}


def test_a_drain_is_told_as_ratios_of_its_own_run() -> None:
    figures_of_run = result(drain_result(), 1_000_000, 3, BEST)

    assert figures_of_run["worker_cpu_us_per_record"] == 2.0
    assert figures_of_run["overhead_ratio"] == 0.1
    # What three workers may have had in hand at the first write is not counted.
    assert figures_of_run["records_per_s"] == 98_500
    assert figures_of_run["ceiling_ratio"] == 0.985
    assert figures_of_run["other_cores"] == 0.7
    assert figures_of_run["peak_rss_mb_per_worker"] == 45.0


def test_the_keys_that_others_read_are_there() -> None:
    keys = """records seconds records_per_s values_per_s lost duplicated workers worker_cpu_us_per_record
        influxd_cpu_us_per_record overhead_ratio ceiling_records_per_s ceiling_ratio peak_rss_mb_per_worker
        batch_p50_lines"""

    assert set(keys.split()) <= throughput().keys()


def test_a_lost_record_falls_short_of_its_goal() -> None:
    short = [figure.name for figure in figures([throughput(lost=1)]) if not figure.reached]

    assert short == ["lost and duplicated"]


def test_the_worst_of_several_runs_stands_for_all() -> None:
    worst_figures = worst([Figure("a", 1, 2, True, note="x"), Figure("a", 3, 2, True, note="y")])

    assert [(figure.value, figure.note) for figure in worst_figures] == [(3, "1: x\n3: y")]
    assert worst([Figure("b", 1, 2, False), Figure("b", 3, 2, False)])[0].value == 1


def test_a_disturbed_machine_is_called_so() -> None:
    results = [throughput(other_cores=1.5)]

    assert disturbed(results) == 1.5
    assert "Provisional" in page(results, {})
    assert "Provisional" not in page([throughput(other_cores=0.1)], {})


def test_the_page_is_one_file_without_a_network(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "report.html"
    write(file, [throughput()], {"latency": "the pool <ended>"})
    text = file.read_text()

    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", text)
    assert "the pool &lt;ended&gt;" in text
    assert text.count('class="plot"') == 2


def test_an_account_that_holds_says_so() -> None:
    assert Account(3, 3, 3, 0, 0, 0).holds
    assert not Account(3, 3, 3, 0, 0, 1).holds


def test_the_documents_table_says_what_is_short_and_where_it_was_measured() -> None:
    run_result = throughput(
        overhead_ratio=0.25, machine=MACHINE_OF_A_RUN, versions={"python": "3.11", "kafka": "4.2.0"}
    )

    text = everything([run_result])

    assert (
        "| CPU of Tower / CPU of influxd | 0.25 | ≤ 0.15 | **not reached** | json, 1,000,000 records"
        in text
    )
    assert "| lost and duplicated | 0 | ≤ 0 | reached |" in text
    assert "2 cores (a processor), 25.3 GB, Linux 6; python 3.11, kafka 4.2.0." in text


def test_rejected_records_are_compared_with_the_clean_drains_before_and_after_them() -> None:
    rates = {"clean": 100.0, "one in a hundred in conflict": 88.0, "clean again": 90.0}
    goals = {name: goal for name, (_, _, goal) in conflict.CASES.items()}
    rows = [{"name": name, "records_per_s": rate, "goal": goals[name]} for name, rate in rates.items()]
    run_result = {"kind": "conflict", "rows": rows, "clean_records_per_s": conflict.compare(rows)}

    (figure,) = [figure for figure in figures([run_result]) if "clean" in figure.name]

    assert (figure.value, figure.reached, figure.note) == (0.926, True, "88 beside 95 records/s")


def test_what_a_peer_lost_stands_in_its_row() -> None:
    row = {
        "records_per_s": 5.0,
        "cpu_us_per_record": 2.0,
        "peak_rss_mb": 9.0,
        "duplicated": 0,
        "ended": ".",
    }
    rows = [row | {"name": name, "missing": missing} for name, missing in (("a", 7), ("b", None))]
    result = {"kind": "compare", "rows": rows, "left_out": {}, "machine": MACHINE_OF_A_RUN, "versions": {}}

    table = [line.split(" | ") for line in everything([result]).splitlines() if line.count("|") == 9]

    place = table[0].index("lost")
    assert [cells[place] for cells in table if cells[0] in {"| a", "| b"}] == ["7", "-"]
