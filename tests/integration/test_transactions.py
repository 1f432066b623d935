"""Transactions: their markers and aborted records have offsets, and are no records."""

from collections.abc import Callable, Iterable

import pytest
from confluent_kafka import Producer

from tests.support.chain import Chain, record

pytestmark = pytest.mark.integration

REQUEST_S = 30.0


class Transactions:
    """A producer whose records are committed or aborted together."""

    def __init__(self, chain: Chain) -> None:
        self._topic = chain.name
        self._producer = Producer(
            {"bootstrap.servers": chain.lab.bootstrap_servers, "transactional.id": chain.name}
        )
        self._producer.init_transactions(REQUEST_S)

    def run(self, numbers: Iterable[int], *, commit: bool) -> None:
        """One transaction, with a record for each number."""
        self._producer.begin_transaction()
        for number in numbers:
            self._producer.produce(self._topic, record(number), partition=0)
        assert self._producer.flush(REQUEST_S) == 0
        if commit:
            self._producer.commit_transaction(REQUEST_S)
        else:
            self._producer.abort_transaction(REQUEST_S)


def lags(chain: Chain) -> list[int | None]:
    return [account["lag"] for state in chain.pool.states() for account in state["partitions"].values()]


@pytest.mark.parametrize("last_is_aborted", [False, True])
def test_the_lag_is_zero_after_the_last_transaction(
    chain: Callable[..., Chain], last_is_aborted: bool
) -> None:
    pipeline = chain(workers=1)
    pipeline.pool.start()
    transactions = Transactions(pipeline)
    transactions.run(range(5), commit=True)
    transactions.run(range(5, 8), commit=False)
    transactions.run(range(8, 12), commit=last_is_aborted)
    transactions.run(range(12, 14), commit=not last_is_aborted)
    pipeline.drain()
    pipeline.pool.until(lambda: lags(pipeline) == [0, 0, 0], REQUEST_S, "a lag of 0")

    expected = {*range(5), *(range(8, 12) if last_is_aborted else range(12, 14))}
    assert sorted(pipeline.sequences()) == sorted(expected)


def test_a_partition_of_markers_alone_has_no_lag(chain: Callable[..., Chain]) -> None:
    pipeline = chain(workers=1)
    transactions = Transactions(pipeline)
    transactions.run(range(3), commit=False)
    pipeline.pool.start()

    pipeline.drain()

    assert pipeline.sequences() == []


def test_a_restart_after_retention_has_taken_the_markers_goes_on(chain: Callable[..., Chain]) -> None:
    pipeline = chain(workers=1)
    pipeline.pool.start()
    transactions = Transactions(pipeline)
    transactions.run(range(5), commit=True)
    transactions.run(range(5, 8), commit=False)
    pipeline.drain()
    pipeline.pool.stop()
    pipeline.lab.topics.delete_records(pipeline.name, pipeline.lab.topics.log_ends(pipeline.name))
    pipeline.pool.start()
    transactions.run(range(8, 12), commit=True)
    pipeline.drain()

    assert sorted(pipeline.sequences()) == [*range(5), *range(8, 12)]
    assert all(state["stopped"] == {} for state in pipeline.pool.states())


def test_an_open_transaction_is_waited_for_and_no_commit_passes_it(chain: Callable[..., Chain]) -> None:
    """Records behind an open transaction are not readable yet, whoever sent them."""
    pipeline = chain(workers=1)
    pipeline.pool.start()
    open_transaction = Producer(
        {"bootstrap.servers": pipeline.lab.bootstrap_servers, "transactional.id": f"{pipeline.name}-open"}
    )
    open_transaction.init_transactions(REQUEST_S)
    pipeline.produce([record(0), record(1)], partition=0)
    open_transaction.begin_transaction()
    open_transaction.produce(pipeline.name, record(2), partition=0)
    assert open_transaction.flush(REQUEST_S) == 0
    pipeline.produce([record(3)], partition=0)
    topics = pipeline.lab.topics
    pipeline.pool.until(
        lambda: topics.committed(pipeline.name, pipeline.name)[0] == 2, REQUEST_S, "two records committed"
    )
    before = sorted(pipeline.sequences())
    open_transaction.commit_transaction(REQUEST_S)
    pipeline.drain()

    assert before == [0, 1]
    assert sorted(pipeline.sequences()) == [0, 1, 2, 3]
