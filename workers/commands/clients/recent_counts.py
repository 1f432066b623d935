"""What a worker counted in the last minutes, as its state file says it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.records.record_time import PROBLEMS


@dataclass(frozen=True)
class RecentCounts:
    """Counts of the last minutes.

    Args:
        seconds: The time they cover: less than the whole window if the worker started in it.
        records: Records that became points or dead letters.
        dead_letters: Dead letters that Kafka has confirmed, by reason.
        values_omitted: Values that were no number and no text.
        times: Records by what was wrong with their times.
        renewals: Kafka clients that were replaced.
        fenced: Those of them that another client with the same name pushed out of the group.
        names_doubled: Values whose name an earlier value of their record has.
        commit_failures: Commits that failed. They are repeated.
    """

    seconds: float = 0.0
    records: int = 0
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    values_omitted: int = 0
    times: Mapping[str, int] = field(default_factory=dict)
    renewals: int = 0
    fenced: int = 0
    names_doubled: int = 0
    commit_failures: int = 0

    @property
    def dead_share(self) -> float:
        """Dead letters among the records, from 0 to 1."""
        dead = sum(self.dead_letters.values())
        return dead / max(dead, self.records) if dead else 0.0

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> "RecentCounts":
        """Parse the `recent` entry of a state file; what is missing there is 0."""
        return cls(
            seconds=float(content.get("seconds", 0)),
            records=int(content.get("records", 0)),
            dead_letters={str(name): int(count) for name, count in content.get("dead_letters", {}).items()},
            values_omitted=int(content.get("values_omitted", 0)),
            names_doubled=int(content.get("names_doubled", 0)),
            times={name: int(content[name]) for name in PROBLEMS if content.get(name)},
            renewals=int(content.get("renewals", 0)),
            commit_failures=int(content.get("commit_failures", 0)),
            fenced=int(content.get("fenced", 0)),
        )


def add(counts: Iterable[RecentCounts]) -> RecentCounts:
    """Add the counts of several workers; `seconds` is the longest of theirs."""
    items = list(counts)
    dead_letters: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for item in items:
        dead_letters.update(item.dead_letters)
        times.update(item.times)
    return RecentCounts(
        seconds=max((item.seconds for item in items), default=0.0),
        records=sum(item.records for item in items),
        dead_letters=dict(dead_letters),
        values_omitted=sum(item.values_omitted for item in items),
        names_doubled=sum(item.names_doubled for item in items),
        times=dict(times),
        renewals=sum(item.renewals for item in items),
        commit_failures=sum(item.commit_failures for item in items),
        fenced=sum(item.fenced for item in items),
    )
