"""Counts of the last minutes are exact to one sample and stay small."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.fakes import FakeClock
from workers.count_window import SAMPLES, CountWindow

SPAN_S = 100.0


@given(st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 5)), min_size=1, max_size=80))
def test_a_window_holds_what_came_in_its_time_and_not_much_more(steps: list[tuple[float, int]]) -> None:
    clock = FakeClock()
    window, total = CountWindow(SPAN_S, clock), 0
    events: list[tuple[float, int]] = []
    for seconds, count in steps:
        clock.now += seconds
        total += count
        events.append((clock.now, count))
        length, counts = window.recent({"records": total})

    began = clock.now - length
    assert counts.get("records", 0) == sum(count for at, count in events if at > began)
    # It is never shorter than asked, unless the worker is younger; and longer by a sample at most.
    assert length >= min(SPAN_S, clock.now - 1_000.0) - 1e-6
    assert length <= SPAN_S + SPAN_S / SAMPLES + 30


def test_a_window_forgets() -> None:
    clock = FakeClock()
    window = CountWindow(SPAN_S, clock)
    window.recent({"dead": 7})
    for _ in range(200):
        clock.now += 1
        _, counts = window.recent({"dead": 7})

    assert counts == {}
