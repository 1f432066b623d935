"""When the demo begins to feed."""

import pytest

from lab.demo import is_shared_out


@pytest.mark.parametrize(
    ("owned", "shared_out"),
    [
        pytest.param([], False, id="nobody"),
        pytest.param([3], False, id="the first worker has all, the others have not joined"),
        pytest.param([2, 1, 0], True, id="a worker without a partition"),
        pytest.param([1, 1, 0], False, id="a partition without a worker"),
        pytest.param([1, 1, 1], True, id="one each"),
    ],
)
def test_the_demo_waits_for_every_worker_and_every_partition(owned: list[int], shared_out: bool) -> None:
    members = {f"worker-{number}": [("resource", 0)] * count for number, count in enumerate(owned)}

    assert is_shared_out(members, workers=3, partitions=3) is shared_out
