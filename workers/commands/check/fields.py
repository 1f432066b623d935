"""Checks of the newest records' fields: do they fill those that the dashboard asks for."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from workers.commands.check.converted_record import Record
from workers.commands.check.newest_records import Sample, of_newest
from workers.commands.check.result import Finding, ok, warn
from workers.commands.console import listed, name_shown
from workers.config.settings import Settings

#: InfluxDB's types in the words of whoever sends the records.
WORDS = {"float": "number", "string": "text", "boolean": "true or false"}

#: How alike two names must be (1: equal) to be taken for the same field.
ALIKE = 0.5


def judge(sample: Sample, settings: Settings) -> Iterator[Finding]:
    """Whether the records fill the number fields, which are what the dashboard asks for.

    Args:
        sample: The newest records.
        settings: The number fields.
    """
    if not sample.points:
        return
    if settings.number_fields:
        yield filled(sample.points, settings.number_fields)
    yield from left_out(sample.points)


def filled(points: list[Record], wanted: tuple[str, ...]) -> Finding:
    """Which of the wanted fields the points have.

    Args:
        points: The newest first.
        wanted: Names of the fields that the dashboard asks for.
    """
    check, count = "record fields", len(points)
    strange = [record for record in points if record.types.keys().isdisjoint(wanted)]
    if strange:
        others = f"; the other {count - len(strange)} do" if len(strange) < count else ""
        return warn(
            check,
            f"{of_newest(strange, points)} fill no field that the dashboard asks for "
            f"({listed(wanted)}){others}. They have {described(strange)}; the last of them is "
            f"{strange[0].place}",
            mapping(strange, wanted),
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
        f"{text}. They have fields that no option names: {described(unknown, set(wanted))}",
        mapping(unknown, wanted, empty),
    )


def described(points: list[Record], besides: Iterable[str] = ()) -> str:
    """The fields of some points with their types, the most frequent first."""
    counts = Counter(
        (name, WORDS[type_])
        for record in points
        for name, type_ in record.types.items()
        if name not in besides
    )
    return listed(f"{name_shown(name)} ({type_})" for (name, type_), _ in counts.most_common())


def mapping(points: list[Record], wanted: tuple[str, ...], empty: Sequence[str] = ()) -> str:
    """How fields that are named differently get to the dashboard."""
    pairs = [(name, new) for name in points[0].types if name not in wanted for new in empty or wanted]
    alike = [SequenceMatcher(None, name.lower(), new.lower()).ratio() for name, new in pairs]
    # Names that have little in common are an example of the form, no advice: then the first ones serve.
    name, new = pairs[alike.index(max(alike))] if max(alike) > ALIKE else pairs[0]
    return (
        f"if a field only has another name, map it: TOWER_RENAME={name_shown(name)}:{new},… (this replaces "
        "the default map); if your dashboard asks for other fields, name those in TOWER_NUMBER_FIELDS"
    )


def left_out(points: list[Record]) -> Iterator[Finding]:
    """The fields whose values are left out as a rule: a point has no field without a value."""
    sent = Counter(name for record in points for name in [*record.types, *record.left_out])
    missing = Counter(name for record in points for name in record.left_out)
    rule = [name for name, count in missing.most_common() if count > sent[name] / 2]
    if not rule:
        return
    counts = listed(f"{name_shown(name)} in {missing[name]} of {sent[name]} records" for name in rule)
    last = next(record for record in points if not record.left_out.isdisjoint(rule))
    yield warn(
        "values left out",
        f"{counts}: the value is null, or no number in a field of TOWER_NUMBER_FIELDS; the last of these "
        f"records is {last.place}",
        "correct the sender (on the Pi: the OID that its snmpget asks for); if the field holds text, take "
        "it out of TOWER_NUMBER_FIELDS",
    )
