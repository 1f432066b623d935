"""Every setting of a worker, read once: environment first, then the file `TOWER_CONFIG` names."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.config import parsers, settings_file
from workers.config.secret import Secret
from workers.config.settings_file import PREFIX
from workers.errors import SettingsError
from workers.types import MOST_FIELDS

KAFKA_PREFIX = "TOWER_KAFKA_"

#: Variables with the prefix that are read by supervisord or the launcher, not by a worker.
OTHER_VARIABLES = frozenset({"TOWER_CONFIG", "TOWER_WORKERS"})

#: Words in the name of a Kafka property that make its value a secret.
SECRET_WORDS = ("PASSWORD", "PASSPHRASE", "SECRET", "KEY_PEM", "OAUTHBEARER_CONFIG")

#: Kafka properties that the promise depends on, with the only allowed value.
FIXED_KAFKA = {
    "enable.auto.commit": "false",
    "enable.auto.offset.store": "false",
    "auto.offset.reset": "error",
}

#: Defaults for the lab. All other librdkafka properties are passed through by the same rule.
KAFKA_DEFAULTS = {
    "bootstrap.servers": "localhost:9090,localhost:9091,localhost:9092",
    "group.id": "tower",
}


def _option(default: str | None, parse: Callable[[str], Any], text: str, lab: str = "") -> Any:
    """Define a setting: its default as text, its parser, its line in the table.

    `lab` names a variable of the lab that is used if Tower's is not set.
    """
    return field(metadata={"default": default, "parse": parse, "text": text, "lab": lab})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one worker, built by `load`."""

    topic: str = _option("resource", parsers.topic, "topic to read records from")
    dead_letter_topic: str = _option("resource.dlq", parsers.topic, "topic for dead letters")
    worker: int | None = _option(
        None,
        parsers.whole(0, 9999),
        "number of this worker, set by supervisord; makes it a static member of the group",
    )
    influxdb_url: str = _option("http://localhost:8086", parsers.url, "address of InfluxDB")
    influxdb_api: str = _option(
        "v2",
        parsers.choice("v2", "v1"),
        "v2: /api/v2/write with a token; v1: /write with user and password",
    )
    influxdb_org: str = _option("GIST", parsers.text, "organisation (v2)")
    influxdb_bucket: str = _option("Labs", parsers.text, "bucket (v2)")
    influxdb_token: Secret = _option(
        None, Secret, "token that may write to the bucket (v2)", lab="INFLUXDB_ADMIN_TOKEN"
    )
    influxdb_database: str = _option("Labs", parsers.text, "database (v1)")
    influxdb_retention_policy: str = _option("autogen", parsers.text, "retention policy (v1)")
    influxdb_user: str = _option("", str, "user (v1)", lab="INFLUXDB_V1_USER")
    influxdb_password: Secret = _option(None, Secret, "password (v1)", lab="INFLUXDB_V1_PASSWORD")
    # Two in a row must fit in Kafka's max.poll.interval.ms of 300 s.
    influxdb_timeout_s: float = _option(
        "30", parsers.seconds(0.1, 120), "seconds to wait for the answer to one write"
    )
    batch_lines: int = _option("5000", parsers.whole(1, 100_000), "maximum lines in a batch")
    batch_bytes: int = _option(
        "4000000", parsers.whole(1_000, 100_000_000), "maximum bytes in a batch, before compression"
    )
    batch_age_ms: int = _option(
        "100",
        parsers.whole(1, 60_000),
        "maximum age of a batch in milliseconds",
    )
    format: str = _option(
        "auto",
        parsers.choice("auto", "json", "msgpack", "text"),
        "format of the records; auto detects it for each message",
    )
    measurement: str = _option("labs", parsers.measurement, "measurement of every point")
    tags: tuple[tuple[str, str], ...] = _option(
        "host=Labs,region=GIST", parsers.tags, "tags of every point"
    )
    rename: tuple[tuple[str, str], ...] = _option(
        "free_ram:memory,tx_bytes:tx,rx_bytes:rx,cpu_load:CPU_Usage,tx_drops:tx_dropped,rx_drops:rx_dropped,"
        "tx_errors:txError,rx_errors:rxError,disk_util:disk,"
        "cpu:CPU_Usage,txDropped:tx_dropped,rxDropped:rx_dropped",
        parsers.renames,
        "new names for fields of a record; the settings below use the new names",
    )
    tag_fields: tuple[str, ...] = _option(
        "ip,deviceId", parsers.tag_names, "fields of a record that become tags"
    )
    number_fields: tuple[str, ...] = _option(
        "memory,tx,rx,CPU_Usage,tx_dropped,rx_dropped,rxError,txError,disk",
        parsers.names,
        "fields that hold numbers, even if sent as text; a value that is not a number is omitted",
    )
    time_fields: tuple[str, ...] = _option(
        "timestamp,time",
        parsers.names,
        "fields that may hold the record's time; the first one with a readable time is used",
    )
    time_window_s: int = _option(
        "86400",
        parsers.whole(1, 10**9),
        "largest difference in seconds between the record's and Kafka's time; beyond it, Kafka's time "
        "is used",
    )
    identity_partitions: int = _option(
        "16",
        parsers.whole(1, 4096),
        "must be above the highest partition's number; after a change, records that are read again "
        "become new points",
    )
    max_record_bytes: int = _option("1000000", parsers.whole(100, 10**8), "largest record, in bytes")
    max_depth: int = _option("8", parsers.whole(1, 100), "deepest nesting of a record")
    max_fields: int = _option("256", parsers.whole(1, MOST_FIELDS), "most fields of a record")
    max_key_bytes: int = _option("256", parsers.whole(1, 60_000), "longest name of a field, in bytes")
    max_tag_bytes: int = _option("256", parsers.whole(1, 60_000), "longest value of a tag, in bytes")
    max_text_bytes: int = _option(
        "65536", parsers.whole(1, 1_000_000), "longest value of a string field, in bytes"
    )
    retry_max_s: float = _option(
        "1.5", parsers.seconds(0.1, 600), "longest pause between two attempts, in seconds"
    )
    retry_after_max_s: float = _option(
        "60", parsers.seconds(0, 3600), "maximum Retry-After that is obeyed, in seconds"
    )
    probe_s: float = _option(
        "5", parsers.seconds(0.1, 3600), "pause between attempts after 401, 403 and 404, in seconds"
    )
    drain_s: float = _option(
        "10",
        parsers.seconds(0.1, 600),
        "time in seconds to finish the batch on SIGTERM, or before a partition is revoked",
    )
    commit_idle_s: float = _option(
        "30",
        parsers.seconds(1, 3600),
        "seconds without records after which offsets are committed again, for lag monitors",
    )
    run_dir: Path = _option("var", Path, "folder of the workers' state files")
    log_level: str = _option(
        "INFO", parsers.choice("DEBUG", "INFO", "WARNING", "ERROR"), "lowest level that is logged"
    )
    kafka: Mapping[str, str | Secret] = field(metadata={})

    @property
    def group(self) -> str:
        """The consumer group all workers are members of."""
        return str(self.kafka["group.id"])


def options() -> list[dataclasses.Field[Any]]:
    """All settings but the Kafka properties, in the order of the table in docs/settings.md."""
    return [each for each in dataclasses.fields(Settings) if each.metadata]


def variable(option: dataclasses.Field[Any]) -> str:
    """The environment variable of a setting."""
    return PREFIX + option.name.upper()


def load(environ: Mapping[str, str], *, credentials: bool = True) -> Settings:
    """Read and check every setting.

    Args:
        environ: The environment, names to values.
        credentials: False lets InfluxDB's token and password be absent or unreadable, because
            commands that only use Kafka must work for users who may not read them.

    Returns:
        The settings, all valid.

    Raises:
        SettingsError: A setting is unknown, malformed or missing; its text names the setting.
    """
    given = {**_from_file(environ.get("TOWER_CONFIG")), **environ}
    _reject_unknown(given)
    chosen = {each.name: _value(each, given, credentials) for each in options()}
    settings = Settings(kafka=_kafka(given), **chosen)
    if settings.topic == settings.dead_letter_topic:
        raise SettingsError(
            "TOWER_DEAD_LETTER_TOPIC", "must differ from TOWER_TOPIC: Tower would read its own dead letters"
        )
    _reject_old_names(settings)
    if not credentials:
        return settings
    if settings.influxdb_api == "v2" and not settings.influxdb_token:
        raise SettingsError("TOWER_INFLUXDB_TOKEN", "is missing; set it, or TOWER_INFLUXDB_TOKEN_FILE")
    if settings.influxdb_api == "v1" and not (settings.influxdb_user and settings.influxdb_password):
        missing = "PASSWORD" if settings.influxdb_user else "USER"
        raise SettingsError(f"TOWER_INFLUXDB_{missing}", "is missing; TOWER_INFLUXDB_API=v1 needs it")
    return settings


def _value(option: dataclasses.Field[Any], given: Mapping[str, str], credentials: bool) -> Any:
    name, parse = variable(option), option.metadata["parse"]
    if parse is Secret:
        try:
            return _secret(name, option.metadata["lab"], given)
        except SettingsError:
            if credentials:
                raise
            return Secret()
    raw = given.get(name, given.get(option.metadata["lab"], option.metadata["default"]))
    if raw is None:
        return None
    if not raw.isprintable():
        # A control character would break the request in a header or address, and every line in a tag.
        raise SettingsError(name, "contains a control character or is not UTF-8")
    try:
        return parse(raw)
    except ValueError as error:
        raise SettingsError(name, str(error)) from None


def _reject_old_names(settings: Settings) -> None:
    """Reject a tag, number or time whose name is renamed: no record would have it."""
    new_names = dict(settings.rename)
    for option in ("tag_fields", "number_fields", "time_fields"):
        for name in getattr(settings, option):
            if name in new_names and name not in new_names.values():
                raise SettingsError(
                    PREFIX + option.upper(),
                    f"contains {name}, but TOWER_RENAME renames it to {new_names[name]}: use "
                    f"{new_names[name]} here, or remove {name} from TOWER_RENAME",
                )


def _secret(name: str, lab: str, given: Mapping[str, str], lines: bool = False) -> Secret:
    file = given.get(f"{name}_FILE")
    if file and given.get(name):
        raise SettingsError(name, f"is set, and so is {name}_FILE: remove one of them")
    if not file:
        source = name if given.get(name) or not given.get(lab) else lab
        try:
            return Secret(given.get(source), lines=lines)
        except ValueError as error:
            raise SettingsError(source, str(error)) from None
    try:
        return Secret(file=Path(file), lines=lines)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}_FILE", f"cannot be read: {error}") from None


def _kafka(given: Mapping[str, str]) -> dict[str, str | Secret]:
    """Read Kafka's properties: TOWER_KAFKA_SSL_CA_LOCATION is `ssl.ca.location`."""
    properties: dict[str, str | Secret] = dict(KAFKA_DEFAULTS)
    for name in sorted(given):
        if not name.startswith(KAFKA_PREFIX):
            continue
        stem = name.removesuffix("_FILE")
        secret = any(word in stem for word in SECRET_WORDS)
        key = (stem if secret else name).removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
        if key in FIXED_KAFKA and given[name].lower() != FIXED_KAFKA[key]:
            what = (
                "skip records whose offset is gone" if "reset" in key else "commit unacknowledged records"
            )
            raise SettingsError(name, f"must be {FIXED_KAFKA[key]}: Tower must not {what}")
        properties[key] = _secret(stem, "", given, lines=True) if secret else given[name]
    for key in KAFKA_DEFAULTS:
        if not properties[key]:
            # Without a broker librdkafka waits forever; without a group it aborts the process.
            raise SettingsError(KAFKA_PREFIX + key.upper().replace(".", "_"), "must not be empty")
    return properties


def _from_file(path: str | None) -> dict[str, str]:
    """Read the settings file's variables; reject those that only the environment may set."""
    if not path:
        return {}
    variables = settings_file.read(path)
    for name in sorted(OTHER_VARIABLES & variables.keys()):
        # supervisord does not read the file, so the size of the pool would not change.
        raise SettingsError(
            name, "is read from the environment only; remove it from the file that TOWER_CONFIG names"
        )
    return variables


def _reject_unknown(given: Mapping[str, str]) -> None:
    known = {variable(each) for each in options()} | OTHER_VARIABLES
    known |= {f"{variable(each)}_FILE" for each in options() if each.metadata["parse"] is Secret}
    for name in sorted(given):
        if name.startswith(PREFIX) and name not in known and not name.startswith(KAFKA_PREFIX):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; docs/settings.md lists all of them"
            raise SettingsError(name, f"is not a setting of Tower{hint}")
