"""Checks that the newest records have the fields that the dashboard asks for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from workers.commands.check.converted_record import Record
from workers.commands.check.newest_records import Sample, of_newest
from workers.commands.check.result import CheckResult, ok, warn
from workers.commands.console import listed, name_shown
from workers.config.settings import Settings

#: InfluxDB's types in the words of the records' senders.
TYPE_WORDS = {"float": "number", "string": "text", "boolean": "true or false"}

#: Least similarity (1: equal) of two names that probably mean the same field.
SIMILAR = 0.5


def check_fields(sample: Sample, settings: Settings) -> Iterator[CheckResult]:
    """Check that the records have the number fields, which the dashboard asks for.

    Args:
        sample: The newest records.
        settings: The number fields.
    """
    if not sample.points:
        return
    if settings.route.number_fields:
        yield filled(sample.points, settings.route.number_fields)
    yield from omitted_values(sample.points)


def filled(points: list[Record], wanted: tuple[str, ...]) -> CheckResult:
    """Check which of the wanted fields the points have.

    Args:
        points: The newest first.
        wanted: Names of the fields that the dashboard asks for.
    """
    check, count = "record fields", len(points)
    unshown = [record for record in points if record.types.keys().isdisjoint(wanted)]
    if unshown:
        others = f"; the other {count - len(unshown)} do" if len(unshown) < count else ""
        return warn(
            check,
            f"{of_newest(unshown, points)} fill no field that the dashboard asks for "
            f"({listed(wanted)}){others}. They have {described(unshown)}; the last of them is "
            f"{unshown[0].place}",
            rename_advice(unshown, wanted),
        )
    names = {name for record in points for name in record.types}
    empty = [name for name in wanted if name not in names]
    text = f"the newest {count} records fill {listed(name for name in wanted if name in names)}"
    if not empty:
        return ok(check, text)
    text += f", and never {listed(empty)}"
    unknown = [record for record in points if record.types.keys() - set(wanted)]
    if not unknown:
        return ok(check, text)
    return warn(
        check,
        f"{text}. They have fields that no setting names: {described(unknown, set(wanted))}",
        rename_advice(unknown, wanted, empty),
    )


def described(points: list[Record], besides: Iterable[str] = ()) -> str:
    """List the fields of some points with their types, the most frequent first."""
    counts = Counter(
        (name, TYPE_WORDS[type_])
        for record in points
        for name, type_ in record.types.items()
        if name not in besides
    )
    return listed(f"{name_shown(name)} ({type_})" for (name, type_), _ in counts.most_common())


def rename_advice(points: list[Record], wanted: tuple[str, ...], empty: Sequence[str] = ()) -> str:
    """Advise how fields with other names get to the dashboard."""
    pairs = [(name, new) for name in points[0].types if name not in wanted for new in empty or wanted]
    similarities = [SequenceMatcher(None, name.lower(), new.lower()).ratio() for name, new in pairs]
    # If no names are similar, the first pair serves as an example of the setting's form.
    best = max(similarities)
    name, new = pairs[similarities.index(best)] if best > SIMILAR else pairs[0]
    return (
        f"if a field only has another name, rename it: TOWER_RENAME={name_shown(name)}:{new},… (this "
        "replaces the default map); if your dashboard asks for other fields, name them in "
        "TOWER_NUMBER_FIELDS"
    )


def omitted_values(points: list[Record]) -> Iterator[CheckResult]:
    """Warn about fields whose values are usually left out, because they are not valid."""
    sent = Counter(name for record in points for name in [*record.types, *record.omitted])
    missing = Counter(name for record in points for name in record.omitted)
    usual = [name for name, count in missing.most_common() if count > sent[name] / 2]
    if not usual:
        return
    counts = listed(f"{name_shown(name)} in {missing[name]} of {sent[name]} records" for name in usual)
    last = next(record for record in points if not record.omitted.isdisjoint(usual))
    yield warn(
        "values left out",
        f"{counts}: the value is null, or no number in a field of TOWER_NUMBER_FIELDS; the last of these "
        f"records is {last.place}",
        "correct the sender (on the Pi: the OID that its snmpget asks for); if the field holds text, "
        "remove it from TOWER_NUMBER_FIELDS",
    )
