"""One thing that is wrong with the pool."""

from dataclasses import dataclass
from enum import StrEnum

from workers.types import PartitionKey


class Severity(StrEnum):
    """How serious a trouble is."""

    #: Records do not become points, or more of them become dead letters than is allowed.
    ERROR = "error"
    #: Records become points, but not all of them, not fully, or not for long.
    WARNING = "warning"


@dataclass(frozen=True)
class Trouble:
    """One thing that is wrong.

    Args:
        cause: What is wrong, without a full stop at its end.
        remedy: What to do about it, without a full stop at its end.
        severity: How serious it is.
        worker: Number of the worker it is about; None if it is about the pool or a partition.
        partition: The partition it is about; None if it is about none or several.
    """

    cause: str
    remedy: str
    severity: Severity = Severity.ERROR
    worker: int | None = None
    partition: PartitionKey | None = None

    def __str__(self) -> str:
        return f"{self.cause}\n  -> {self.remedy}"
