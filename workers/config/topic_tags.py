"""Tells the points of several topics apart if they go to one measurement.

Records of two topics may have one partition number, offset and time, and with equal tags they would share a
point. So each such point gets the name of its topic as a tag. A route whose identity is `record` gets none:
its records may share a point by the user's own choice.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from workers.config.route import TOPIC, Route

#: Name of the tag if the route names none.
TOPIC_TAG = "topic"


def added(routes: Sequence[Route]) -> list[Route]:
    """Return the routes, with a topic tag for each whose points could meet those of another topic.

    Raises:
        ValueError: The tag's name is in use, or two routes of one measurement name it differently.
    """
    tagged = [_tagged(route) if _has_several(route) else route for route in routes]
    for one, other in combinations(range(len(routes)), 2):
        if not _may_meet(routes[one], routes[other]):
            continue
        names = {tagged[place].topic_tag for place in (one, other)} - {""}
        if len(names) > 1:
            raise ValueError(
                f"route {routes[other].name}: topic_tag must be the same as in route {routes[one].name}: "
                "both write to one measurement"
            )
        for place in (one, other):
            tagged[place] = _tagged(tagged[place], *names)
    return tagged


def _tagged(route: Route, name: str = TOPIC_TAG) -> Route:
    """Return the route with a topic tag."""
    if route.topic_tag or getattr(route, "identity", "") == "record":
        return route
    if name in (*route.fixed_tags, *route.tag_fields, *route.message_tags):
        raise ValueError(
            f"route {route.name}: topic_tag is needed, because several topics share a measurement, and "
            f"{name} is another tag already: set topic_tag to a free name"
        )
    return replace(route, topic_tag=name)


def _has_several(route: Route) -> bool:
    """Return whether a route may write several topics to one measurement."""
    is_several = len(route.topics) > 1 or any(topic.startswith("^") for topic in route.topics)
    return is_several and (TOPIC not in route.measurement or bool(route.measurement_field))


def _may_meet(one: Route, other: Route) -> bool:
    """Return whether two routes may write to one series of one bucket."""
    if one.bucket != other.bucket:
        return False
    tags, other_tags = dict(one.tags), dict(other.tags)
    if any(tags[name] != other_tags[name] for name in tags.keys() & other_tags.keys()):
        return False
    if one.measurement_field or other.measurement_field:
        return True
    if one.measurement == other.measurement:
        # With the topic's name in it, each topic has a measurement of its own.
        return TOPIC not in one.measurement
    measurements, others = _measurements(one), _measurements(other)
    return measurements is None or others is None or not measurements.isdisjoint(others)


def _measurements(route: Route) -> set[str] | None:
    """Return the measurements of a route, None if a pattern makes them unknown."""
    if TOPIC not in route.measurement:
        return {route.measurement}
    if any(topic.startswith("^") for topic in route.topics):
        return None
    return {route.measurement.replace(TOPIC, topic) for topic in route.topics}
