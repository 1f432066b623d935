"""Measurement and tags of a line, as text."""

from workers.config.route import Route
from workers.errors import RecordError
from workers.records import escape
from workers.types import Reason


class SeriesText:
    """Writes measurement and tags, by one route.

    Args:
        route: The measurement, the constant tags, and the fields that become tags.
    """

    def __init__(self, route: Route) -> None:
        self._tag_fields = route.tag_fields
        self._has_measurement_field = bool(route.measurement_field)
        self._measurement = escape.measurement(route.measurement)
        self._constant = {key: escape.tag(value) for key, value in route.tags}

    def of(self, tags: tuple[str | None, ...]) -> str:
        """Return measurement and tags, in the order of the tags' names as InfluxDB stores them.

        Args:
            tags: The values of the fields that become tags, and last that of the measurement's field if the
                route has one.

        Raises:
            RecordError: The measurement is not a valid one.
        """
        both = dict(self._constant)
        measurement = self._measurement
        if self._has_measurement_field and (sent := tags[-1]) is not None:
            if sent.startswith("#"):
                raise RecordError(Reason.MEASUREMENT, "begins with #, which starts a comment in InfluxDB")
            measurement = escape.measurement(sent)
        for key, value in zip(self._tag_fields, tags, strict=False):
            if value is not None:
                both[key] = escape.tag(value)
        return measurement + "".join(f",{escape.name(key)}={both[key]}" for key in sorted(both))
