"""The files of docker/ agree with each other and with the rest; `make docker-check` has the linters."""

import json
import re
from pathlib import Path

from workers.settings import options

ROOT = Path(__file__).parents[2]
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


def test_the_container_is_given_longer_than_supervisord_gives_the_workers() -> None:
    grace = re.search(r"stop_grace_period: (\d+)s", service("tower"))
    wait = re.search(r"^stopwaitsecs=(\d+)$", (ROOT / "supervisor.conf").read_text(), re.MULTILINE)

    assert grace is not None
    assert wait is not None
    assert int(grace.group(1)) > int(wait.group(1))


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


def test_the_dashboard_asks_for_the_fields_the_lab_has() -> None:
    dashboard = json.loads((DOCKER / "chronograf" / "labs.dashboard").read_text())
    queries = [query["query"] for cell in dashboard["cells"] for query in cell["queries"]]
    fields = {name for query in queries for name in re.findall(r'AS "(\w+)"', query)}
    known = {option.name: option.metadata["default"] for option in options()}

    assert all('FROM "Labs"."autogen"."labs"' in query for query in queries)
    assert fields == set(known["number_fields"].split(","))
