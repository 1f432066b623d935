"""The paths of `tower serve` and their answers."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, exposition

from workers.commands.clients.serve_probe import pool_id
from workers.commands.serve import probes
from workers.commands.serve.app import Page, Route, as_json
from workers.commands.serve.dead_letter_examples import Example
from workers.commands.serve.history import History
from workers.commands.serve.lab_dashboard import LabDashboard
from workers.commands.serve.observation import Observation
from workers.commands.serve.page_content import page_content
from workers.commands.serve.page_files import page_routes
from workers.commands.status import as_object
from workers.config.settings import Settings


def routes(
    settings: Settings,
    observe: Callable[[], Observation],
    *,
    registry: CollectorRegistry,
    supervisord: Callable[[], str] | None,
    history: History,
    examples: Callable[[], Mapping[str, Example]],
) -> Mapping[str, Route]:
    """Build all routes.

    Args:
        settings: The pool's settings.
        observe: Returns the pool as it is now.
        registry: The metrics.
        supervisord: Returns why supervisord is silent; None if it did not start this process.
        history: The last minutes of each partition.
        examples: Returns the newest dead letter of each reason.
    """
    dashboard, pool = LabDashboard(settings), pool_id(settings.run_dir)

    def metrics(accept: str) -> Page:
        encode, kind = exposition.choose_encoder(accept)
        return Page(encode(registry), kind)

    def live(_: str) -> Page:
        is_live, content = probes.live(supervisord)
        return as_json({**content, "pool": pool}, 200 if is_live else 503)

    def ready(_: str) -> Page:
        is_ready, content = probes.ready(observe())
        return as_json(content, 200 if is_ready else 503)

    def status(_: str) -> Page:
        seen = observe()
        return as_json(as_object(settings, seen.workers, seen.facts, seen.troubles))

    def page(_: str) -> Page:
        seen = observe()
        history.offer(seen)
        return as_json(page_content(settings, seen, history, examples()), indent=None)

    def samples(_: str) -> Page:
        return as_json(history.content(), indent=None)

    def lab(_: str) -> Page:
        return as_json(dashboard.content(), indent=None)

    return {
        **page_routes(),
        "/metrics": metrics,
        "/live": live,
        "/ready": ready,
        "/api/status": status,
        "/api/page": page,
        "/api/history": samples,
        "/api/lab": lab,
    }
