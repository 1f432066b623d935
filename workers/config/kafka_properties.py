"""The settings that are properties of Kafka's client."""

from collections.abc import Mapping

from workers.config.options import secret
from workers.config.secret import Secret
from workers.errors import SettingsError

KAFKA_PREFIX = "TOWER_KAFKA_"

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


def read(given: Mapping[str, str]) -> dict[str, str | Secret]:
    """Read Kafka's properties: TOWER_KAFKA_SSL_CA_LOCATION is `ssl.ca.location`.

    Raises:
        SettingsError: A property must not be set so, or its file cannot be read.
    """
    properties: dict[str, str | Secret] = dict(KAFKA_DEFAULTS)
    for name in sorted(given):
        if not name.startswith(KAFKA_PREFIX):
            continue
        stem = name.removesuffix("_FILE")
        is_secret = any(word in stem for word in SECRET_WORDS)
        key = (stem if is_secret else name).removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
        if key in FIXED_KAFKA and given[name].lower() != FIXED_KAFKA[key]:
            what = (
                "skip records whose offset is gone" if "reset" in key else "commit unacknowledged records"
            )
            raise SettingsError(name, f"must be {FIXED_KAFKA[key]}: Tower must not {what}")
        properties[key] = secret(stem, "", given, lines=True) if is_secret else given[name]
    for key in KAFKA_DEFAULTS:
        if not properties[key]:
            # Without a broker librdkafka waits forever; without a group it aborts the process.
            raise SettingsError(KAFKA_PREFIX + key.upper().replace(".", "_"), "must not be empty")
    return properties
