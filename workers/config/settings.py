"""Every setting of a worker, read once: environment first, then the settings file."""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.config import kafka_properties, parsers, routes_file, settings_file
from workers.config.kafka_properties import KAFKA_PREFIX
from workers.config.limits import Limits
from workers.config.options import declared, option, values, variable
from workers.config.route import Route
from workers.config.secret import Secret
from workers.config.settings_file import PREFIX
from workers.errors import SettingsError

#: Variables with the prefix that are read by supervisord or the launcher, not by a worker.
OTHER_VARIABLES = frozenset({"TOWER_CONFIG", "TOWER_WORKERS"})

#: Settings of earlier versions, with what to do.
REMOVED = {
    "TOWER_IDENTITY_PARTITIONS": "is no longer needed: every topic has room for 8,192 partitions. Remove it"
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one worker, built by `load`.

    Attributes:
        routes: How the records of the topics become points.
        limits: Limits on the size of a record.
        kafka: Properties of Kafka's client.
    """

    dead_letter_topic: str = option("resource.dlq", parsers.topic, "topic for dead letters")
    worker: int | None = option(
        None,
        parsers.whole(0, 9999),
        "number of this worker, set by supervisord; makes it a static member of the group",
    )
    influxdb_url: str = option("http://localhost:8086", parsers.url, "address of InfluxDB")
    influxdb_api: str = option(
        "v2",
        parsers.choice("v2", "v1"),
        "v2: /api/v2/write with a token; v1: /write with user and password",
    )
    influxdb_org: str = option("GIST", parsers.text, "organisation (v2)")
    influxdb_bucket: str = option("Labs", parsers.text, "bucket (v2)")
    influxdb_token: Secret = option(
        None, Secret, "token that may write to the bucket (v2)", lab="INFLUXDB_ADMIN_TOKEN"
    )
    influxdb_database: str = option("Labs", parsers.text, "database (v1)")
    influxdb_retention_policy: str = option("autogen", parsers.text, "retention policy (v1)")
    influxdb_user: str = option("", str, "user (v1)", lab="INFLUXDB_V1_USER")
    influxdb_password: Secret = option(None, Secret, "password (v1)", lab="INFLUXDB_V1_PASSWORD")
    influxdb_ca_file: Path | None = option(
        None,
        parsers.file,
        "PEM file of the authority that issued InfluxDB's certificate; the system's by default",
    )
    influxdb_cert_file: Path | None = option(
        None, parsers.file, "PEM file of a client certificate for InfluxDB"
    )
    influxdb_key_file: Path | None = option(
        None,
        parsers.file,
        "PEM file of its key, not encrypted; if not set, the certificate's file has it",
    )
    # Two in a row must fit in Kafka's max.poll.interval.ms of 300 s.
    influxdb_timeout_s: float = option(
        "30", parsers.seconds(0.1, 120), "seconds to wait for the answer to one write"
    )
    convert_values: str = option(
        "yes",
        parsers.choice("yes", "no"),
        "convert a value without loss if InfluxDB has another type for its field",
    )
    batch_lines: int = option("5000", parsers.whole(1, 100_000), "maximum lines in a batch")
    batch_bytes: int = option(
        "4000000", parsers.whole(1_000, 100_000_000), "maximum bytes in a batch, before compression"
    )
    batch_age_ms: int = option(
        "100",
        parsers.whole(1, 60_000),
        "maximum age of a batch in milliseconds",
    )
    retry_max_s: float = option(
        "1.5", parsers.seconds(0.1, 600), "longest pause between two attempts, in seconds"
    )
    retry_after_max_s: float = option(
        "60", parsers.seconds(0, 3600), "maximum Retry-After that is obeyed, in seconds"
    )
    probe_s: float = option(
        "5", parsers.seconds(0.1, 3600), "pause between attempts after 401, 403 and 404, in seconds"
    )
    drain_s: float = option(
        "10",
        parsers.seconds(0.1, 600),
        "time in seconds to finish the batch on SIGTERM, or before a partition is revoked",
    )
    commit_idle_s: float = option(
        "30",
        parsers.seconds(1, 3600),
        "seconds without records after which offsets are committed again, for lag monitors",
    )
    routes_path: str = option(
        "", str, "file of routes, for several topics or other records (docs/routes.md)", name="routes"
    )
    run_dir: Path = option("var", Path, "folder of the workers' state files")
    log_level: str = option(
        "INFO", parsers.choice("DEBUG", "INFO", "WARNING", "ERROR"), "lowest level that is logged"
    )
    log_format: str = option(
        "text", parsers.choice("text", "json"), "format of the log; json: one object a line, for programs"
    )
    serve_address: parsers.Address | None = option(
        "127.0.0.1:8787", parsers.address, "address and port of `tower serve`; off: it does not run"
    )
    serve_points_s: float = option(
        "0", parsers.seconds(0, 3600), "seconds between points about the pool (docs/monitoring.md); 0: none"
    )
    routes: tuple[Route, ...] = field(metadata={})
    limits: Limits = field(metadata={})
    kafka: Mapping[str, str | Secret] = field(metadata={})

    @property
    def route(self) -> Route:
        """The first route."""
        return self.routes[0]

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics of all routes: names, and patterns, which begin with `^`."""
        return tuple(topic for route in self.routes for topic in route.topics)

    @property
    def has_several_topics(self) -> bool:
        """Whether there are, or may be, several topics."""
        return len(self.topics) > 1 or self.topics[0].startswith("^")

    @property
    def has_several_buckets(self) -> bool:
        """Whether routes write to different buckets, or to another one than that of the settings."""
        return {route.bucket for route in self.routes} != {self.bucket}

    @property
    def bucket(self) -> str:
        """The bucket (v2) or database (v1) of routes that name none."""
        return self.influxdb_bucket if self.influxdb_api == "v2" else self.influxdb_database

    def bucket_of(self, topic: str) -> str:
        """Return the bucket of a topic's points."""
        return next((route.bucket for route in self.routes if route.matches(topic)), self.bucket)

    def for_topic(self, topic: str) -> "Settings":
        """Return the same settings as if the route of a topic, with its bucket, were the only one.

        Raises:
            StopIteration: No route matches the topic.
        """
        route = next(route for route in self.routes if route.matches(topic)).for_partition(topic, 0)
        is_v2 = self.influxdb_api == "v2"
        return dataclasses.replace(
            self,
            routes=(route,),
            influxdb_bucket=route.bucket if is_v2 else self.influxdb_bucket,
            influxdb_database=self.influxdb_database if is_v2 else route.bucket,
        )

    @property
    def topic(self) -> str:
        """The topic, if there is only one.

        Raises:
            SettingsError: There may be several.
        """
        if self.has_several_topics:
            raise SettingsError(
                routes_file.SETTING, "names several topics, and this command works with one"
            )
        return self.topics[0]

    @property
    def group(self) -> str:
        """The consumer group all workers are members of."""
        return str(self.kafka["group.id"])


def options() -> list[dataclasses.Field[Any]]:
    """All settings but the Kafka properties, in the order of the table in docs/settings.md."""
    return [*declared(Route), *declared(Limits), *declared(Settings)]


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
    given = {**_from_file(environ.get("TOWER_CONFIG") or settings_file.beside()), **environ}
    _reject_unknown(given)
    limits = Limits(**values(Limits, given))
    own = values(Settings, given, credentials)
    bucket = own["influxdb_bucket" if own["influxdb_api"] == "v2" else "influxdb_database"]
    settings = Settings(
        routes=_routes(given, limits, bucket), limits=limits, kafka=kafka_properties.read(given), **own
    )
    for route in settings.routes:
        if route.matches(settings.dead_letter_topic):
            raise SettingsError(
                "TOWER_DEAD_LETTER_TOPIC",
                f"must differ from the topics of {route.label}: Tower would read its own dead letters",
            )
    if not credentials:
        return settings
    if settings.influxdb_api == "v2" and not settings.influxdb_token:
        raise SettingsError("TOWER_INFLUXDB_TOKEN", "is missing; set it, or TOWER_INFLUXDB_TOKEN_FILE")
    if settings.influxdb_api == "v1" and not (settings.influxdb_user and settings.influxdb_password):
        missing = "PASSWORD" if settings.influxdb_user else "USER"
        raise SettingsError(f"TOWER_INFLUXDB_{missing}", "is missing; TOWER_INFLUXDB_API=v1 needs it")
    return settings


def changed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that are set, by variable, without secrets and Kafka properties.

    Args:
        environ: The environment, names to values. `load` has accepted it.
    """
    given = {**_from_file(environ.get("TOWER_CONFIG") or settings_file.beside()), **environ}
    public = (variable(each) for each in options() if each.metadata["parse"] is not Secret)
    return {name: given[name] for name in public if name in given}


def _routes(given: Mapping[str, str], limits: Limits, bucket: str) -> tuple[Route, ...]:
    """Return the routes of the file that TOWER_ROUTES names, else the one of the variables."""
    path = given.get(routes_file.SETTING)
    if path:
        for option_ in declared(Route):
            if variable(option_) in given:
                raise SettingsError(
                    variable(option_), f"is set, and so is {routes_file.SETTING}: remove one of them"
                )
        return routes_file.read(path, limits, bucket)
    route = Route(limits=limits, **{"bucket": bucket, **values(Route, given)})
    if (old := route.old_name()) is not None:
        key, name, new = old
        raise SettingsError(
            PREFIX + key.upper(),
            f"contains {name}, but TOWER_RENAME renames it to {new}: use {new} here, or remove {name} from "
            "TOWER_RENAME",
        )
    return (route,)


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
        if name in REMOVED:
            raise SettingsError(name, REMOVED[name])
        if name.startswith(PREFIX) and name not in known and not name.startswith(KAFKA_PREFIX):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; docs/settings.md lists all of them"
            raise SettingsError(name, f"is not a setting of Tower{hint}")
