"""The partitions of the topic: who owns each, its counters, and its offsets in Kafka."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.commands.clients.group_offsets import GroupOffsets
from workers.commands.clients.worker_states import WorkerReport
from workers.types import PartitionKey, sort_key

#: Counters of a partition, by their names in the state files.
COUNTERS = ("consumed", "written", "dead_lettered", "uncommitted")


@dataclass(frozen=True)
class PartitionRow:
    """One partition: its counters since its workers started, and its offsets in Kafka.

    Args:
        partition: Its number, or topic and number if there are several topics.
        owner: `worker 0`, or the group's member if that is on another machine.
        committed: The group's committed offset, None before the first commit.
        end: Offset that the next record will get, None if Kafka does not answer.
        lag: Records between the two.
        uncommitted: Records in hand, and records that a worker dropped and the group has not committed yet.
        state: State of its owner, or why it is not read.
        age_s: Seconds since its owner's last heartbeat.
    """

    partition: PartitionKey
    owner: str | None
    consumed: int
    written: int
    dead_lettered: int
    uncommitted: int
    committed: int | None
    end: int | None
    lag: int | None
    state: str
    age_s: float | None


def partition_rows(workers: Sequence[WorkerReport], offsets: GroupOffsets) -> list[PartitionRow]:
    """Build one row for each partition that Kafka has or a worker has had."""
    # Both by partition, from one pass over the workers: 48 of them for each of 48 partitions would be slow.
    owners: dict[PartitionKey, WorkerReport] = {}
    accounts: dict[PartitionKey, list[Mapping[str, Any]]] = defaultdict(list)
    for worker in workers:
        for number in worker.owned if worker.is_running else ():
            owners.setdefault(number, worker)
        for number, account in worker.accounts.items():
            accounts[number].append(account)
    return [
        _row(number, owners.get(number), accounts[number], offsets)
        for number in sorted(offsets.ends.keys() | accounts.keys(), key=sort_key)
    ]


def _row(
    number: PartitionKey,
    owner: WorkerReport | None,
    accounts: Sequence[Mapping[str, Any]],
    offsets: GroupOffsets,
) -> PartitionRow:
    member = offsets.owners.get(number)
    committed, end = offsets.committed.get(number), offsets.ends.get(number)
    lag = None
    if end is not None:
        lag = max(0, end - (offsets.starts.get(number, 0) if committed is None else committed))
    if owner is not None:
        state = owner.stopped.get(number, owner.state)
    else:
        state = "on another machine" if member else "no owner"
    counters = {name: sum(int(account.get(name) or 0) for account in accounts) for name in COUNTERS}
    # Records that a worker dropped at a handover are read again and counted again. Once the group has
    # committed past them, they are counted with the worker that stored them, and only there.
    settled = sum(_settled(account, committed) for account in accounts)
    counters["consumed"] -= settled
    counters["uncommitted"] -= settled
    return PartitionRow(
        partition=number,
        owner=f"worker {owner.number}" if owner else member,
        **counters,
        committed=committed,
        end=end,
        lag=lag,
        state=state,
        age_s=None if owner is None else round(owner.age_s, 1),
    )


def _settled(account: Mapping[str, Any], committed: int | None) -> int:
    """Return the records that a worker dropped and the group has committed past."""
    dropped_to = account.get("dropped_to")
    if committed is None or dropped_to is None or committed < int(dropped_to):
        return 0
    return int(account.get("dropped", 0))
