"""Set-ups that are wrong in one thing, what says so, and the remedy that mends them when it is typed.

tests/integration/test_broken_setups.py breaks and mends each of them on real servers; the table in
docs/broken-setups.md is made from this list.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.breakages import (
    Changes,
    admin,
    another_bucket,
    another_user,
    broken_toml,
    deaf_user,
    frozen_worker,
    full_folder,
    grown_topic,
    integer_field,
    keeps_for_ever,
    killed_supervisord,
    line_in_hosts,
    mended_toml,
    no_token,
    one_pool,
    provisions,
    provisions_what_was_broken,
    read_only_folder,
    read_token,
    restarted_with_token,
    right_v1_password,
    room_again,
    saved_secret,
    second_pool,
    sends,
    sends_again,
    short_retention,
    small_dead_letter_topic,
    started_again,
    started_without_token,
    started_worker,
    stopped_worker,
    taken_port,
    thawed_worker,
    token_back,
    unreadable_secret,
    v1_user,
    without,
    writable_folder,
    wrong_v1_password,
)
from tests.support.chain import Chain, record
from tests.support.pool import ROOT
from tests.support.secured_servers import UNKNOWN_NAME, SecuredServers
from tests.support.shell import Operator

#: The document with the table, and the lines between which it stands.
DOCUMENT = ROOT / "docs" / "broken-setups.md"
HEAD = "| what is wrong | what says so | the cause, as printed | the remedy |\n|---|---|---|---|\n"

CHECK = ("check", "--watch", "0")


@dataclass(frozen=True)
class BrokenSetup:
    """One set-up that is wrong.

    Args:
        title: What is wrong.
        cause: What the command prints about it.
        remedy: What it prints to do.
        command: The command that says so, without `tower`.
        changed: Variables that make it wrong.
        breaks: Makes it wrong where variables do not; returns further variables.
        mends: Does what the remedy says; returns the variables to use from then on. Without it, all
            variables are set back.
        at: Variables that name one of the servers with TLS, wrongly.
        mended_at: The same as the remedy says.
        needs_root: Whether a disk has to be mounted.
    """

    title: str
    cause: str
    remedy: str
    command: tuple[str, ...] = CHECK
    changed: Changes = field(default_factory=dict)
    breaks: Callable[[Chain, Operator, Path], Changes] | None = None
    mends: Callable[[Chain, Operator, Path], Changes] | None = None
    at: Callable[[SecuredServers], Changes] | None = None
    mended_at: Callable[[SecuredServers], Changes] | None = None
    needs_root: bool = False


WRONG_TOKEN = {"TOWER_INFLUXDB_TOKEN": "wrong"}

#: Set-ups that `tower check` explains before a pool runs.
BEFORE_START = [
    BrokenSetup(
        "the token is wrong",
        "the token is unknown to InfluxDB",
        "correct TOWER_INFLUXDB_TOKEN",
        changed=WRONG_TOKEN,
    ),
    BrokenSetup(
        "the token may only read",
        "the token may not write to",
        "give it write permission, or another token",
        breaks=read_token,
        mends=token_back,
    ),
    BrokenSetup(
        "the bucket is missing",
        "is missing",
        "`tower provision`",
        changed={"TOWER_INFLUXDB_BUCKET": "nobodys", "TOWER_INFLUXDB_DATABASE": "nobodys"},
        mends=provisions(TOWER_INFLUXDB_BUCKET="nobodys", TOWER_INFLUXDB_DATABASE="nobodys"),
    ),
    BrokenSetup(
        "the organisation's name is misspelt",
        "InfluxDB has no organisation GITS; there are: GIST",
        "set TOWER_INFLUXDB_ORG to one of them",
        command=("provision",),
        breaks=lambda chain, *_: {"TOWER_INFLUXDB_ORG": "GITS", "INFLUXDB_ADMIN_TOKEN": admin(chain)},
        mends=lambda chain, *_: {"TOWER_INFLUXDB_ORG": "GIST", "INFLUXDB_ADMIN_TOKEN": admin(chain)},
    ),
    BrokenSetup(
        "the DBRP mapping is missing",
        "no DBRP mapping, or no right to read the bucket",
        "`tower provision`",
        changed={"TOWER_INFLUXDB_DATABASE": "unmapped"},
        mends=provisions(TOWER_INFLUXDB_DATABASE="unmapped"),
    ),
    BrokenSetup(
        "the v1 password is wrong",
        "the v1 user tower or its password is unknown to InfluxDB",
        "correct INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD",
        breaks=wrong_v1_password,
        mends=right_v1_password,
    ),
    BrokenSetup(
        "the v1 user may not read the bucket",
        "no DBRP mapping, or no right to read the bucket",
        "`tower provision`",
        breaks=deaf_user,
        mends=another_user,
    ),
    BrokenSetup(
        "the v1 endpoint is chosen without a user",
        "TOWER_INFLUXDB_USER: is missing",
        "TOWER_INFLUXDB_API=v1 needs it",
        changed={"TOWER_INFLUXDB_API": "v1", "TOWER_INFLUXDB_USER": ""},
    ),
    BrokenSetup(
        "InfluxDB's port is wrong",
        "does not answer",
        "correct TOWER_INFLUXDB_URL",
        changed={"TOWER_INFLUXDB_URL": "http://localhost:1"},
    ),
    BrokenSetup(
        "https:// for an InfluxDB without TLS",
        "does not use TLS",
        "use http:// in TOWER_INFLUXDB_URL",
        breaks=lambda chain, *_: {"TOWER_INFLUXDB_URL": chain.lab.influxdb.url.replace("http:", "https:")},
    ),
    BrokenSetup(
        "http:// for an InfluxDB with TLS",
        "accepts only TLS",
        "use https:// in TOWER_INFLUXDB_URL",
        at=lambda servers: {"TOWER_INFLUXDB_URL": servers.influxdb.url.replace("https:", "http:")},
        mended_at=lambda servers: {
            "TOWER_INFLUXDB_URL": servers.influxdb.url,
            "TOWER_INFLUXDB_CA_FILE": servers.ca_file,
        },
    ),
    BrokenSetup(
        "InfluxDB's certificate is from a private authority",
        "unable to get local issuer certificate",
        "set TOWER_INFLUXDB_CA_FILE to the certificate of the authority that issued the server's",
        at=lambda servers: {"TOWER_INFLUXDB_URL": servers.influxdb.url},
        mended_at=lambda servers: {"TOWER_INFLUXDB_CA_FILE": servers.ca_file},
    ),
    BrokenSetup(
        "the name in InfluxDB's address is not in its certificate",
        "certificate is not valid for '127.0.0.1'",
        "use a name or address in TOWER_INFLUXDB_URL that is in the server's certificate",
        at=lambda servers: {
            "TOWER_INFLUXDB_URL": servers.influxdb.url.replace("localhost", "127.0.0.1"),
            "TOWER_INFLUXDB_CA_FILE": servers.ca_file,
        },
        mended_at=lambda servers: {"TOWER_INFLUXDB_URL": servers.influxdb.url},
    ),
    BrokenSetup(
        "Kafka's port is wrong",
        "localhost:1: Connection refused",
        "start Kafka, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS",
        changed={"TOWER_KAFKA_BOOTSTRAP_SERVERS": "localhost:1"},
    ),
    BrokenSetup(
        "a broker's name is unknown",
        "nohost.invalid:9092: Name or service not known",
        "correct TOWER_KAFKA_BOOTSTRAP_SERVERS",
        changed={"TOWER_KAFKA_BOOTSTRAP_SERVERS": "nohost.invalid:9092"},
    ),
    BrokenSetup(
        "TLS for a Kafka without it",
        "connecting to a PLAINTEXT broker listener",
        "set TOWER_KAFKA_SECURITY_PROTOCOL=plaintext",
        changed={"TOWER_KAFKA_SECURITY_PROTOCOL": "ssl"},
    ),
    BrokenSetup(
        "no TLS for a Kafka with it",
        "Broker transport failure",
        "uses TLS: set TOWER_KAFKA_SECURITY_PROTOCOL=ssl",
        at=lambda servers: {"TOWER_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_with_tls},
        mended_at=lambda servers: {
            "TOWER_KAFKA_SECURITY_PROTOCOL": "ssl",
            "TOWER_KAFKA_SSL_CA_LOCATION": servers.ca_file,
        },
    ),
    BrokenSetup(
        "Kafka's certificate is from a private authority",
        "broker certificate could not be verified",
        "set TOWER_KAFKA_SSL_CA_LOCATION to the certificate of the authority that issued the broker's",
        at=lambda servers: {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_with_tls,
            "TOWER_KAFKA_SECURITY_PROTOCOL": "ssl",
        },
        mended_at=lambda servers: {"TOWER_KAFKA_SSL_CA_LOCATION": servers.ca_file},
    ),
    BrokenSetup(
        "a broker advertises a name that does not resolve here",
        f"but {UNKNOWN_NAME} does not resolve here",
        f'{UNKNOWN_NAME}" to /etc/hosts, or correct its advertised.listeners',
        at=lambda servers: {"TOWER_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_of_unknown_name},
        mends=line_in_hosts,
    ),
    BrokenSetup(
        "the topic is missing",
        "there is no topic nobodys",
        "`tower provision`",
        changed={"TOWER_TOPIC": "nobodys"},
        mends=provisions(TOWER_TOPIC="nobodys"),
    ),
    BrokenSetup(
        "the dead letters' topic is missing",
        "the first bad record would block its partition",
        "`tower provision`",
        changed={"TOWER_DEAD_LETTER_TOPIC": "nobodys.dlq"},
        mends=provisions(TOWER_DEAD_LETTER_TOPIC="nobodys.dlq"),
    ),
    BrokenSetup(
        "the dead letters' topic takes only small messages",
        "accepts larger records",
        "`tower provision` does it",
        breaks=small_dead_letter_topic,
        mends=provisions_what_was_broken,
    ),
    BrokenSetup(
        "one topic for records and dead letters",
        "TOWER_DEAD_LETTER_TOPIC: must differ from the topics of",
        "Tower would read its own dead letters",
        breaks=lambda chain, *_: {"TOWER_DEAD_LETTER_TOPIC": chain.name},
    ),
    BrokenSetup(
        "too few workers",
        "TOWER_WORKERS is 1 for 3 partitions",
        "set TOWER_WORKERS=3",
        changed={"TOWER_WORKERS": "1"},
    ),
    BrokenSetup(
        "the topic has grown",
        "TOWER_WORKERS is 3 for 5 partitions",
        "set TOWER_WORKERS=5",
        breaks=grown_topic,
        mends=lambda *_: {"TOWER_WORKERS": "5"},
    ),
    BrokenSetup(
        "another program has the port of the page",
        "(TOWER_SERVE_ADDRESS) is taken by another program",
        "set TOWER_SERVE_ADDRESS to another port, or to off",
        breaks=taken_port,
        mends=lambda *_: {"TOWER_SERVE_ADDRESS": "off"},
    ),
    BrokenSetup(
        "a drain may take longer than supervisord waits",
        "supervisord would kill a worker",
        "set stopwaitsecs above",
        changed={"TOWER_DRAIN_S": "30"},
    ),
    BrokenSetup(
        "a variable is misspelt",
        "TOWER_BATCH_LINE: is not a setting of Tower",
        "did you mean TOWER_BATCH_LINES?",
        changed={"TOWER_BATCH_LINE": "100"},
        mends=without("TOWER_BATCH_LINE"),
    ),
    BrokenSetup(
        "a property of Kafka's client is misspelt",
        "TOWER_KAFKA_LINGERS: Kafka's client rejects it",
        "No such configuration property",
        changed={"TOWER_KAFKA_LINGERS": "1"},
        mends=without("TOWER_KAFKA_LINGERS"),
    ),
    BrokenSetup(
        "a number is out of range",
        "TOWER_BATCH_LINES: must be",
        "to 100000",
        changed={"TOWER_BATCH_LINES": "0"},
        mends=lambda *_: {"TOWER_BATCH_LINES": "5000"},
    ),
    BrokenSetup(
        "the settings file is no TOML",
        "TOWER_CONFIG: ",
        "is not valid TOML",
        breaks=broken_toml,
        mends=mended_toml,
    ),
    BrokenSetup(
        "a file of a secret is missing",
        "TOWER_INFLUXDB_TOKEN_FILE: cannot be read",
        "No such file",
        breaks=unreadable_secret,
        mends=saved_secret,
    ),
    BrokenSetup(
        "there is no token",
        "TOWER_INFLUXDB_TOKEN: is missing",
        "set it, or TOWER_INFLUXDB_TOKEN_FILE",
        breaks=no_token,
        mends=token_back,
    ),
    BrokenSetup(
        "the Pi's clock is two hours behind",
        "it is 2.0 h behind Kafka's timestamp",
        "set the clock and the zone of the sender",
        breaks=sends(lambda: record(1, at=time.time() - 7_200)),
        mends=sends_again(lambda: record(1)),
    ),
    BrokenSetup(
        "the Pi's clock is two days ahead",
        "is more than TOWER_TIME_WINDOW_S",
        "set the clock of the sender",
        breaks=sends(lambda: record(1, at=time.time() + 172_800)),
        mends=sends_again(lambda: record(1)),
    ),
    BrokenSetup(
        "the sender's fields have other names",
        "fill no field that the dashboard asks for",
        "rename it: TOWER_RENAME=mem:memory",
        breaks=sends(lambda: b'{"mem":1,"cpu_percent":2}'),
        mends=sends_again(lambda: record(1)),
    ),
    BrokenSetup(
        "the sender sends text that is no record",
        "would become dead letters",
        "dlq list",
        breaks=sends(lambda: b"hello world"),
        mends=sends_again(lambda: record(1)),
    ),
    BrokenSetup(
        "a field has another type in the bucket",
        "memory is integer and Tower writes float",
        "TOWER_INFLUXDB_BUCKET",
        breaks=integer_field,
        mends=another_bucket,
    ),
    BrokenSetup(
        "the token cannot look at types and mapping",
        "cannot be looked at: this token may only write",
        "set INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD",
        breaks=wrong_v1_password,
        changed={"TOWER_INFLUXDB_USER": ""},
        mends=v1_user,
    ),
    BrokenSetup(
        "records are older than the bucket keeps points",
        "the bucket keeps 60 min, and all of the newest 20 records are older",
        "keep points longer",
        breaks=short_retention,
        mends=keeps_for_ever,
    ),
]

#: Set-ups that `tower status` explains while a pool runs, or should.
WHILE_RUNNING = [
    BrokenSetup(
        "a worker was stopped",
        "worker 1 is stopped",
        "supervisorctl -c supervisor.conf start worker:1",
        command=("status",),
        breaks=stopped_worker,
        mends=started_worker,
    ),
    BrokenSetup(
        "a worker hangs",
        "worker 2 has had no heartbeat for",
        "look at the end of",
        command=("status",),
        breaks=frozen_worker,
        mends=thawed_worker,
    ),
    BrokenSetup(
        "supervisord was killed",
        "supervisord is gone",
        "`supervisord -c supervisor.conf`",
        command=("status",),
        breaks=killed_supervisord,
        mends=started_again,
    ),
    BrokenSetup(
        "status looks in another folder",
        "there is no state file in TOWER_RUN_DIR",
        "set TOWER_RUN_DIR to the pool's folder",
        command=("status",),
        breaks=lambda _chain, _operator, folder: {"TOWER_RUN_DIR": str(folder)},
    ),
    BrokenSetup(
        "another program has the port of the page of a pool",
        "is taken by another program, so this pool's page and metrics are not served",
        "set TOWER_SERVE_ADDRESS to another port, or to off, and restart the pool with `tower restart`",
        command=("status",),
        breaks=taken_port,
        mends=lambda *_: {"TOWER_SERVE_ADDRESS": "off"},
    ),
    BrokenSetup(
        "`var/` is full",
        "cannot be written, because its file system is full",
        "make room there",
        command=("status",),
        breaks=full_folder,
        mends=room_again,
        needs_root=True,
    ),
    BrokenSetup(
        "`var/` is read-only",
        "cannot be written, because its file system is read-only",
        "or make it writable",
        command=("status",),
        breaks=read_only_folder,
        mends=writable_folder,
        needs_root=True,
    ),
]

#: The same for pools that are not started as they should be: each has a pool of its own.
AT_START = [
    BrokenSetup(
        "two pools of one group on one host",
        "another pool has the same host name",
        "stop one of the two pools",
        command=("status",),
        breaks=second_pool,
        mends=one_pool,
    ),
    BrokenSetup(
        "a pool was started without a token",
        "worker 0 ended: TOWER_INFLUXDB_TOKEN: is missing",
        "restart the pool with `tower restart`",
        command=("status",),
        breaks=started_without_token,
        mends=restarted_with_token,
    ),
]


def table() -> str:
    """The table of docs/broken-setups.md."""
    rows = (
        f"| {setup.title} | `tower {setup.command[0]}` | {setup.cause} | {setup.remedy} |\n"
        for setup in [*BEFORE_START, *WHILE_RUNNING, *AT_START]
    )
    return HEAD + "".join(rows)
