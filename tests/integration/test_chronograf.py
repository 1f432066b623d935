"""Each cell of the dashboard has an answer in a bucket that saw the lab's own record and no other."""

import time
from collections import defaultdict
from collections.abc import Callable
from statistics import fmean

import pytest

from lab.senders.formats import Format, encode
from tests.support import chronograf
from tests.support.chain import Chain

pytestmark = pytest.mark.integration

#: Seconds of samples, the last one taken a moment ago. Chronograf shows the past 15 minutes at first.
SAMPLES_S = 120
SHOWN_MIN = 15

#: Bytes sent and received in a second, so that the two lines of traffic are known.
SENT, RECEIVED = 1_000, 2_500

#: What the cells show of these samples, by the names of their lines.
SHOWN = {
    "memory": 16_479_928 * 1024.0,
    "CPU_Usage": 3.8,
    "tx": SENT,
    "rx": RECEIVED,
    "disk": 7,
    "tx_dropped": 0,
    "rx_dropped": 1,
    "txError": 0,
    "rxError": 0,
}


def sample(number: int, at: float, device: str | None) -> bytes:
    """The record of the lab's Pi, which has no device, or of one of several."""
    record = {
        "tx_bytes": number * SENT,
        "rx_bytes": number * RECEIVED,
        "tx_drops": 0,
        "rx_drops": 1,
        "tx_errors": 0,
        "rx_errors": 0,
        "cpu_load": "3.80",
        "free_ram": 16_479_928,
        "disk_util": 7,
    }
    return encode(record | ({"deviceId": device} if device else {}), Format.JSON, at)


def lines(chain: Chain, query: str) -> dict[tuple[str, str], list[float]]:
    """What one cell draws, asked as user `tower`: the values of each line, by device and name."""
    # The chain's bucket and mapping stand for the lab's.
    query = chronograf.rendered(query, SHOWN_MIN).replace('"Labs"', f'"{chain.name}"')
    drawn: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in chain.lab.query_rows(query, chain.name):
        device = row.pop("deviceId")
        for name in row.keys() - {"time", "_series"}:
            if row[name] is not None:
                drawn[device, name].append(row[name])
    return drawn


@pytest.mark.parametrize(
    "devices",
    [
        pytest.param((None,), id="the lab's one Pi, which has no deviceId"),
        pytest.param(("pi-1", "pi-2", "pi-3"), id="three devices"),
    ],
)
def test_each_cell_draws_a_line_for_each_device(
    chain: Callable[..., Chain], devices: tuple[str | None, ...]
) -> None:
    pool = chain()
    begin = time.time() - SAMPLES_S
    pool.produce(
        sample(second, begin + second, device) for second in range(SAMPLES_S) for device in devices
    )
    pool.pool.start()
    pool.drain()

    seen: dict[tuple[str, str], list[float]] = {}
    for cell in chronograf.lab_cells():
        for query in chronograf.queries(cell):
            drawn = lines(pool, query)
            assert {device for device, _ in drawn} == {device or "" for device in devices}, cell["name"]
            seen |= drawn

    assert seen.keys() == {(device or "", name) for device in devices for name in SHOWN}
    for (device, name), values in seen.items():
        assert len(values) > 10, (device, name)
        # A window of 2.5 s holds two samples or three: the rates differ, and their mean does not.
        assert fmean(values) == pytest.approx(SHOWN[name], rel=0.05 if name in {"tx", "rx"} else 1e-9)


def test_a_field_under_another_name_leaves_its_cell_empty(chain: Callable[..., Chain]) -> None:
    """So that the test above would see it: the rename that the lab's record needs is switched off."""
    pool = chain(environment={"TOWER_RENAME": ""})
    pool.produce([sample(0, time.time(), None)])
    pool.pool.start()
    pool.drain()
    (memory, *_) = chronograf.lab_cells()

    assert pool.rows('"free_ram"') != []
    assert lines(pool, chronograf.queries(memory)[0]) == {}
