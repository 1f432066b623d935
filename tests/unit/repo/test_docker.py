"""The files of docker/ agree with each other and with the rest; `make docker-check` has the linters."""

import re
from pathlib import Path
from typing import Any

import click

from workers.commands.main import tower
from workers.commands.provision.kafka import DEAD_LETTER_BYTES
from workers.config.settings import load
from workers.kafka.properties import PRODUCER

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
COMPOSE = (DOCKER / "compose.yaml").read_text()
DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def service(name: str) -> str:
    """The lines of one service."""
    block = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert block, name
    return block.group(1)


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


def test_the_dead_letters_producer_sends_what_their_topic_takes() -> None:
    assert int(PRODUCER["message.max.bytes"]) > DEAD_LETTER_BYTES


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


def provision_options() -> dict[str, Any]:
    """What the service `provision` gives to the command, as the command itself reads it."""
    text = service("provision")
    entrypoint = re.search(r"^    entrypoint: \[(.+)\]$", text, re.MULTILINE)
    assert entrypoint is not None
    python, *words = entrypoint.group(1).split(", ")
    assert [python, *words] == ["python", "-m", "workers", "provision"]
    block = text.partition("    command:\n")[2].partition("    environment:\n")[0]
    context = click.Context(tower)
    command = tower.get_command(context, words[-1])
    assert command is not None
    arguments = re.findall(r"^      - (.+)$", block, re.MULTILINE)
    return command.make_context(words[-1], arguments, parent=context).params


def test_provisioning_waits_for_three_brokers_and_creates_the_token_of_the_workers() -> None:
    options = provision_options()

    assert (options["partitions"], options["replication"]) == (3, 3)
    assert options["wait"] == 120
    assert f"TOWER_INFLUXDB_TOKEN_FILE: {options['worker_token_file']}\n" in service("tower")
    assert options["replace_token"]


def test_provisioning_has_the_names_of_the_workers_settings() -> None:
    theirs, tower_ = (
        dict(re.findall(r"^      (TOWER_\w+): (.+)$", service(name), re.MULTILINE))
        for name in ("provision", "tower")
    )

    for name in ("KAFKA_BOOTSTRAP_SERVERS", "INFLUXDB_URL", "INFLUXDB_ORG", "INFLUXDB_BUCKET"):
        assert theirs[f"TOWER_{name}"] == tower_[f"TOWER_{name}"]
    assert load(theirs, credentials=False).influxdb_user == "${INFLUXDB_V1_USER:-tower}"


def test_each_secret_that_provisioning_reads_is_given_to_it() -> None:
    text = service("provision")
    files = set(re.findall(r"/run/secrets/([\w-]+)", text))
    secrets = re.search(r"^    secrets: \[(.+)\]$", text, re.MULTILINE)

    assert secrets is not None
    assert files == set(secrets.group(1).split(", "))


def test_the_workers_group_can_read_the_token_that_root_owns() -> None:
    """Root has CHOWN alone there: the file stays root's, so that the next provisioning can read it."""
    uid, gid = re.findall(r'^    user: "(\d+):(\d+)"$', service("tower"), re.MULTILINE)[0]

    assert provision_options()["worker_token_group"] == int(gid)
    assert uid == gid
    assert 'user: "0:0"\n' in service("provision")
    assert "cap_drop: [ALL]\n" in service("provision")
    assert "cap_add: [CHOWN]\n" in service("provision")


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
        assert re.findall(rf"^{option}=", conf, re.MULTILINE) == [f"{option}="] * 2
