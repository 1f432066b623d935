"""The properties of Kafka's clients."""

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from tests.support import fakes
from workers.config.kafka_properties import FIXED_KAFKA
from workers.errors import SettingsError
from workers.kafka.properties import (
    CLASSIC,
    COMMON,
    CONSUMER,
    PRODUCER,
    advice,
    client_properties,
    consumer_properties,
    creation_error,
    is_incremental,
    producer_properties,
    reader_properties,
)

BROKERS = {"TOWER_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}

#: KIP-848 leaves these to the broker, and librdkafka refuses them at construction.
BROKERS_OWN = {
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
}

NEW = {"TOWER_KAFKA_GROUP_PROTOCOL": "consumer"}


def consumer(environ: dict[str, str] | None = None, **options: object) -> dict[str, Any]:
    return consumer_properties(fakes.settings(environ, **options))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_librdkafka_accepts_what_tower_sets(protocol: str) -> None:
    config = consumer({**BROKERS, "TOWER_KAFKA_GROUP_PROTOCOL": protocol}, worker=1)

    Consumer({**config, "log_level": 0}).close()


def test_librdkafka_accepts_what_tower_sets_for_dead_letters_and_readers() -> None:
    settings = fakes.settings(BROKERS)

    Producer({**producer_properties(settings), "log_level": 0})
    Consumer({**reader_properties(settings), "group.id": "reader", "log_level": 0}).close()


@pytest.mark.parametrize("environ", [{}, NEW])
@pytest.mark.parametrize(("key", "value"), FIXED_KAFKA.items())
def test_the_fixed_properties_cannot_be_changed(environ: dict[str, str], key: str, value: str) -> None:
    assert consumer(environ)[key] == value


def test_a_users_property_comes_before_towers_default() -> None:
    assert consumer({"TOWER_KAFKA_SESSION_TIMEOUT_MS": "30000"})["session.timeout.ms"] == "30000"
    assert consumer({"TOWER_KAFKA_CLIENT_ID": "nuc"})["client.id"] == "nuc"


class TestMembership:
    """A worker that restarts gets its partition back."""

    def test_a_numbered_worker_is_a_static_member(self) -> None:
        places = {consumer(worker=number)["group.instance.id"] for number in range(3)}

        assert len(places) == 3
        assert consumer(worker=1)["group.instance.id"] == consumer(worker=1)["group.instance.id"]

    def test_two_groups_on_one_machine_share_no_member_id(self) -> None:
        other = consumer({"TOWER_KAFKA_GROUP_ID": "other"}, worker=1)

        assert other["group.instance.id"] != consumer(worker=1)["group.instance.id"]

    def test_a_worker_without_a_number_is_no_static_member(self) -> None:
        assert "group.instance.id" not in consumer()

    def test_a_users_member_id_is_used(self) -> None:
        config = consumer({"TOWER_KAFKA_GROUP_INSTANCE_ID": "mine"}, worker=1)

        assert config["group.instance.id"] == "mine"

    def test_kip_848_gets_no_static_member_and_no_property_that_the_broker_decides(self) -> None:
        config = consumer(NEW, worker=1)

        assert not config.keys() & (BROKERS_OWN | {"group.instance.id"})

    def test_the_classic_protocol_is_the_default(self) -> None:
        assert consumer()["session.timeout.ms"] == CLASSIC["session.timeout.ms"]


@pytest.mark.parametrize(
    ("environ", "incremental"),
    [
        ({}, False),
        ({"TOWER_KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "range"}, False),
        ({"TOWER_KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "cooperative-sticky"}, True),
        (NEW, True),
        ({"TOWER_KAFKA_GROUP_PROTOCOL": "CONSUMER"}, True),
    ],
)
def test_incremental_assignment_is_recognised(environ: dict[str, str], incremental: bool) -> None:
    assert is_incremental(consumer(environ)) is incremental


SECURE = {
    "TOWER_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "TOWER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "TOWER_KAFKA_SASL_USERNAME": "tower",
    "TOWER_KAFKA_SASL_PASSWORD": "hunter2",
    "TOWER_KAFKA_SSL_CA_LOCATION": "/ca.pem",
    "TOWER_KAFKA_ENABLE_SSL_CERTIFICATE_VERIFICATION": "true",
    "TOWER_KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM": "https",
}


class TestOtherClients:
    """The same connection to the same brokers."""

    @pytest.mark.parametrize("properties", [client_properties, producer_properties, reader_properties])
    def test_properties_of_the_connection_are_shared(self, properties: Any) -> None:
        config = properties(fakes.settings(SECURE))

        assert config["sasl.password"] == "hunter2"
        assert {key: config[key] for key in config if key.startswith(("ss", "sa", "se", "en"))}.items() >= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "tower",
            "ssl.ca.location": "/ca.pem",
            "enable.ssl.certificate.verification": "true",
            "ssl.endpoint.identification.algorithm": "https",
        }.items()

    @pytest.mark.parametrize("properties", [client_properties, producer_properties])
    def test_properties_of_the_member_are_not(self, properties: Any) -> None:
        config = properties(fakes.settings({"TOWER_KAFKA_MAX_POLL_INTERVAL_MS": "90000"}, worker=1))

        assert not config.keys() & {
            "group.id",
            "group.instance.id",
            "max.poll.interval.ms",
            *FIXED_KAFKA,
            *CONSUMER,
        }

    def test_dead_letters_are_stored_once_and_retried(self) -> None:
        config = producer_properties(fakes.settings())

        assert config.items() >= {**COMMON, **PRODUCER}.items()
        assert config["enable.idempotence"] == "true"


def test_tower_itself_never_turns_verification_off() -> None:
    for config in (consumer(), producer_properties(fakes.settings()), reader_properties(fakes.settings())):
        assert "ssl.endpoint.identification.algorithm" not in config
        assert "enable.ssl.certificate.verification" not in config


@pytest.mark.parametrize(
    ("environ", "option"),
    [
        ({"TOWER_KAFKA_NO_SUCH_THING": "1"}, "TOWER_KAFKA_NO_SUCH_THING"),
        ({"TOWER_KAFKA_SESSION_TIMEOUT_MS": "soon"}, "TOWER_KAFKA_SESSION_TIMEOUT_MS"),
        ({"TOWER_KAFKA_SESSION_TIMEOUT_MS": "999999999"}, "TOWER_KAFKA_SESSION_TIMEOUT_MS"),
        ({"TOWER_KAFKA_SECURITY_PROTOCOL": "a.b.c"}, "TOWER_KAFKA_SECURITY_PROTOCOL"),
        ({"TOWER_KAFKA_MAX_POLL_INTERVAL_MS": "1000"}, "TOWER_KAFKA_MAX_POLL_INTERVAL_MS"),
        ({**NEW, "TOWER_KAFKA_SESSION_TIMEOUT_MS": "9000"}, "TOWER_KAFKA_SESSION_TIMEOUT_MS"),
        ({**NEW, "TOWER_KAFKA_HEARTBEAT_INTERVAL_MS": "900"}, "TOWER_KAFKA_HEARTBEAT_INTERVAL_MS"),
        (
            {"TOWER_KAFKA_SECURITY_PROTOCOL": "SSL", "TOWER_KAFKA_SSL_CA_LOCATION": "/no/such/file"},
            "TOWER_KAFKA_SSL_CA_LOCATION",
        ),
    ],
)
def test_a_property_that_librdkafka_rejects_is_named_as_its_option(
    environ: dict[str, str], option: str
) -> None:
    with pytest.raises(KafkaException) as caught:
        Consumer({**consumer({**BROKERS, **environ}), "log_level": 0})

    error = creation_error(caught.value)

    assert isinstance(error, SettingsError)
    assert error.option == option
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        pytest.param(
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            "Give this user the right READ on topic labs;",
            id="topic",
        ),
        pytest.param(
            KafkaError.GROUP_AUTHORIZATION_FAILED, "Give this user the right READ on group nuc;", id="group"
        ),
        pytest.param(KafkaError.UNKNOWN_TOPIC_OR_PART, "Topic labs does not exist.", id="no topic"),
    ],
)
def test_the_advice_names_the_right_that_is_missing_and_what_it_is_on(code: int, text: str) -> None:
    assert advice(KafkaError(code), "labs", "READ on topic labs", "READ on group nuc").startswith(text)


def test_an_error_without_advice_says_that_the_worker_retries() -> None:
    assert advice(KafkaError(KafkaError._TIMED_OUT), "labs", "READ on topic labs").startswith(
        "The worker retries"
    )
