"""What the page shows besides the lab's dashboard."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from workers import __version__
from workers.commands.serve.dead_letter_examples import Example
from workers.commands.serve.history import NEWEST, History
from workers.commands.serve.observation import Observation
from workers.commands.status import as_object
from workers.config.settings import Settings


def page_content(
    settings: Settings, observation: Observation, history: History, examples: Mapping[str, Example]
) -> dict[str, Any]:
    """Build the content of the page.

    Args:
        settings: The pool's settings.
        observation: The pool as it is now.
        history: The last minutes of each partition.
        examples: The newest dead letter of each reason.
    """
    points = [point for worker in observation.running if (point := worker.content.get("last_point"))]
    return {
        "version": __version__,
        "at": observation.at,
        "expected_workers": observation.facts.expected_workers,
        "status": as_object(settings, observation.workers, observation.facts, observation.troubles),
        "lag_seconds": {row.partition: observation.lag_seconds(row) for row in observation.rows},
        "newest_point": max(points, default=None),
        "history": history.content(NEWEST),
        "dead_letters": _dead_letters(observation, examples),
    }


def _dead_letters(observation: Observation, examples: Mapping[str, Example]) -> list[dict[str, Any]]:
    counts: Counter[str] = Counter()
    for worker in observation.workers:
        counts.update(worker.content.get("dead_letter_reasons", {}))
    return [
        {
            "reason": reason,
            "count": counts[reason],
            "example": asdict(examples[reason]) if reason in examples else None,
        }
        for reason in sorted({*counts, *examples}, key=lambda reason: (-counts[reason], reason))
    ]
