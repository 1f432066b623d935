"""Makes in Kafka and InfluxDB what the workers need; what is there stays as it is.

Run by the compose file's service `provision`. InfluxDB's first user, org and bucket are made by its own
image. Everything is asked for over HTTP and Kafka's admin protocol with what the workers' image has.
"""

# ruff: noqa: INP001 - a script of the image, not a package of the project.

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

#: A dead letter is the message as it came, with headers: it has to fit where the message did, and
#: `resource` takes 1 MB unless told otherwise. Kept for a month, to be looked at and sent back.
DEAD_LETTERS = {"cleanup.policy": "delete", "max.message.bytes": "20971520", "retention.ms": "2592000000"}
#: Each topic's partitions and what it needs beside two copies in sync.
TOPICS: tuple[tuple[str, int, dict[str, str]], ...] = (
    ("resource", 3, {}),
    ("resource.dlq", 1, DEAD_LETTERS),
)
RETENTION_POLICY = "autogen"
#: Seconds that Kafka may take until it can make a topic with all its copies.
KAFKA_S = 120.0
#: Seconds one request to InfluxDB may take.
REQUEST_S = 15.0


class Influxdb:
    """InfluxDB's management API with the administrator's token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request; the answer's JSON, None where it has no body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, self._headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:  # noqa: S310
            content = answer.read()
        return json.loads(content) if content else None

    def find(self, path: str, **query: str) -> list[Any]:
        """What a `GET` lists, under the last word of its path."""
        return list(self.ask("GET", f"{path}?{urlencode(query)}")[path.rpartition("/")[2]])


def topics(bootstrap: str) -> None:
    """Make the topics, three copies each, waiting for the third broker if need be."""
    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    deadline = time.monotonic() + KAFKA_S
    for name, partitions, needs in TOPICS:
        while True:
            topic = NewTopic(name, partitions, 3, config={"min.insync.replicas": "2", **needs})
            try:
                client.create_topics([topic])[name].result(30)
                print(f"topic {name}: made")
            except KafkaException as error:
                code = error.args[0].code()
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    if time.monotonic() > deadline:
                        raise SystemExit(f"topic {name}: {error.args[0].str()}") from None
                    print(f"topic {name}: not yet, {error.args[0].str()}")
                    time.sleep(2)
                    continue
                print(f"topic {name}: is there")
            break


def mapping(influxdb: Influxdb, org: str, bucket: str, database: str) -> None:
    """Map database/autogen to the bucket, as default."""
    for found in influxdb.ask("GET", f"/api/v2/dbrps?{urlencode({'orgID': org, 'db': database})}")[
        "content"
    ]:
        # Each bucket shows a virtual mapping of its own name, which v1 users cannot rely on.
        if found["retention_policy"] == RETENTION_POLICY and not found.get("virtual"):
            print(f"mapping {database}/{RETENTION_POLICY}: is there")
            return
    names = {"database": database, "retention_policy": RETENTION_POLICY, "default": True}
    influxdb.ask("POST", "/api/v2/dbrps", {"orgID": org, "bucketID": bucket, **names})
    print(f"mapping {database}/{RETENTION_POLICY}: made")


def v1_user(influxdb: Influxdb, org: str, bucket: str, name: str, password: str) -> None:
    """Make the dashboard's user, and set its password in any case."""
    found = [
        each for each in influxdb.find("/private/legacy/authorizations", orgID=org) if each["token"] == name
    ]
    if found:
        user = found[0]["id"]
    else:
        may = [
            {"action": action, "resource": {"type": "buckets", "id": bucket, "orgID": org}}
            for action in ("read", "write")
        ]
        user = influxdb.ask(
            "POST", "/private/legacy/authorizations", {"orgID": org, "token": name, "permissions": may}
        )["id"]
    influxdb.ask("POST", f"/private/legacy/authorizations/{user}/password", {"password": password})
    print(f"v1 user {name}: {'is there' if found else 'made'}")


def worker_token(influxdb: Influxdb, org: str, bucket: str, file: Path, gid: int) -> None:
    """Leave a token that may only write to the bucket where only the workers' group can read it.

    The file stays root's: without capabilities even root reads only its own, and the next run has to.
    """
    kept = file.read_text().strip() if file.exists() else None
    if kept and any(each["token"] == kept for each in influxdb.find("/api/v2/authorizations", orgID=org)):
        print("worker token: is there")
        return
    resource = {"type": "buckets", "id": bucket, "orgID": org}
    made = influxdb.ask(
        "POST",
        "/api/v2/authorizations",
        {
            "orgID": org,
            "description": "Tower's workers",
            "permissions": [{"action": "write", "resource": resource}],
        },
    )
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440), "w") as out:
        out.write(made["token"])
    os.chown(draft, -1, gid)
    draft.replace(file)
    print("worker token: made")


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Make everything; what fails is one line that says what."""
    try:
        influxdb = Influxdb(
            environ["INFLUXDB_URL"], Path(environ["INFLUXDB_ADMIN_TOKEN_FILE"]).read_text().strip()
        )
        password = Path(environ["INFLUXDB_V1_PASSWORD_FILE"]).read_text().strip()
        org = influxdb.find("/api/v2/orgs", org=environ["INFLUXDB_ORG"])[0]["id"]
        name = environ["INFLUXDB_BUCKET"]
        bucket = influxdb.find("/api/v2/buckets", orgID=org, name=name)[0]["id"]
        mapping(influxdb, org, bucket, name)
        v1_user(influxdb, org, bucket, environ["INFLUXDB_V1_USER"], password)
        worker_token(influxdb, org, bucket, Path(environ["WORKER_TOKEN_FILE"]), int(environ["WORKER_GID"]))
    except urllib.error.HTTPError as error:
        # Its body may repeat what was sent, so it is not printed.
        raise SystemExit(f"InfluxDB answered {error.code} to {error.url.partition('?')[0]}") from None
    except OSError as error:
        raise SystemExit(f"provisioning InfluxDB: {error}") from None
    except KeyError as error:
        raise SystemExit(f"the setting {error} is missing") from None
    topics(environ["BOOTSTRAP_SERVERS"])


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    main()
