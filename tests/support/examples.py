"""How many examples a property is tried with: a quarter in `make check`, and all of them in `make test`.

A test without examples that takes records or bytes in their place has the mark `sized`.
"""

from hypothesis import settings

#: Hypothesis's profiles, with the examples of a property that asks for no number. None has a deadline: how
#: long an example takes says more about the machine than about the code.
PROFILES = {
    "quick": settings(max_examples=25, deadline=None),
    "thorough": settings(max_examples=100, deadline=None),
}


def load_profiles() -> None:
    """Register the profiles and load the quick one; `--hypothesis-profile=thorough` replaces it."""
    for name, profile in PROFILES.items():
        settings.register_profile(name, profile)
    settings.load_profile("quick")


def examples(thorough: int) -> int:
    """Return how many examples, records or bytes to try, given how many the thorough profile tries."""
    return max(1, thorough * settings().max_examples // PROFILES["thorough"].max_examples)
