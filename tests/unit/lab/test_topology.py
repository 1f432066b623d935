"""What a lab consists of, and that it is remembered."""

import json
from pathlib import Path

import pytest

from lab.errors import BusyError, LabError
from lab.kafka.node import Node, NodeSpec, Role, properties, properties_text
from lab.system import ports
from lab.topology import LabOptions, LabPlan, Topology


def test_the_default_is_one_combined_node_on_the_labs_first_ports() -> None:
    plan = LabPlan.make(LabOptions())

    assert plan.nodes == [NodeSpec(3, Role.COMBINED, 9090, 19090)]
    assert (plan.bootstrap_servers, plan.influxdb_port) == ("localhost:9090", 8086)


def test_the_cluster_has_the_labs_ids_and_ports() -> None:
    plan = LabPlan.make(LabOptions(Topology.CLUSTER))

    assert [(node.id, node.role.value, node.port) for node in plan.nodes] == [
        (0, "controller", 19090),
        (1, "controller", 19091),
        (2, "controller", 19092),
        (3, "broker", 9090),
        (4, "broker", 9091),
        (5, "broker", 9092),
    ]
    assert plan.bootstrap_servers == "localhost:9090,localhost:9091,localhost:9092"


def test_port_zero_means_free_ports_all_of_them_different() -> None:
    plan = LabPlan.make(LabOptions.free_ports(Topology.CLUSTER))

    chosen = [*(node.port for node in plan.nodes), plan.influxdb_port]
    assert len(set(chosen)) == 7
    assert all(ports.is_free("localhost", port) for port in chosen)


@pytest.mark.parametrize("topology", list(Topology))
def test_a_plan_is_read_back_as_it_was_saved(topology: Topology, tmp_path: Path) -> None:
    plan = LabPlan.make(LabOptions(topology, "127.0.0.1", 4000, 5000, 6000))

    plan.save(tmp_path)

    assert LabPlan.load(tmp_path) == plan


def test_a_folder_without_a_lab_has_no_plan(tmp_path: Path) -> None:
    assert LabPlan.load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", json.dumps({"format": 99})])
def test_a_plan_that_cannot_be_read_says_what_to_remove(text: str, tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text(text)

    with pytest.raises(LabError, match="remove"):
        LabPlan.load(tmp_path)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        (LabOptions(Topology.CLUSTER), "topology"),
        (LabOptions(host="other"), "host"),
        (LabOptions(kafka_port=1), "Kafka port"),
        (LabOptions(controller_port=1), "controller port"),
        (LabOptions(influxdb_port=1), "InfluxDB port"),
    ],
)
def test_asking_for_another_lab_in_the_same_folder_is_refused(
    wanted: LabOptions, name: str, tmp_path: Path
) -> None:
    plan = LabPlan.make(LabOptions())

    with pytest.raises(LabError, match=f"has {name} .*--purge"):
        plan.check(wanted, tmp_path)


@pytest.mark.parametrize("topology", list(Topology))
def test_asking_for_the_same_lab_again_is_fine(topology: Topology, tmp_path: Path) -> None:
    plan = LabPlan.make(LabOptions(topology))

    plan.check(LabOptions(topology, "localhost", 9090, 19090, 8086), tmp_path)
    plan.check(LabOptions.free_ports(topology), tmp_path)
    plan.check(LabOptions(), tmp_path)


def test_a_cluster_keeps_three_copies_and_wants_two_in_sync(tmp_path: Path) -> None:
    plan = LabPlan.make(LabOptions(Topology.CLUSTER))

    values = properties(plan.nodes[4], plan.nodes, plan.host, tmp_path)

    assert values["default.replication.factor"] == "3"
    assert values["offsets.topic.replication.factor"] == "3"
    assert values["min.insync.replicas"] == "2"
    assert values["listeners"] == values["advertised.listeners"] == "PLAINTEXT://localhost:9091"
    assert values["controller.quorum.voters"] == ("0@localhost:19090,1@localhost:19091,2@localhost:19092")


def test_a_controller_listens_for_controllers_alone(tmp_path: Path) -> None:
    plan = LabPlan.make(LabOptions(Topology.CLUSTER))

    values = properties(plan.nodes[1], plan.nodes, plan.host, tmp_path)

    assert values["listeners"] == "CONTROLLER://localhost:19091"
    assert values["process.roles"] == "controller"
    assert "advertised.listeners" not in values


def test_a_single_node_needs_no_copies(tmp_path: Path) -> None:
    plan = LabPlan.make(LabOptions())

    values = properties(plan.nodes[0], plan.nodes, plan.host, tmp_path)

    assert values["process.roles"] == "broker,controller"
    assert values["offsets.topic.replication.factor"] == values["min.insync.replicas"] == "1"


def test_free_ports_are_below_those_of_outgoing_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "_ephemeral_low", lambda: 30_000)

    assert all(ports.LOWEST <= port < 30_000 for port in ports.choose("localhost", 20))


def test_too_few_free_ports_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda *_: False)

    with pytest.raises(BusyError, match="no 2 free ports"):
        ports.choose("localhost", 2)


def test_a_properties_file_is_ascii_as_java_reads_it() -> None:
    text = properties_text({"log.dirs": "/연구실 50%\\é/😀", "node.id": "3"})

    assert text == "log.dirs=/\\uc5f0\\uad6c\\uc2e4 50%\\u005c\\u00e9/\\ud83d\\ude00\nnode.id=3\n"


def test_a_folder_that_kafka_would_take_for_two_is_refused(tmp_path: Path) -> None:
    node = Node.alone(tmp_path / "a,b", lambda: None, "localhost", 1, 2)  # type: ignore[arg-type]

    with pytest.raises(LabError, match="comma"):
        node.begin_format()
    assert not node.folder.exists()
