"""The files of docker/ agree with each other and with the rest; `make docker-check` has the linters."""

import json
import re
from pathlib import Path

from lab.lab import DEAD_LETTER_CONFIG
from workers.commands.provision.kafka import KEPT_MS, LARGEST_LETTER_BYTES
from workers.config.settings import load
from workers.kafka.properties import PRODUCER

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
COMPOSE = (DOCKER / "compose.yaml").read_text()
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def service(name: str) -> str:
    """The lines of one service."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found, name
    return found.group(1)


def test_the_nodes_have_the_labs_ids_and_ports() -> None:
    for number in range(6):
        role, port = ("controller", 19090 + number) if number < 3 else ("broker", 9090 + number - 3)
        text = service(f"{role}-{number}")

        assert f'KAFKA_NODE_ID: "{number}"' in text
        assert re.search(rf"KAFKA_LISTENERS: \w+://:{port}$", text, re.MULTILINE)
        assert f"/localhost/{port}" in text


def test_the_images_are_those_of_the_lab() -> None:
    assert set(re.findall(r"^ +image: (.+)$", COMPOSE, re.MULTILINE)) == {
        "apache/kafka:4.2.0",
        "influxdb:2.8",
        "chronograf:1.10",
        "tower",
    }


def test_everything_is_on_the_hosts_network_with_bounded_logs() -> None:
    names = re.findall(r"^  ([\w-]+):\n    ", COMPOSE.partition("\nservices:")[2], re.MULTILINE)

    assert len(names) == 10
    for name in names:
        text = service(name)
        if "<<: *" not in text.splitlines()[0]:
            assert "network_mode: host" in text, name
            assert "logging: *logging" in text, name
    shared = COMPOSE.partition("x-kafka: &kafka")[2].partition("\n\n")[0]
    assert "network_mode: host" in shared
    assert "logging: *logging" in shared


def test_kafka_keeps_three_copies_of_which_two_are_in_sync() -> None:
    for name, value in (
        ("DEFAULT_REPLICATION_FACTOR", 3),
        ("MIN_INSYNC_REPLICAS", 2),
        ("OFFSETS_TOPIC_REPLICATION_FACTOR", 3),
        ("TRANSACTION_STATE_LOG_MIN_ISR", 2),
    ):
        assert f'  KAFKA_{name}: "{value}"\n' in COMPOSE


def test_the_dead_letters_topic_is_the_same_whoever_makes_it() -> None:
    found = re.search(r"^DEAD_LETTERS = (\{.+\})$", (DOCKER / "provision.py").read_text(), re.MULTILINE)

    assert found is not None
    assert json.loads(found.group(1)) == DEAD_LETTER_CONFIG
    assert {
        "cleanup.policy": "delete",
        "max.message.bytes": str(LARGEST_LETTER_BYTES),
        "retention.ms": str(KEPT_MS),
    } == DEAD_LETTER_CONFIG


def test_the_dead_letters_producer_sends_what_their_topic_takes() -> None:
    assert int(PRODUCER["message.max.bytes"]) > LARGEST_LETTER_BYTES


def test_the_workers_settings_are_valid(tmp_path: Path) -> None:
    block = service("tower").partition("    environment:\n")[2]
    given = dict(re.findall(r"^      (TOWER_\w+): (.+)$", block, re.MULTILINE))
    token = tmp_path / "token"
    token.write_text("canary")
    assert given.pop("TOWER_WORKERS") == "${TOWER_WORKERS:-3}"
    assert given.pop("TOWER_INFLUXDB_TOKEN_FILE") == "/run/tower/token"

    settings = load(given | {"TOWER_INFLUXDB_TOKEN_FILE": str(token)})

    assert (settings.influxdb_org, settings.influxdb_bucket) == ("GIST", "Labs")
    assert settings.kafka["bootstrap.servers"] == "localhost:9090,localhost:9091,localhost:9092"


def test_health_is_what_the_status_command_says() -> None:
    assert 'CMD ["python", "-m", "workers", "status"]' in DOCKERFILE
    assert "healthcheck" not in service("tower")


def test_the_container_is_given_longer_than_supervisord_gives_the_workers() -> None:
    grace = re.search(r"stop_grace_period: (\d+)s", service("tower"))
    wait = re.search(r"^stopwaitsecs=(\d+)$", (ROOT / "supervisor.conf").read_text(), re.MULTILINE)

    assert grace is not None
    assert wait is not None
    assert int(grace.group(1)) > int(wait.group(1))


def test_no_read_only_service_has_secrets_from_the_environment() -> None:
    """Compose refuses the two together, which its schema does not know (docker/compose#12531)."""
    for name in re.findall(r"^  ([\w-]+):\n    ", COMPOSE.partition("\nservices:")[2], re.MULTILINE):
        text = service(name)
        assert not ("    read_only: true" in text and "    secrets:" in text), name


def test_the_next_provisioning_can_read_the_token_it_left() -> None:
    """It is root without DAC_OVERRIDE: the file has to stay root's, and be the workers' by group."""
    script = (DOCKER / "provision.py").read_text()

    assert "os.chown(draft, -1, gid)" in script
    assert "0o440)" in script
    assert "cap_add: [CHOWN]\n" in service("provision")
    assert 'WORKER_GID: "10001"' in service("provision")


def test_tower_runs_without_rights() -> None:
    text = service("tower")

    for line in ("read_only: true", "cap_drop: [ALL]", "no-new-privileges:true", 'user: "10001:10001"'):
        assert line in text
    assert "USER 10001:10001" in DOCKERFILE


def test_every_variable_of_the_compose_file_stands_in_the_example() -> None:
    asked = set(re.findall(r"\$\{(\w+)|environment: (\w+)\}", COMPOSE))
    example = (DOCKER / ".env.example").read_text()
    given = set(re.findall(r"^(\w+)=", example, re.MULTILINE))

    assert {name for pair in asked for name in pair if name} == given


def test_no_secret_has_a_default() -> None:
    example = (DOCKER / ".env.example").read_text()

    assert re.findall(r"^\w*(?:PASSWORD|TOKEN)=(.+)$", example, re.MULTILINE) == []
    assert re.findall(r"\$\{\w*(?:PASSWORD|TOKEN):?-", COMPOSE) == []


def test_the_image_gets_what_the_dockerfile_copies_and_nothing_else() -> None:
    copied = set()
    for words in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied |= set(words.split()[:-1])
    let_in = re.findall(r"^!(.+)$", (DOCKER / "Dockerfile.dockerignore").read_text(), re.MULTILINE)

    assert copied == set(let_in)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_options_the_image_changes_are_in_supervisor_conf() -> None:
    conf = (ROOT / "supervisor.conf").read_text()

    for option in ("stdout_logfile", "stdout_logfile_maxbytes", "stdout_logfile_backups"):
        assert re.findall(rf"^{option}=", conf, re.MULTILINE) == [f"{option}="]
