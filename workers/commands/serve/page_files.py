"""The files of the page."""

from collections.abc import Mapping
from importlib import resources

from workers.commands.serve.app import Page, Route

#: Files by their paths.
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/history.js": ("history.js", "text/javascript; charset=utf-8"),
    "/plots.js": ("plots.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def page_routes() -> Mapping[str, Route]:
    """Return a route for each file, read once."""
    folder = resources.files("workers.commands.serve") / "page"

    def route(name: str, kind: str) -> Route:
        page = Page((folder / name).read_bytes(), kind)
        return lambda _: page

    return {path: route(name, kind) for path, (name, kind) in FILES.items()}
