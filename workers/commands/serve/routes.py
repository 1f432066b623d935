"""The paths of `tower serve` and their answers."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, exposition

from workers.commands.serve import probes
from workers.commands.serve.app import Page, Route, as_json
from workers.commands.serve.observation import Observation
from workers.commands.status import as_object
from workers.config.settings import Settings


def routes(
    settings: Settings,
    observe: Callable[[], Observation],
    registry: CollectorRegistry,
    supervisord: Callable[[], str] | None,
) -> Mapping[str, Route]:
    """Build all routes.

    Args:
        settings: The pool's settings.
        observe: Returns the pool as it is now.
        registry: The metrics.
        supervisord: Returns why supervisord is silent; None if it did not start this process.
    """

    def metrics(accept: str) -> Page:
        encode, kind = exposition.choose_encoder(accept)
        return Page(encode(registry), kind)

    def live(_: str) -> Page:
        is_live, content = probes.live(supervisord)
        return as_json(content, 200 if is_live else 503)

    def ready(_: str) -> Page:
        is_ready, content = probes.ready(observe())
        return as_json(content, 200 if is_ready else 503)

    def status(_: str) -> Page:
        seen = observe()
        return as_json(as_object(settings, seen.workers, seen.facts, seen.troubles))

    return {"/metrics": metrics, "/live": live, "/ready": ready, "/api/status": status}
