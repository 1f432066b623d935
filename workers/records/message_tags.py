"""Tags that come from a message's key and headers."""

from typing import Any

from workers.config.route import Route
from workers.message_headers import read_headers
from workers.types import Message


class MessageTags:
    """Reads the tags that a route takes from a message and not from its value.

    Args:
        route: The route.
    """

    def __init__(self, route: Route) -> None:
        self._key_tag = route.key_tag
        self._header_tags = dict(route.header_tags)

    def __bool__(self) -> bool:
        return bool(self._key_tag or self._header_tags)

    def read(self, message: Message) -> dict[str, Any]:
        """Return the tags by name, without those that the message has no value for.

        Of several headers of one name the last counts.
        """
        tags: dict[str, Any] = {}
        if self._key_tag:
            tags[self._key_tag] = message.key()
        for name, value in read_headers(message).pairs if self._header_tags else []:
            if name in self._header_tags:
                tags[self._header_tags[name]] = value
        return {name: value for name, value in tags.items() if value is not None}
