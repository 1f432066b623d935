"""Settings are read once, checked at start, and refused by name."""

import dataclasses
import traceback
from pathlib import Path

import pytest

from tests.support import fakes
from workers.config.kafka_properties import FIXED_KAFKA
from workers.config.options import variable
from workers.config.secret import Secret
from workers.config.settings import Settings, changed, load, options
from workers.errors import SettingsError

TOKEN = {"TOWER_INFLUXDB_TOKEN": "t0ken"}
CANARY = "CANARY-5f2c"


def refused(environ: dict[str, str]) -> SettingsError:
    """The error of settings that must not be taken."""
    with pytest.raises(SettingsError) as caught:
        load({**TOKEN, **environ})
    return caught.value


def test_what_is_set_is_named_and_no_secret_is_among_it(tmp_path: Path) -> None:
    config = tmp_path / "tower.toml"
    config.write_text("batch_lines = 10000\nbatch_age_ms = 7\n")
    environ = {
        "TOWER_CONFIG": str(config),
        "TOWER_BATCH_AGE_MS": "8",
        "TOWER_INFLUXDB_TOKEN": CANARY,
        "TOWER_INFLUXDB_PASSWORD": CANARY,
        "TOWER_KAFKA_SASL_PASSWORD": CANARY,
        "HOME": "/",
    }
    load(environ)

    assert changed(environ) == {"TOWER_BATCH_LINES": "10000", "TOWER_BATCH_AGE_MS": "8"}


def test_the_lab_needs_a_token_and_nothing_else() -> None:
    settings = load({"INFLUXDB_ADMIN_TOKEN": "from the lab"})

    assert settings.influxdb_token.reveal() == "from the lab"
    assert (settings.topic, settings.group, settings.influxdb_bucket) == ("resource", "tower", "Labs")
    assert settings.route.tags == (("host", "Labs"), ("region", "GIST"))


def test_towers_own_token_comes_before_the_labs() -> None:
    settings = load({**TOKEN, "INFLUXDB_ADMIN_TOKEN": "from the lab"})

    assert settings.influxdb_token.reveal() == "t0ken"


def test_v1_takes_the_labs_user_and_password() -> None:
    lab = {"INFLUXDB_V1_USER": "tower", "INFLUXDB_V1_PASSWORD": "hunter2"}

    settings = load({"TOWER_INFLUXDB_API": "v1", **lab})

    assert (settings.influxdb_user, settings.influxdb_password.reveal()) == ("tower", "hunter2")


@pytest.mark.parametrize("option", options(), ids=lambda option: str(option.name))
def test_every_default_is_valid_and_every_setting_is_told(option: dataclasses.Field[object]) -> None:
    default = option.metadata["default"]

    assert option.metadata["text"]
    if default is not None:
        option.metadata["parse"](default)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        fakes.settings().topic = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("TOWER_TOPIC", "", id="empty topic"),
        pytest.param("TOWER_TOPIC", "^resource.*", id="pattern of topics"),
        pytest.param("TOWER_TOPIC", "a,b", id="two topics"),
        pytest.param("TOWER_TOPIC", "a b", id="topic with a space"),
        pytest.param("TOWER_TOPIC", "..", id="topic that is a folder"),
        pytest.param("TOWER_DEAD_LETTER_TOPIC", "resource", id="dead letters read back"),
        pytest.param("TOWER_WORKER", "-1", id="negative worker"),
        pytest.param("TOWER_WORKER", "one", id="worker in words"),
        pytest.param("TOWER_INFLUXDB_URL", "localhost:8086", id="address without scheme"),
        pytest.param("TOWER_INFLUXDB_URL", "ftp://localhost", id="other scheme"),
        pytest.param("TOWER_INFLUXDB_URL", "http://", id="address without host"),
        pytest.param("TOWER_INFLUXDB_URL", "http://[::1", id="broken IPv6"),
        pytest.param("TOWER_INFLUXDB_URL", "http://localhost:99999", id="port too high"),
        pytest.param("TOWER_INFLUXDB_URL", "http://localhost:port", id="port in words"),
        pytest.param("TOWER_INFLUXDB_URL", "http://local host", id="space in the host"),
        pytest.param("TOWER_INFLUXDB_URL", "http://a..b", id="host with an empty label"),
        pytest.param("TOWER_INFLUXDB_URL", f"http://{'a' * 64}.b", id="host with a long label"),
        pytest.param("TOWER_INFLUXDB_URL", "http://localhost/a b", id="space in the path"),
        pytest.param("TOWER_INFLUXDB_URL", "http://localhost/ü", id="path that is not ASCII"),
        pytest.param("TOWER_INFLUXDB_URL", "http://localhost?org=GIST", id="query"),
        pytest.param("TOWER_INFLUXDB_URL", "http://localhost#top", id="fragment"),
        pytest.param("TOWER_INFLUXDB_API", "v3", id="other API"),
        pytest.param("TOWER_INFLUXDB_ORG", "", id="empty organisation"),
        pytest.param("TOWER_INFLUXDB_ORG", "GI\nST", id="line break"),
        pytest.param("TOWER_INFLUXDB_ORG", "\udcff", id="not UTF-8"),
        pytest.param("TOWER_INFLUXDB_TIMEOUT_S", "nan", id="NaN seconds"),
        pytest.param("TOWER_INFLUXDB_TIMEOUT_S", "inf", id="infinite seconds"),
        pytest.param("TOWER_INFLUXDB_TIMEOUT_S", "0", id="no time-out"),
        pytest.param("TOWER_BATCH_LINES", "0", id="empty batches"),
        pytest.param("TOWER_BATCH_LINES", "5e3", id="lines as a float"),
        pytest.param("TOWER_BATCH_LINES", "9" * 5_000, id="5,000 digits"),
        pytest.param("TOWER_FORMAT", "avro", id="other format"),
        pytest.param("TOWER_MEASUREMENT", "", id="empty measurement"),
        pytest.param("TOWER_MEASUREMENT", "#labs", id="measurement that makes a comment of each line"),
        pytest.param("TOWER_TAGS", "host", id="tag without value"),
        pytest.param("TOWER_LINE_TAGS", "host", id="tag of lines without value"),
        pytest.param("TOWER_TAGS", "host=", id="tag with an empty value"),
        pytest.param("TOWER_TAGS", "time=now", id="reserved constant tag"),
        pytest.param("TOWER_TAG_FIELDS", "ip,_field", id="reserved tag"),
        pytest.param("TOWER_RENAME", "free_ram", id="rename without a colon"),
        pytest.param("TOWER_RENAME", "a:b,free_ram=memory", id="rename with an equals sign"),
        pytest.param("TOWER_RENAME", ":memory", id="rename of no name"),
        pytest.param("TOWER_RENAME", "free_ram:", id="rename to no name"),
        pytest.param("TOWER_RENAME", " : ", id="rename of nothing to nothing"),
        pytest.param("TOWER_RENAME", "a:b,a:c", id="rename to two names"),
        pytest.param("TOWER_RENAME", "a:b,a:b", id="rename twice"),
        pytest.param("TOWER_RENAME", "a: a", id="rename to itself"),
        pytest.param("TOWER_RENAME", "a:b\tc", id="control character in a new name"),
        pytest.param("TOWER_TAG_FIELDS", "ip,cpu", id="tag by a name that is renamed"),
        pytest.param("TOWER_NUMBER_FIELDS", "memory,free_ram", id="number by a name that is renamed"),
        pytest.param("TOWER_TIME_FIELDS", "tx_bytes", id="time by a name that is renamed"),
        pytest.param("TOWER_TIME_ZONE", "Asia/Gwangju", id="zone that does not exist"),
        pytest.param("TOWER_TIME_ZONE", "KST", id="abbreviation of a zone"),
        pytest.param("TOWER_TIME_ZONE", "../etc/passwd", id="zone that is a path"),
        pytest.param("TOWER_TIME_ZONE", "", id="no zone"),
        pytest.param("TOWER_TIME_FORMAT", "%H:%M:%S", id="time without a date"),
        pytest.param("TOWER_TIME_FORMAT", "%Y-%m-%d %H:%M:%S %Z", id="zone by its name"),
        pytest.param("TOWER_TIME_FORMAT", "%Y-%m-%dT%H:%M:%S.%L", id="directive of Ruby"),
        pytest.param("TOWER_TIME_FORMAT", "yyyy-MM-dd", id="format of Java"),
        pytest.param("TOWER_TIME_WINDOW_S", "-1", id="negative window"),
        pytest.param("TOWER_IDENTITY", "offset", id="other identity"),
        pytest.param("TOWER_LOG_LEVEL", "info", id="level in small letters"),
        pytest.param("TOWER_KAFKA_ENABLE_AUTO_COMMIT", "true", id="auto-commit"),
        pytest.param("TOWER_KAFKA_ENABLE_AUTO_OFFSET_STORE", "true", id="auto offset store"),
        pytest.param("TOWER_KAFKA_AUTO_OFFSET_RESET", "latest", id="offset reset"),
        pytest.param("TOWER_KAFKA_GROUP_ID", "", id="empty group"),
        pytest.param("TOWER_KAFKA_BOOTSTRAP_SERVERS", "", id="no brokers"),
        pytest.param("TOWER_TOPPIC", "resource", id="unknown option"),
        pytest.param("TOWER_TOPIC_FILE", "/x", id="file of what is no secret"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name_in_one_line(name: str, value: str) -> None:
    error = refused({name: value})

    assert error.option == name
    assert str(error).startswith(f"{name}: ")
    assert str(error).isprintable()


def test_the_default_renames_fill_the_labs_fields() -> None:
    settings = fakes.settings()

    assert dict(settings.route.rename) == {
        "free_ram": "memory", "tx_bytes": "tx", "rx_bytes": "rx", "cpu_load": "CPU_Usage",
        "tx_drops": "tx_dropped", "rx_drops": "rx_dropped", "tx_errors": "txError", "rx_errors": "rxError",
        "disk_util": "disk", "cpu": "CPU_Usage", "txDropped": "tx_dropped", "rxDropped": "rx_dropped",
    }  # fmt: skip
    assert set(dict(settings.route.rename).values()) == set(settings.route.number_fields)


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        pytest.param("", (), id="empty"),
        pytest.param(" , ", (), id="commas alone"),
        pytest.param("a:b", (("a", "b"),), id="one"),
        pytest.param(" b : c , a:c,", (("b", "c"), ("a", "c")), id="spaces and order"),
        pytest.param("IF-MIB::ifInOctets.2:rx", (("IF-MIB::ifInOctets.2", "rx"),), id="name with colons"),
        pytest.param("a:b,b:c", (("a", "b"), ("b", "c")), id="chain"),
    ],
)
def test_a_rename_is_a_name_and_its_new_name(raw: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert fakes.route(rename=raw).rename == pairs


def test_a_number_by_a_name_that_is_renamed_is_refused_with_the_name_to_write() -> None:
    error = refused({"TOWER_RENAME": "load:CPU_Usage", "TOWER_NUMBER_FIELDS": "load"})

    assert str(error) == (
        "TOWER_NUMBER_FIELDS: contains load, but TOWER_RENAME renames it to CPU_Usage: use CPU_Usage "
        "here, or remove load from TOWER_RENAME"
    )


def test_a_new_name_may_be_renamed_itself_and_be_a_number() -> None:
    settings = fakes.settings(rename="a:b,b:c", number_fields="b,c")

    assert settings.route.number_fields == ("b", "c")


@pytest.mark.parametrize("name", ["TOWER_INFLUXDB_TOKEN", "INFLUXDB_ADMIN_TOKEN"])
def test_a_token_of_two_lines_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({name: f"{CANARY}\nx"})

    assert caught.value.option == name
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("environ", "option"),
    [
        pytest.param({}, "TOWER_INFLUXDB_TOKEN", id="v2 without token"),
        pytest.param({"TOWER_INFLUXDB_TOKEN": ""}, "TOWER_INFLUXDB_TOKEN", id="v2 with an empty token"),
        pytest.param({"TOWER_INFLUXDB_API": "v1"}, "TOWER_INFLUXDB_USER", id="v1 without user"),
        pytest.param(
            {"TOWER_INFLUXDB_API": "v1", "TOWER_INFLUXDB_USER": "tower"},
            "TOWER_INFLUXDB_PASSWORD",
            id="v1 without password",
        ),
    ],
)
def test_missing_credentials_are_named(environ: dict[str, str], option: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ)

    assert caught.value.option == option


def test_an_unknown_option_is_told_with_the_one_that_was_meant() -> None:
    assert "did you mean TOWER_TOPIC?" in str(refused({"TOWER_TOPPIC": "resource"}))


@pytest.mark.parametrize("name", ["TOWER_WORKERS", "TOWER_CONFIG", "TOWERS", "PATH"])
def test_variables_of_others_are_left_alone(name: str) -> None:
    load({**TOKEN, name: ""})


@pytest.mark.parametrize(
    "url",
    [
        f"http://tower:{CANARY}@localhost:8086",
        f"http://{CANARY}℀@localhost",
        f"tower:{CANARY}@localhost",
        f"http://localhost:8086/?token={CANARY}",
    ],
)
def test_an_address_with_a_password_is_refused_and_not_repeated(url: str) -> None:
    error = refused({"TOWER_INFLUXDB_URL": url})

    assert CANARY not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("http://localhost:8086/", "http://localhost:8086"),
        ("https://influx.example/behind/a/proxy/", "https://influx.example/behind/a/proxy"),
        ("http://[::1]:8086", "http://[::1]:8086"),
    ],
)
def test_an_address_is_kept_without_its_last_slash(url: str, kept: str) -> None:
    assert fakes.settings(influxdb_url=url).influxdb_url == kept


class TestSecrets:
    """Where they come from, and where they do not show."""

    def test_one_in_a_file_is_read_without_the_white_space_around_it(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text(" t0ken\n")

        assert load({"TOWER_INFLUXDB_TOKEN_FILE": str(file)}).influxdb_token.reveal() == "t0ken"

    @pytest.mark.parametrize(
        "content", [pytest.param(None, id="missing"), b"", b" \n", b"\xff", b"two\nlines"]
    )
    def test_a_file_that_holds_no_secret_is_refused_by_name(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        file = tmp_path / "token"
        if content is not None:
            file.write_bytes(content)

        with pytest.raises(SettingsError) as caught:
            load({"TOWER_INFLUXDB_TOKEN_FILE": str(file)})

        assert caught.value.option == "TOWER_INFLUXDB_TOKEN_FILE"

    def test_one_that_is_given_twice_is_refused(self, tmp_path: Path) -> None:
        assert refused({"TOWER_INFLUXDB_TOKEN_FILE": str(tmp_path)}).option == "TOWER_INFLUXDB_TOKEN"

    @pytest.mark.parametrize(
        "name",
        [
            "TOWER_KAFKA_SASL_PASSWORD",
            "TOWER_KAFKA_SSL_KEY_PASSWORD",
            "TOWER_KAFKA_SSL_KEY_PEM",
            "TOWER_KAFKA_SASL_OAUTHBEARER_CLIENT_SECRET",
            "TOWER_KAFKA_SASL_OAUTHBEARER_CONFIG",
            "TOWER_KAFKA_SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE",
        ],
    )
    def test_those_of_kafka_are_secrets_too_from_variable_and_file(self, tmp_path: Path, name: str) -> None:
        file = tmp_path / "secret"
        file.write_text(CANARY)

        for environ in ({name: CANARY}, {f"{name}_FILE": str(file)}):
            settings = load({**TOKEN, **environ})
            key = name.removeprefix("TOWER_KAFKA_").lower().replace("_", ".")
            value = settings.kafka[key]

            assert isinstance(value, Secret)
            assert value.reveal() == CANARY
            assert CANARY not in repr(settings)

    def test_a_key_may_have_several_lines(self) -> None:
        pem = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----"

        value = load({**TOKEN, "TOWER_KAFKA_SSL_KEY_PEM": pem}).kafka["ssl.key.pem"]

        assert isinstance(value, Secret)
        assert value.reveal() == pem

    def test_none_shows_in_repr_or_format_of_the_settings(self) -> None:
        settings = load({"TOWER_INFLUXDB_TOKEN": CANARY, "TOWER_KAFKA_SASL_PASSWORD": CANARY})

        shown = [repr(settings), f"{settings}", str(dataclasses.asdict(settings)), "%s" % settings]  # noqa: UP031

        assert [text for text in shown if CANARY in text] == []


class TestKafkaProperties:
    """Any of librdkafka's by one rule."""

    def test_a_variable_is_the_property_in_capitals(self) -> None:
        settings = load({**TOKEN, "TOWER_KAFKA_SSL_CA_LOCATION": "/ca.pem"})

        assert settings.kafka["ssl.ca.location"] == "/ca.pem"

    def test_a_property_that_ends_in_file_is_no_secret(self) -> None:
        name = "TOWER_KAFKA_SASL_OAUTHBEARER_ASSERTION_FILE"

        assert load({**TOKEN, name: "/x"}).kafka["sasl.oauthbearer.assertion.file"] == "/x"

    @pytest.mark.parametrize(("key", "value"), FIXED_KAFKA.items())
    def test_what_the_promise_rests_on_may_be_repeated_but_not_changed(self, key: str, value: str) -> None:
        name = f"TOWER_KAFKA_{key.upper().replace('.', '_')}"

        load({**TOKEN, name: value.upper()})

        assert refused({name: "other"}).option == name


class TestFile:
    """`TOWER_CONFIG` beside the environment."""

    @staticmethod
    def read(folder: Path, text: str, **environ: str) -> Settings:
        file = folder / "tower.toml"
        file.write_text(text)
        return load({**TOKEN, "TOWER_CONFIG": str(file), **environ})

    def test_its_keys_are_the_options(self, tmp_path: Path) -> None:
        settings = self.read(tmp_path, 'topic = "a"\nbatch_lines = 7\ntag_fields = ["x", "y"]\n')

        assert (settings.topic, settings.batch_lines, settings.route.tag_fields) == ("a", 7, ("x", "y"))

    @pytest.mark.parametrize(
        ("text", "pairs"),
        [
            pytest.param('rename = "a.b:c,d:e"', (("a.b", "c"), ("d", "e")), id="text"),
            pytest.param('rename = ["a.b:c", "d:e"]', (("a.b", "c"), ("d", "e")), id="list"),
            pytest.param(
                'rename = { "a.b" = "c", d = "e" }', (("a.b", "c"), ("d", "e")), id="inline table"
            ),
            pytest.param('[rename]\n"a.b" = "c"\nd = "e"', (("a.b", "c"), ("d", "e")), id="table"),
            pytest.param('rename = ""', (), id="empty text"),
            pytest.param("rename = []", (), id="empty list"),
            pytest.param("rename = {}", (), id="empty table"),
        ],
    )
    def test_renames_may_be_a_table(
        self, tmp_path: Path, text: str, pairs: tuple[tuple[str, str], ...]
    ) -> None:
        assert self.read(tmp_path, text).route.rename == pairs

    @pytest.mark.parametrize(
        "text",
        [
            'rename = { a = "" }',
            'rename = { "a,b" = "c" }',
            "rename = { a = {} }",
            'rename = { a.b = "c" }',
        ],
    )
    def test_a_table_of_renames_that_is_none_is_refused(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(SettingsError) as caught:
            self.read(tmp_path, text)

        assert caught.value.option == "TOWER_RENAME"

    def test_the_environment_comes_first(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, 'topic = "a"', TOWER_TOPIC="b").topic == "b"

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param('[kafka]\n"ssl.ca.location" = "/ca"', id="quoted"),
            pytest.param('[kafka]\nssl.ca.location = "/ca"', id="dotted"),
            pytest.param('kafka.ssl.ca.location = "/ca"', id="dotted from the top"),
            pytest.param('[kafka.ssl]\nca_location = "/ca"', id="table in a table"),
            pytest.param('kafka_ssl_ca_location = "/ca"', id="as the variable"),
        ],
    )
    def test_a_kafka_property_may_be_written_as_toml_allows(self, tmp_path: Path, text: str) -> None:
        assert self.read(tmp_path, text).kafka["ssl.ca.location"] == "/ca"

    def test_true_and_false_are_toml_s_own(self, tmp_path: Path) -> None:
        self.read(tmp_path, "kafka.enable.auto.commit = false")

    @pytest.mark.parametrize("content", [None, b"topic = ", b"\xff", b'topic = "a"\ntopic = "b"'])
    def test_one_that_cannot_be_read_is_refused_by_name(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        file = tmp_path / "tower.toml"
        if content is not None:
            file.write_bytes(content)

        assert refused({"TOWER_CONFIG": str(file)}).option == "TOWER_CONFIG"

    def test_an_unknown_key_is_refused_as_its_variable(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError) as caught:
            self.read(tmp_path, 'toppic = "a"')

        assert caught.value.option == "TOWER_TOPPIC"

    @pytest.mark.parametrize("key", ["workers", "config"])
    def test_what_only_the_environment_is_asked_for_is_refused(self, tmp_path: Path, key: str) -> None:
        with pytest.raises(SettingsError) as caught:
            self.read(tmp_path, f'{key} = "5"')

        assert caught.value.option == f"TOWER_{key.upper()}"


def test_no_two_options_share_a_variable() -> None:
    names = [variable(option) for option in options()]

    assert len(set(names)) == len(names)


def test_a_setting_of_an_earlier_version_says_why_it_is_gone_and_what_to_do() -> None:
    with pytest.raises(SettingsError, match=r"no longer needed.*Remove it") as caught:
        fakes.settings({"TOWER_IDENTITY_PARTITIONS": "64"})

    assert caught.value.option == "TOWER_IDENTITY_PARTITIONS"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "Europe/Paris"])
def test_a_zone_is_known_by_its_name(zone: str) -> None:
    assert str(fakes.settings({"TOWER_TIME_ZONE": zone}).route.time_zone) == zone


@pytest.mark.parametrize("format_", ["", "%d/%b/%Y:%H:%M:%S %z", "%Y%m%d%H%M%S", "%d.%m.%y %H:%M:%S.%f"])
def test_a_format_of_times_with_a_whole_date_is_accepted(format_: str) -> None:
    assert fakes.settings({"TOWER_TIME_FORMAT": format_}).route.time_format == format_
