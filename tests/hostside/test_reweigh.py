"""Changes of routes without a command reach the workers, also where a worker did not follow at first."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, router, router_socket, until
from tests.hostside.router_site import PATH, Site
from toolkit.planning.routing.edits import with_former, with_hold, with_weights

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import hold_lease
import reweigh
import watch


@pytest.fixture
def watched(site: Site) -> watch.Watch:
    (site.lab.root / "slots").mkdir()
    (site.lab.root / "watch").mkdir()
    return watch.Watch(str(site.lab.root), 2.0, 30.0)


def look(watched: watch.Watch) -> list[str]:
    """Look once at all parts, as the watch does: the error of one ends no other."""
    said = []
    for part in watched.parts:
        try:
            said += part()
        except Exception as error:
            said.append(str(error))
    return said


def held(site: Site) -> dict[str, str]:
    pid = router_socket.processes(site.lab.directory)["current"][-1]
    return router_socket.read_map(site.lab.directory, pid, "holds.map") or {}


def test_requests_wait_no_more_where_the_router_did_not_follow_at_first(
    site: Site, watched: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = with_former(with_weights(site.lab.routes, "tiny", {"blue": 0}), "tiny", "blue")
    site.lab.apply(with_hold(off, "tiny", 60))
    monkeypatch.setattr(hold_lease, "RETURN", 0.0)
    monkeypatch.setattr(reweigh, "AGAIN", 0.2)
    tell, tries = router.tell, 0

    def fails_twice(directory: str, routes: dict[str, Any]) -> tuple[int, int]:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise router_socket.RouterError("the router did not answer within 5 s")
        done: tuple[int, int] = tell(directory, routes)
        return done

    monkeypatch.setattr(router, "tell", fails_twice)
    # What a former watch wrote is told first, then the lease of the hold ends.
    assert look(watched).count("the router did not answer within 5 s") == 2
    # The files are right already, so no part sees anything to do.
    assert Path(site.lab.directory, "holds.map").read_text() == ""
    assert held(site)["tiny"].startswith("60:")
    until(lambda: look(watched) is not None and not held(site)["tiny"].startswith("60:"))
    assert tries == 3
    assert site.lab.ask(PATH, {"model": "tiny"})[0] == 200
    # Once is enough.
    look(watched)
    assert tries == 3


def test_a_watch_tells_the_workers_what_a_killed_one_wrote(
    site: Site, watched: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    look(watched)
    with monkeypatch.context() as patch:
        # SIGKILL comes after the files.
        patch.setattr(router, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            reweigh.reweigh(watched.root, to_green)
    assert site.lab.observe()["drift"] != []
    look(watch.Watch(watched.root, 2.0, 30.0))
    assert site.lab.observe()["drift"] == []
    assert site.slot() == "green"


def to_green(routes: dict[str, Any]) -> dict[str, Any]:
    (route,) = routes["routes"]
    weights = {"blue": 0, "green": 100}
    targets = [{**each, "weight": weights[each["slot"]]} for each in route["targets"]]
    return {**routes, "routes": [{**route, "targets": targets}]}


def test_damaged_files_are_told_to_no_worker(
    site: Site, watched: watch.Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(router, "tell", lambda *given: told.append(given))
    Path(site.lab.directory, "routes.json").write_text("{")
    look(watched)
    assert told == []
