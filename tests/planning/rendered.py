"""The files of one router, for tests that have no fleet."""

from __future__ import annotations

from toolkit.planning.routing.files import Rendering
from toolkit.planning.routing.routes import Routes


def render_files(routes: Routes, at: str = "") -> dict[str, str]:
    """Return every file that follows from the routes, by name, for the router of the host `at`."""
    return Rendering(routes).at(at)
