"""New names for the fields of a record, by TOWER_RENAME."""

from collections.abc import Iterable
from typing import Any


class Rename:
    """Gives the fields of a record their new names.

    A field takes its new name unless the record has a field of that name itself, or another field that
    stands earlier in the map takes it. A field that does not take its new name keeps its own, so no field
    is lost and no two fields get one name. A new name is not renamed again.

    Args:
        pairs: A field's name as it is sent, and its new name.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._new = dict(pairs)
        # In a map like a:b,b:c a record of both fields has no new name twice, and still `a` keeps its name.
        self._chained = not self._new.keys().isdisjoint(self._new.values())

    def apply(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """A new dict of the same values in the same order, under their new names."""
        new = self._new
        if new.keys().isdisjoint(values):
            return values.copy()
        renamed = {new.get(name, name): value for name, value in values.items()}
        if len(renamed) == len(values) and not self._chained:
            return renamed
        return self._apply_one_by_one(values)

    def _apply_one_by_one(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """What `apply` does, for a record in which a new name is not free."""
        sources: dict[str, str] = {}
        for name, new in self._new.items():
            if name in values and new not in values:
                sources.setdefault(new, name)
        names = {name: new for new, name in sources.items()}
        return {names.get(name, name): value for name, value in values.items()}

    def groups(self) -> dict[str, int]:
        """Every name of the map, with a number shared by all names that a rename connects.

        A record with at most one field of each group has no conflict: each field takes its new name.
        """
        groups: dict[str, set[str]] = {}
        for name, new in self._new.items():
            group = groups.get(name, {name}) | groups.get(new, {new})
            groups |= dict.fromkeys(group, group)
        numbers: dict[int, int] = {}
        return {name: numbers.setdefault(id(group), len(numbers)) for name, group in groups.items()}
