"""Counts the field names and series of one worker, so that a sender of ever new ones is noticed.

InfluxDB keeps every series in its index and every field name in its schema for good. A sender that puts an
id into a name, or into a tag, would slow it down for everybody.
"""

from hashlib import blake2b

from workers.config.limits import Limits
from workers.config.route import Route
from workers.errors import RecordError
from workers.types import Reason

#: Bytes of a digest. A text is kept as its digest, so that long texts do not fill the memory.
DIGEST_BYTES = 16

#: Most texts that are found without computing their digest, and the longest of them in bytes.
CACHED = 1_000
CACHED_BYTES = 512


class KnownTexts:
    """The texts of one kind that have been written, at most so many.

    Args:
        limit: How many there may be besides those that are expected.
        pending: Gets new texts of the record in hand, which are not known before it has become a line.
        reason: Reason of a record with a new one beyond the limit.
        detail: What to say about it.
    """

    def __init__(self, limit: int, pending: "list[Pending]", reason: Reason, detail: str) -> None:
        self._limit = limit
        self._pending = pending
        self._reason = reason
        self._detail = detail
        self._known: set[bytes] = set()
        self._expected = 0
        self._cache: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._known) - self._expected

    def expect(self, text: bytes) -> None:
        """Let a text be known from the beginning, without counting it: the settings name it."""
        digest = _digest(text)
        self._expected += digest not in self._known
        self._known.add(digest)

    def admit(self, text: bytes) -> bool:
        """Return whether a text is known; otherwise it is pending.

        Raises:
            RecordError: It is new, and there is no room for another one.
        """
        if text in self._cache:
            return True
        digest = _digest(text)
        if digest in self._known:
            if len(text) <= CACHED_BYTES:
                if len(self._cache) >= CACHED:
                    self._cache.clear()
                self._cache.add(text)
            return True
        pending = [new for known, new in self._pending if known is self._known]
        if digest not in pending:
            if len(self) + len(pending) >= self._limit:
                raise RecordError(self._reason, self._detail)
            self._pending.append((self._known, digest))
        return False


#: A new text's digest, and the set that it is added to if its record becomes a line.
Pending = tuple[set[bytes], bytes]


class Cardinality:
    """The field names and the series of one worker.

    A record with new ones counts only if it becomes a line, so both ways of converting count the same.

    Args:
        limits: How many there may be.

    Attributes:
        names: Field names as they are written, each with `=` behind it.
        series: Measurement and tags as they are written.
        pending: What is new with the record in hand.
    """

    def __init__(self, limits: Limits) -> None:
        self.pending: list[Pending] = []
        self.names = KnownTexts(
            limits.max_field_names,
            self.pending,
            Reason.TOO_MANY_NAMES,
            f"more than {limits.max_field_names} field names since the worker started "
            "(TOWER_MAX_FIELD_NAMES)",
        )
        self.series = KnownTexts(
            limits.max_series,
            self.pending,
            Reason.TOO_MANY_SERIES,
            f"more than {limits.max_series} combinations of tags since the worker started "
            "(TOWER_MAX_SERIES)",
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many there are, by their names in the state file."""
        return {"field_names": len(self.names), "series": len(self.series)}

    def admit(self, series: bytes | None, names: list[bytes]) -> bool:
        """Count what is new with a record that becomes a line otherwise; False if there is no room for it.

        Args:
            series: Its series, None if that is counted already.
            names: Those of its names that may not be counted yet.
        """
        self.forget()
        try:
            for name in names:
                self.names.admit(name)
            if series is not None:
                self.series.admit(series)
        except RecordError:
            return False
        self.keep()
        return True

    def keep(self) -> None:
        """Count what is pending: its record has become a line."""
        for known, digest in self.pending:
            known.add(digest)
        self.pending.clear()

    def forget(self) -> None:
        """Do not count what is pending: its record has become a dead letter."""
        self.pending.clear()


def settings_names(route: Route) -> set[str]:
    """Return the names of fields that a route's settings name. They are expected, and not counted."""
    named = {*route.number_fields, *route.tag_fields, *route.time_fields, route.measurement_field}
    named |= {*route.integer_fields, *route.boolean_fields, *route.text_fields}
    return named.union(*route.rename) - {""}


def _digest(text: bytes) -> bytes:
    return blake2b(text, digest_size=DIGEST_BYTES).digest()
