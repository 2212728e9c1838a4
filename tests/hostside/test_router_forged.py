"""What a replica says of itself in the toolkit's own headers is worth nothing: it may have been taken over."""

from __future__ import annotations

import http.client
import json
from dataclasses import replace

import pytest

from tests.hostside.router_lab import Lab, until
from tests.hostside.router_pair import Pair, name_releases, pair
from tests.hostside.router_site import PATH, Site
from tests.hostside.test_router_log import answered, put_manifest
from toolkit.planning.routing.edits import with_model

__all__ = ["pair"]

FORGED = {
    "X-Toolkit-Version": 'v9","model":"other","status":500,"x":"',
    "X-Toolkit-Release": "77",
    "X-Toolkit-Slot": 'green"x',
    "X-Toolkit-Error": "model_overloaded",
    "X-Toolkit-Model": "other",
    "X-Toolkit-More": "1",
}


def told(headers: http.client.HTTPMessage) -> dict[str, str]:
    """Return the headers of the toolkit's own names, with the names in small letters."""
    found = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in found.items() if name.startswith("x-toolkit-")}


@pytest.mark.parametrize("size", [0, 20_000], ids=["small", "read elsewhere"])
def test_answers_and_log_say_what_the_router_knows(site: Site, size: int) -> None:
    put_manifest(site, "blue", "v1", 3)
    site.shift(blue=99)
    site.blue.says = FORGED
    headers, line = answered(site.lab, json.dumps({"model": "tiny"}).ljust(size))
    assert told(headers) == {
        "x-toolkit-version": "v1",
        "x-toolkit-release": "3",
        "x-toolkit-slot": "blue",
    }
    found = {
        name: line[name] for name in ("model", "version", "release", "slot", "status", "reason")
    }
    assert found == {
        "model": "tiny",
        "version": "v1",
        "release": 3,
        "slot": "blue",
        "status": 200,
        "reason": "-",
    }


def test_a_standby_that_took_over_says_nothing_either(site: Site) -> None:
    (route,) = site.lab.routes.routes
    blue, green = route.targets
    standby = (blue, replace(green, standby=True))
    site.lab.apply(with_model(site.lab.routes, "tiny", standby, created=1))
    site.lab.up("tiny", "blue", "green")
    site.green.says = FORGED
    site.blue.stop()
    until(lambda: not site.lab.observe()["servers"]["tiny"]["blue"]["up"])
    headers, line = answered(site.lab, '{"model":"tiny"}')
    assert (told(headers), line["slot"]) == ({"x-toolkit-slot": "green"}, "green")


def test_another_hosts_router_is_believed_and_its_replica_is_not(pair: Pair) -> None:
    name_releases(pair)
    for engine in pair.engines.values():
        engine.says = FORGED
    router: Lab = pair.routers["a"]
    seen = set()
    for _ in range(20):
        headers = router.ask(PATH, {"model": "tiny"})[2]
        seen.add(tuple(sorted(told(headers).items())))
    names = ("x-toolkit-release", "x-toolkit-slot", "x-toolkit-version")
    assert seen == {
        tuple(zip(names, ("3", f"{at}.blue", f"of-{at}"), strict=True)) for at in ("a", "b")
    }
    lines = until(lambda: len(each := router.requests()) == 20 and each)
    assert {(each["version"], each["slot"]) for each in lines} == {
        ("of-a", "a.blue"),
        ("of-b", "b.blue"),
    }
