"""C9 sees a status that hides something, and one that says something without a cause."""

from tests.faults.harness.honesty import INTERVAL_S, Look, honest

#: Looks of a run of a minute.
COUNT = 30


def run(**more: object) -> list[Look]:
    """Looks at a pool that commits 100 records between each two; `more` gives values from the tenth on."""
    looks = []
    for place in range(COUNT):
        values: dict[str, object] = {
            "at": place * INTERVAL_S,
            "committed": place * 100,
            "lag": 50,
            "dead": 0,
        }
        for name, value in more.items():
            if place >= 10:
                values[name] = value(place) if callable(value) else value
        looks.append(Look(**values))  # type: ignore[arg-type]
    return looks


def test_a_pool_that_is_well_and_says_nothing_is_honest() -> None:
    assert honest(run()).ok


def test_a_pool_that_stands_and_says_nothing_is_not() -> None:
    verdict = honest(run(committed=1_000))

    assert not verdict.ok
    assert "nothing committed for" in verdict.evidence


def test_a_pool_that_stands_and_says_so_is_honest() -> None:
    assert honest(run(committed=1_000, errors=("InfluxDB: 503",))).ok


def test_a_pool_that_says_so_too_late_is_not() -> None:
    def late(place: int) -> tuple[str, ...]:
        return ("InfluxDB: 503",) if place > 20 else ()

    assert not honest(run(committed=1_000, errors=late)).ok


def test_nothing_to_do_is_no_standing_still() -> None:
    assert honest(run(committed=1_000, lag=0)).ok


def test_dead_letters_that_nobody_speaks_of_are_seen() -> None:
    def growing(place: int) -> int:
        return place

    assert not honest(run(dead=growing)).ok
    assert not honest(run(dead=growing, warnings=("values left out",))).ok
    assert honest(run(dead=growing, warnings=("3 of 9 records became dead letters",))).ok
    assert honest(run(dead=growing, errors=("3 of 9 records became dead letters",))).ok


def test_an_error_without_a_cause_is_seen() -> None:
    assert not honest(run(errors=("worker 0 is stopped",))).ok
    assert honest(run(errors=("worker 0 is stopped",), cause="worker 0 was stopped")).ok
    assert not honest(run(errors=("3 records became dead letters",))).ok


def test_too_few_looks_show_nothing() -> None:
    assert not honest(run()[:3]).ok
