"""A file of routes is checked at start, and every error names the route and the key."""

import os
from pathlib import Path

import pytest

from tests.support import fakes
from workers.config.route import Route
from workers.config.settings import load
from workers.errors import SettingsError

TOKEN = {"TOWER_INFLUXDB_TOKEN": "t0ken"}
ONE = '[[route]]\nname = "one"\ntopics = ["a"]\n'


def routes(folder: Path, text: str, **environ: str) -> tuple[Route, ...]:
    """The routes of a file."""
    file = folder / "routes.toml"
    file.write_text(text)
    return load({**TOKEN, "TOWER_ROUTES": str(file), **environ}).routes


def refused(folder: Path, text: str, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        routes(folder, text, **environ)
    return str(caught.value)


def test_without_a_file_the_variables_are_the_only_route() -> None:
    settings = fakes.settings(topic="machines")

    assert [route.topics for route in settings.routes] == [("machines",)]
    assert settings.route.bucket == "Labs"


def test_a_route_has_the_names_of_no_lab_by_default(tmp_path: Path) -> None:
    (route,) = routes(tmp_path, ONE)

    assert (route.tags, route.rename, route.tag_fields, route.number_fields) == ((), (), (), ())
    assert (route.bucket, route.for_partition("a", 0).measurement) == ("Labs", "a")


def test_the_limits_hold_for_all_routes(tmp_path: Path) -> None:
    (route,) = routes(tmp_path, ONE, TOWER_MAX_FIELDS="7")

    assert route.limits.max_fields == 7


def test_every_key_takes_the_form_its_documentation_has(tmp_path: Path) -> None:
    (route,) = routes(
        tmp_path,
        """
        [[route]]
        name = "all"
        topics = ["a"]
        format = "json"
        array = "x.y"
        measurement = "m_{topic}"
        tags = { host = "h, with = signs" }
        """.replace("h, with = signs", "h with = signs")
        + """
        rename = { "a.b" = "c" }
        tag_fields = ["ip"]
        partition_tag = "p"
        header_tags = { trace = "t" }
        integer_fields = ["n"]
        time_window_s = 60
        bucket = "Other"
        """,
    )

    assert route.array == ("x", "y")
    assert route.tags == (("host", "h with = signs"),)
    assert route.rename == (("a.b", "c"),)
    assert route.header_tags == (("trace", "t"),)
    assert (route.time_window_s, route.bucket) == (60, "Other")
    own = route.for_partition("a", 3)
    assert (own.measurement, own.tags[-1]) == ("m_a", ("p", "3"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("", "has no [[route]] table", id="empty"),
        pytest.param("route = 7", "has no [[route]] table", id="no tables"),
        pytest.param("[route]\nname='a'", "has no [[route]] table", id="one table"),
        pytest.param("a = ", "is not valid TOML", id="no TOML"),
        pytest.param(ONE + "[other]\n", "'other'", id="another table"),
        pytest.param("[[route]]\ntopics=['a']", "route number 1: name must be a text", id="no name"),
        pytest.param("[[route]]\nname='a'", "route a: topics must name a topic", id="no topics"),
        pytest.param(ONE + "topic = 'x'", "did you mean topics?", id="a wrong key"),
        pytest.param(ONE + ONE.replace('"a"', '"b"'), "two routes of the name one", id="one name"),
        pytest.param(
            ONE + "format = 'line'\nkey_tag = 'k'",
            "route one: key_tag does nothing with format line",
            id="a key that lines ignore",
        ),
        pytest.param(
            ONE + ONE.replace("one", "two"),
            "route two: topics contains a, which route one reads",
            id="one topic",
        ),
        pytest.param(ONE + "format = 'xml'", "route one: format must be one of", id="format"),
        pytest.param(ONE + "measurement = '#a'", "route one: measurement must not", id="measurement"),
        pytest.param(ONE + "tags = 'a=b'", "route one: tags must be a table", id="tags as text"),
        pytest.param(ONE + "tags = { a = 7 }", "route one: tags must have texts", id="a number as a tag"),
        pytest.param(ONE + "tags = { a = 'b,c' }", "without a comma", id="comma"),
        pytest.param(ONE + "tags = { time = 'b' }", "reserved", id="reserved tag"),
        pytest.param(ONE + "topic_tag = 'time'", "route one: topic_tag must not be time", id="reserved"),
        pytest.param(ONE + "time_window_s = true", "route one: time_window_s must be", id="boolean"),
        pytest.param(ONE + "array = 'a..b'", "route one: array must be names", id="path"),
        pytest.param(
            ONE + "drop = ['a']\nkeep = ['b']", "route one: keep and drop are both set", id="drop and keep"
        ),
        pytest.param(
            ONE + "drop = ['a']\ninteger_fields = ['a']",
            "route one: drop contains a, and so does integer_fields",
            id="two uses of a field",
        ),
        pytest.param(
            ONE + "rename = { a = 'b' }\ninteger_fields = ['a']",
            "route one: integer_fields contains a, but rename renames it to b: use b here",
            id="an old name",
        ),
        pytest.param(
            ONE + "tags = { x = 'y' }\ntag_fields = ['x']", "route one: tags have x twice", id="a tag twice"
        ),
        pytest.param(ONE + 'bucket = "a\\u0000"', "control character", id="control character"),
    ],
)
def test_a_wrong_file_is_refused_with_the_name_of_the_route(tmp_path: Path, text: str, error: str) -> None:
    message = refused(tmp_path, text)

    assert message.startswith("TOWER_ROUTES: ")
    assert error in message
    assert message.isprintable()


@pytest.mark.parametrize("pattern", ["^.*", "^_", "^a|_consumer"])
def test_a_pattern_must_not_match_kafkas_own_topics(tmp_path: Path, pattern: str) -> None:
    assert "internal topics" in refused(tmp_path, ONE.replace('"a"', f"'{pattern}'"))


@pytest.mark.parametrize("pattern", ["^a(?i)", "^a.*?", r"^a\d", "^a(", "^a b"])
def test_a_pattern_that_kafka_and_tower_could_read_differently_is_refused(
    tmp_path: Path, pattern: str
) -> None:
    assert "pattern" in refused(tmp_path, ONE.replace('"a"', f"'{pattern}'"))


def test_no_pattern_may_match_the_dead_letters(tmp_path: Path) -> None:
    message = refused(tmp_path, ONE.replace('"a"', "'^res'"))

    assert message == (
        "TOWER_DEAD_LETTER_TOPIC: must differ from the topics of route one: Tower would read its own dead "
        "letters"
    )


@pytest.mark.parametrize("name", ["TOWER_TOPIC", "TOWER_TAGS", "TOWER_RENAME"])
def test_a_variable_of_the_labs_route_is_refused_beside_a_file(tmp_path: Path, name: str) -> None:
    assert refused(tmp_path, ONE, **{name: "x"}).startswith(f"{name}: is set, and so is TOWER_ROUTES")


def test_a_file_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(SettingsError, match="TOWER_ROUTES: cannot be read"):
        load({**TOKEN, "TOWER_ROUTES": f"{os.devnull}/routes.toml"})


class TestTopicTags:
    """Points of different topics never meet."""

    @pytest.mark.parametrize(
        ("keys", "tag"),
        [
            pytest.param("topics=['a']\nmeasurement='m'", "", id="one topic"),
            pytest.param("topics=['a', 'b']\nmeasurement='m'", "topic", id="two topics"),
            pytest.param("topics=['^a']\nmeasurement='m'", "topic", id="a pattern"),
            pytest.param("topics=['a', 'b']", "", id="a measurement for each topic"),
            pytest.param(
                "topics=['a', 'b']\nmeasurement_field='m'", "topic", id="measurement from a field"
            ),
            pytest.param("topics=['a', 'b']\nmeasurement='m'\ntopic_tag='t'", "t", id="a tag by name"),
        ],
    )
    def test_a_route_gets_a_topic_tag_if_topics_share_a_measurement(
        self, tmp_path: Path, keys: str, tag: str
    ) -> None:
        (route,) = routes(tmp_path, f"[[route]]\nname='r'\n{keys}\n")

        assert route.topic_tag == tag

    @pytest.mark.parametrize(
        ("one", "other", "tags"),
        [
            pytest.param("measurement='m'", "measurement='n'", ("", ""), id="other measurements"),
            pytest.param("measurement='m'", "measurement='m'", ("topic", "topic"), id="one measurement"),
            pytest.param("measurement='m'", "measurement='m'\nbucket='B'", ("", ""), id="other buckets"),
            pytest.param("measurement='b'", "", ("topic", "topic"), id="the name of the other topic"),
            pytest.param("measurement='c'", "", ("", ""), id="the name of no topic"),
            pytest.param("measurement='m'", "measurement_field='x'", ("topic", "topic"), id="from a field"),
            pytest.param(
                "measurement='m'\ntags={h='1'}", "measurement='m'\ntags={h='2'}", ("", ""), id="tags differ"
            ),
            pytest.param(
                "measurement='m'\ntopic_tag='t'", "measurement='m'", ("t", "t"), id="the name of the first"
            ),
            pytest.param("measurement='x{topic}'", "measurement='xa'", ("topic", "topic"), id="a part"),
        ],
    )
    def test_routes_get_topic_tags_if_they_share_a_measurement(
        self, tmp_path: Path, one: str, other: str, tags: tuple[str, str]
    ) -> None:
        text = f"[[route]]\nname='one'\ntopics=['a']\n{one}\n[[route]]\nname='two'\ntopics=['b']\n{other}\n"

        assert tuple(route.topic_tag for route in routes(tmp_path, text)) == tags

    def test_two_names_for_it_in_one_measurement_are_refused(self, tmp_path: Path) -> None:
        text = "".join(
            f"[[route]]\nname='{name}'\ntopics=['{name}']\nmeasurement='m'\ntopic_tag='t{name}'\n"
            for name in "ab"
        )

        assert "route b: topic_tag must be the same as in route a" in refused(tmp_path, text)

    def test_a_free_name_is_needed_for_it(self, tmp_path: Path) -> None:
        text = "[[route]]\nname='r'\ntopics=['a', 'b']\nmeasurement='m'\ntag_fields=['topic']\n"

        assert "route r: topic_tag is needed" in refused(tmp_path, text)
