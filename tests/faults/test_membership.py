"""The worker's place in the group while InfluxDB is away and its partitions are paused."""

import pytest

from tests.faults.harness.rig import Rig


@pytest.mark.faults(6)
def test_a_partition_lost_during_an_outage_is_read_again_after_it(rig: Rig) -> None:
    """InfluxDB is away, the partitions are paused, and the coordinator is silent until sessions end.

    Kafka's client keeps the pause of a partition that was lost, where its leader is another broker than
    the coordinator: assigned again, it would stay paused for good. The soak found it.
    """
    rig.start()
    rig.proxy.down()
    rig.until(
        lambda: all(state["state"] == "waiting" for state in rig.pool.states()),
        20,
        "the outage to be noticed",
    )
    coordinator = rig.lab.node(rig.lab.topics.coordinator(rig.group))
    coordinator.pause()
    try:
        rig.until(
            lambda: any("tower.consumer Partitions lost" in rig.pool.log(number) for number in range(3)),
            60,
            "a session to end",
        )
    finally:
        coordinator.resume()
    rig.healed(rig.proxy.heal())

    rig.finish(crashes=3)
