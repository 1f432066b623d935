"""New names for the fields of a record, by TOWER_RENAME."""

from collections.abc import Collection, Iterable
from typing import Any


class Rename:
    """Gives the fields of a record their new names.

    A field takes its new name unless the record has a field of that name itself, or another field that
    stands earlier in the map takes it. A field that does not take its new name keeps its own, so no field
    is lost and no two fields get one name. A new name is not renamed again.

    Args:
        pairs: A field's name as it is sent, and its new name.
        tags_and_times: Names that are looked for in a record, all of them new names.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], tags_and_times: Collection[str] = ()) -> None:
        self._new = dict(pairs)
        self._sent = frozenset(self._new)
        first = {new: name for name, new in reversed(self._new.items())}
        # In a map like a:b,b:c a record of both fields has no new name twice, and still `a` keeps its name.
        self._chained = not self._sent.isdisjoint(first)
        #: A record without any of these has no two fields for one name, and no tag or time to rename.
        self._contested = frozenset(first).union(
            name for name, new in self._new.items() if first[new] != name or new in tags_and_times
        )

    def can_wait(self, values: dict[Any, Any]) -> bool:
        """Return whether each field can get its `new_name` when it is written, without `apply`."""
        return self._contested.isdisjoint(values) or self._sent.isdisjoint(values)

    def new_name(self, name: str) -> str:
        """Return the new name of a field that can take it, its own if it has no other."""
        return self._new.get(name, name)

    def apply(self, values: dict[Any, Any]) -> dict[Any, Any]:
        """Return a new dict of the same values in the same order, under the names they take."""
        new = self._new
        renamed = {new.get(name, name): value for name, value in values.items()}
        if len(renamed) == len(values) and not self._chained:
            return renamed
        sent: dict[str, str] = {}
        for name, new_name in new.items():
            if name in values and new_name not in values:
                sent.setdefault(new_name, name)
        names = {name: new_name for new_name, name in sent.items()}
        return {names.get(name, name): value for name, value in values.items()}


def groups(pairs: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return a number for each name in pairs of old and new names; names that pairs connect share it.

    A record with at most one field of each group has no conflict: each field takes its new name.
    """
    groups: dict[str, set[str]] = {}
    for name, new in pairs:
        group = groups.get(name, {name}) | groups.get(new, {new})
        groups |= dict.fromkeys(group, group)
    numbers: dict[int, int] = {}
    return {name: numbers.setdefault(id(group), len(numbers)) for name, group in groups.items()}
