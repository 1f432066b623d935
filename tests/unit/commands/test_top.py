"""`top`: the order of the partitions, the keys, and a terminal that is left as it was."""

import os
import pty
import termios
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.support.observed import observation, reading, state
from workers.commands.serve.history import History
from workers.commands.serve.observation import Observation
from workers.commands.top.keyboard import Keyboard
from workers.commands.top.view import COLUMNS, Order, bars, lines, render


def seen(tmp_path: Path, **more: Any) -> Observation:
    """Three partitions, of which the second lags most."""
    return observation(tmp_path, state(0), state(1, **more), state(2), kafka=reading({0: 5, 1: 90}))


def shown(pool: Observation, order: Order) -> str:
    """The view as text."""
    console = Console(width=160, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(render("topic resource", pool, History(lambda: pool).content(), order))
        return console.export_text()


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        (Order(), [0, 1, 2]),
        (Order("lag", descending=True), [1, 0, 2]),
        (Order("lag"), [2, 0, 1]),
    ],
)
def test_partitions_are_sorted_by_the_column_that_was_chosen(
    tmp_path: Path, order: Order, numbers: list[int]
) -> None:
    pool = seen(tmp_path)

    assert [line.row.partition for line in lines(pool, History(lambda: pool).content(), order)] == numbers


def test_s_goes_through_all_columns_and_comes_back() -> None:
    order, visited = Order(), []
    for _ in COLUMNS:
        visited.append(order.column)
        order = order.after("s")

    assert visited == list(COLUMNS)
    assert order.column == "partition"


def test_keys_reverse_and_pause_and_others_do_nothing() -> None:
    assert Order().after("r").descending
    assert Order().after("p").paused
    assert Order().after("p").after(" ") == Order()
    assert Order().after("x") == Order()
    assert Order().after("") == Order()


def test_the_view_has_figures_and_troubles_with_their_remedy(tmp_path: Path) -> None:
    text = shown(seen(tmp_path, stopped={"1": "offset 5 no longer exists"}), Order(paused=True))

    assert "worker 1" in text
    assert "partition 1 is not read: offset 5 no longer exists" in text
    assert "tower replay --partition 1" in text
    assert "paused" in text


def test_texts_of_others_are_shown_as_they_are(tmp_path: Path) -> None:
    pool = observation(
        tmp_path, state(0), state(1, state="waiting", why="[bold]\x1b[2J InfluxDB"), state(2)
    )

    text = shown(pool, Order())

    assert "[bold].[2J InfluxDB" in text
    assert "\x1b" not in text


def test_bars_are_as_high_as_the_values_and_unknown_ones_are_dots() -> None:
    assert bars([0, 4, 8, None]).strip(" ") == "▄█·"
    assert bars([]).strip() == ""


def test_a_key_is_read_without_enter_and_the_terminal_is_left_as_it_was() -> None:
    control, terminal = pty.openpty()
    try:
        before = termios.tcgetattr(terminal)
        with Keyboard(terminal) as keyboard:
            os.write(control, b"s")

            assert keyboard.key(5.0) == "s"
            assert keyboard.key(0.0) == ""
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(control)
        os.close(terminal)
