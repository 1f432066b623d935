"""Why a partition that is owned is not read."""

import logging
from typing import NamedTuple

from workers.types import Partition

#: Beginning of the text for a partition that has no room in the times of points. `status` knows it by this.
BEYOND_LIMIT = "TOWER_IDENTITY_PARTITIONS is "


class StopReason(NamedTuple):
    """Why one partition is stopped; the others are read.

    Attributes:
        text: The reason, for the state file.
        remedy: What an operator can do.
    """

    text: str
    remedy: str


def offset_gone(partition: Partition, position: int | None, why: str, option: str) -> StopReason:
    """Return the reason if the next offset does not exist any more: a jump would lose records.

    Args:
        partition: The partition.
        position: Offset of the next message, None for the first one.
        why: What happened to it.
        option: The option of `tower replay` that names the topic; empty if there is one topic.
    """
    offset = "the first offset" if position is None else f"offset {position}"
    return StopReason(
        f"{offset} no longer exists in Kafka ({why})",
        "Records may have been deleted before they were stored. Stop the pool, choose where to continue "
        f"with `tower replay {option}--partition {partition.number} --from earliest`, and start the pool "
        "again",
    )


def beyond_limit(partition: Partition, limit: int) -> StopReason:
    """Return the reason if points of the partition could overwrite those of another one."""
    return StopReason(
        f"{BEYOND_LIMIT}{limit} and this is partition {partition.number}: points of two partitions could "
        "overwrite each other",
        "Set it above the highest partition's number and restart the pool. The other partitions are read",
    )


def log(logger: logging.Logger, partition: Partition, reason: StopReason) -> None:
    """Log that a partition is stopped."""
    logger.error(
        "%s is stopped: %s. %s",
        partition,
        reason.text,
        reason.remedy,
        extra={"reason": "stopped", "topic": partition.topic, "partition": partition.number},
    )
