"""The lists of small bugs fit the code as it is."""

from dataclasses import replace

from tests.mutants.mutant import LISTS, load


def test_each_bug_of_the_lists_can_be_put_in() -> None:
    mutants = list(load(LISTS))

    assert len(mutants) > 100
    assert {mutant.name: problem for mutant in mutants if (problem := mutant.problem())} == {}


def test_a_bug_whose_place_has_changed_is_reported() -> None:
    mutant = next(load(LISTS))

    assert replace(mutant, old=mutant.old + " as it was once").problem()
