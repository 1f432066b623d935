"""How a set-up is broken, and how Tower's advice mends it (see tests/support/broken_setups.py)."""

import json
import os
import re
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.request import Request, urlopen

from lab.system.files import read_secret
from tests.faults.harness.disk import SmallDisk
from tests.support.chain import Chain, record
from tests.support.shell import Operator

#: Changes of the environment: names to values.
Changes = Mapping[str, str]


def admin(chain: Chain) -> str:
    """InfluxDB's admin token."""
    return read_secret(chain.lab.secrets.admin_token) or ""


def ask(chain: Chain, method: str, path: str, body: object = None) -> dict[str, object]:
    """Ask InfluxDB as an administrator."""
    request = Request(  # noqa: S310 - http, on loopback
        f"{chain.lab.influxdb.url}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Token {admin(chain)}", "Content-Type": "application/json"},
        method=method,
    )
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        content = json.loads(answer.read() or b"{}")
        assert isinstance(content, dict)
        return content


def read_token(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """A token that may read the bucket and not write to it."""
    bucket = ask(chain, "GET", f"/api/v2/buckets?name={chain.name}")["buckets"]
    assert isinstance(bucket, list)
    resource = {"type": "buckets", "orgID": bucket[0]["orgID"], "id": bucket[0]["id"]}
    body = {"orgID": bucket[0]["orgID"], "permissions": [{"action": "read", "resource": resource}]}
    return {"TOWER_INFLUXDB_TOKEN": str(ask(chain, "POST", "/api/v2/authorizations", body)["token"])}


def provisions(**changed: str) -> Callable[[Chain, Operator, Path], Changes]:
    """Type `tower provision`, with the admin token, in the environment that was wrong."""

    def run(chain: Chain, operator: Operator, folder: Path) -> Changes:
        names = changed | {"TOWER_INFLUXDB_TOKEN_FILE": str(folder / f"token-{uuid.uuid4().hex}")}
        words = ["--create-org"] if "TOWER_INFLUXDB_ORG" in changed else []
        operator.environment.pop("TOWER_INFLUXDB_TOKEN", None)
        done = operator("provision", *words, **names, INFLUXDB_ADMIN_TOKEN=admin(chain))
        assert done.returncode == 0, done.stdout + done.stderr
        return names

    return run


def unique(name: str) -> str:
    """A name that nobody has used yet."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def fresh_topic(partitions: int = 3) -> Callable[[Chain, str], str]:
    """A topic of its own for records that are wrong."""

    def create(chain: Chain, name: str) -> str:
        topic = unique(name)
        chain.lab.topics.create(topic, partitions)
        return topic

    return create


def sends(value: Callable[[], bytes], count: int = 20) -> Callable[[Chain, Operator, Path], Changes]:
    """Records of one kind in a topic of their own."""

    def produce(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
        topic = fresh_topic()(chain, "sent")
        chain.produce((value() for _ in range(count)), topic=topic)
        return {"TOWER_TOPIC": topic}

    return produce


def sends_again(value: Callable[[], bytes]) -> Callable[[Chain, Operator, Path], Changes]:
    """The sender is mended: records as they should be, in a topic of their own."""
    return sends(value, 5)


def small_dead_letter_topic(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """A dead-letter topic that accepts less than the topic of the records."""
    topic = unique("small.dlq")
    chain.lab.topics.create(topic, 1)
    chain.lab.topics.configure(topic, {"max.message.bytes": "1000"})
    return {"TOWER_DEAD_LETTER_TOPIC": topic}


def provisions_what_was_broken(chain: Chain, operator: Operator, folder: Path) -> Changes:
    """Type `tower provision` in the environment that is broken now."""
    topic = operator.environment["TOWER_DEAD_LETTER_TOPIC"]
    return provisions(TOWER_DEAD_LETTER_TOPIC=topic)(chain, operator, folder)


def integer_field(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """Somebody has written `memory` as an integer."""
    chain.write(["labs memory=1i"])
    chain.produce([record(1)])
    return {}


def another_bucket(chain: Chain, operator: Operator, folder: Path) -> Changes:
    """What the remedy says: another bucket, which provision creates."""
    name = unique("bucket")
    return provisions(TOWER_INFLUXDB_BUCKET=name, TOWER_INFLUXDB_DATABASE=name)(chain, operator, folder)


def short_retention(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """A bucket that keeps points for an hour, and records of yesterday."""
    name = unique("hour")
    token = chain.lab.create_bucket(name, 3600)
    topic = fresh_topic()(chain, "old")
    before = int(time.time()) - 80_000
    chain.produce((record(1, at=before) for _ in range(20)), topic=topic, timestamp=before * 1000)
    return {
        "TOWER_INFLUXDB_BUCKET": name,
        "TOWER_INFLUXDB_DATABASE": name,
        "TOWER_INFLUXDB_TOKEN": token,
        "INFLUXDB_ADMIN_TOKEN": admin(chain),
        "TOWER_TOPIC": topic,
    }


def keeps_for_ever(chain: Chain, operator: Operator, _folder: Path) -> Changes:
    """What the remedy says: the bucket keeps its points longer."""
    name = operator.environment["TOWER_INFLUXDB_BUCKET"]
    buckets = ask(chain, "GET", f"/api/v2/buckets?name={name}")["buckets"]
    assert isinstance(buckets, list)
    ask(
        chain,
        "PATCH",
        f"/api/v2/buckets/{buckets[0]['id']}",
        {"retentionRules": [{"type": "expire", "everySeconds": 0}]},
    )
    return {}


def grown_topic(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """A topic with more partitions than the pool has workers."""
    return {"TOWER_TOPIC": fresh_topic(5)(chain, "grown")}


def broken_toml(_chain: Chain, _operator: Operator, folder: Path) -> Changes:
    """A settings file with a missing quote."""
    file = folder / "broken.toml"
    file.write_text('topic = "resource\n')
    return {"TOWER_CONFIG": str(file)}


def mended_toml(chain: Chain, _operator: Operator, folder: Path) -> Changes:
    """The quote is there."""
    (folder / "broken.toml").write_text(f'topic = "{chain.name}"\n')
    return {}


def unreadable_secret(_chain: Chain, operator: Operator, folder: Path) -> Changes:
    """A file of a secret that is not there."""
    operator.environment.pop("TOWER_INFLUXDB_TOKEN", None)
    return {"TOWER_INFLUXDB_TOKEN_FILE": str(folder / "gone")}


def saved_secret(chain: Chain, _operator: Operator, folder: Path) -> Changes:
    """The file is there."""
    (folder / "gone").write_text(chain.token)
    return {}


def no_token(_chain: Chain, operator: Operator, _folder: Path) -> Changes:
    """No token anywhere."""
    operator.environment.pop("TOWER_INFLUXDB_TOKEN", None)
    return {}


def token_back(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """The token is set."""
    return {"TOWER_INFLUXDB_TOKEN": chain.token}


def wrong_v1_password(_chain: Chain, operator: Operator, _folder: Path) -> Changes:
    """The lab's variable holds another password."""
    operator.environment.pop("TOWER_INFLUXDB_PASSWORD_FILE", None)
    return {"INFLUXDB_V1_PASSWORD": "another"}


def right_v1_password(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """The variable is corrected."""
    return {"INFLUXDB_V1_PASSWORD": read_secret(chain.lab.secrets.v1_password) or ""}


def v1_user(chain: Chain, operator: Operator, folder: Path) -> Changes:
    """Both variables are set."""
    return {**right_v1_password(chain, operator, folder), "TOWER_INFLUXDB_USER": "tower"}


def without(name: str) -> Callable[[Chain, Operator, Path], Changes]:
    """Remove a variable."""

    def remove(_chain: Chain, operator: Operator, _folder: Path) -> Changes:
        del operator.environment[name]
        return {}

    return remove


def deaf_user(chain: Chain, operator: Operator, folder: Path) -> Changes:
    """A v1 user of another bucket."""
    name, user = unique("elsewhere"), unique("user")
    done = operator(
        "provision",
        TOWER_INFLUXDB_BUCKET=name,
        TOWER_INFLUXDB_DATABASE=name,
        TOWER_INFLUXDB_USER=user,
        TOWER_INFLUXDB_PASSWORD_FILE=str(folder / user),
        INFLUXDB_ADMIN_TOKEN=admin(chain),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {"TOWER_INFLUXDB_USER": user, "TOWER_INFLUXDB_PASSWORD_FILE": str(folder / user)}


def another_user(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """The user that may read the bucket."""
    return {
        "TOWER_INFLUXDB_USER": "tower",
        "TOWER_INFLUXDB_PASSWORD_FILE": str(chain.lab.secrets.v1_password),
    }


def killed_supervisord(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """SIGKILL for supervisord: its workers go on."""
    chain.pool.kill_supervisord()
    return {}


def started_again(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """The start of supervisord: its workers take over."""
    chain.pool.start()
    return {}


def stopped_worker(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """An operator stops one worker."""
    chain.pool.control("stop", "worker:1")
    return {}


def started_worker(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """And starts it."""
    chain.pool.control("start", "worker:1")
    return {}


def frozen_worker(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """A worker that does not run on."""
    chain.pool.signal(2, signal.SIGSTOP)
    return {}


def thawed_worker(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """It ends, and supervisord starts it again."""
    os.kill(chain.pool.pids()[2], signal.SIGKILL)
    return {}


def line_in_hosts(_chain: Chain, operator: Operator, folder: Path) -> Changes:
    """What the remedy says: a line more in /etc/hosts, as the operator's own commands see that file."""
    line = re.search(r'add the line "(.+)" to /etc/hosts', operator.text)
    assert line is not None
    hosts = folder / "hosts"
    hosts.write_text(Path("/etc/hosts").read_text() + line[1] + "\n")
    namespace = ["-m"] if os.geteuid() == 0 else ["-r", "-m"]
    mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
    operator.prefix = ["unshare", *namespace, "sh", "-c", mount, str(hosts)]
    return {}


def taken_port(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """Another program listens where the page is to be: InfluxDB."""
    return {"TOWER_SERVE_ADDRESS": chain.lab.influxdb.url.removeprefix("http://")}


def full_folder(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """No room is left in the pool's folder."""
    SmallDisk(chain.pool.var).fill()
    return {}


def room_again(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """Something else there is deleted."""
    SmallDisk(chain.pool.var).free()
    return {}


def read_only_folder(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """The pool's folder is mounted read-only."""
    SmallDisk(chain.pool.var).seal()
    return {}


def writable_folder(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """And can be written again."""
    SmallDisk(chain.pool.var).unseal()
    return {}


def second_pool(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """A second folder on this host, with the same settings."""
    chain.pool.start()
    chain.join()
    return {}


def one_pool(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """The second is stopped."""
    chain.others[-1].stop()
    return {}


def started_without_token(chain: Chain, operator: Operator, _folder: Path) -> Changes:
    """A pool that is started in an environment without a token."""
    for environment in (chain.pool.environment, operator.environment):
        environment.pop("TOWER_INFLUXDB_TOKEN")
    chain.start_as_daemon()
    return {}


def restarted_with_token(chain: Chain, _operator: Operator, _folder: Path) -> Changes:
    """What the remedy says: the token is set, and the pool restarted."""
    chain.pool.environment["TOWER_INFLUXDB_TOKEN"] = chain.token
    code, text = chain.pool.operate("restart")
    assert code == 0, text
    return {"TOWER_INFLUXDB_TOKEN": chain.token}
