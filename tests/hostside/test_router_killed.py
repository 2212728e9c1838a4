"""A change of the router that is killed at any moment: traffic goes on, the next run completes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, router
from tests.hostside.router_site import PATH, Site
from tests.planning.rendered import render_files
from toolkit.planning.routing.edits import with_model, with_weights
from toolkit.planning.routing.routes import PREFIX, Target

KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import router, router_socket

def killing(function, times):
    left = [times]
    def wrapped(*given, **named):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given, **named)
    return wrapped

target, name, times = json.loads(sys.argv[2])
module = {"os": os, "router": router, "router_socket": router_socket}[target]
setattr(module, name, killing(getattr(module, name), times))
router.apply(sys.argv[3], json.load(sys.stdin))
"""


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(["os", "replace", 0], id="before the first file"),
        pytest.param(["os", "replace", 1], id="between two files"),
        pytest.param(["router", "_reload", 0], id="between files and reload"),
        pytest.param(["router", "tell", 0], id="between files and commands"),
        pytest.param(["router_socket", "tell", 0], id="before the first worker is told"),
        pytest.param(["router_socket", "_ask_worker", 3], id="in the midst of the commands"),
    ],
)
@pytest.mark.parametrize("change", ["switch", "model"])
def test_killed_at_any_moment_traffic_goes_on_and_the_next_run_completes(
    site: Site, moment: list[Any], change: str
) -> None:
    if change == "switch":
        new = with_weights(site.lab.routes, "tiny", {"green": 100, "blue": 0})
    else:
        target = (Target("blue", site.green.port, 100),)
        new = with_model(site.lab.routes, "more", target, created=2)
    request = {"files": render_files(new)}
    hostside = str(REPO / "toolkit/hostside")
    argv = [sys.executable, "-I", "-c", KILLED, hostside, json.dumps(moment), str(site.lab.root)]
    killed = subprocess.run(argv, input=json.dumps(request), text=True, check=False, timeout=30)
    never_reached = change == "switch" and moment[1] == "_reload"
    assert killed.returncode == (0 if never_reached else -signal.SIGKILL)
    # traffic goes on, and a start from whatever files there are would answer as well
    assert site.slot() in ("blue", "green")
    site.reload()
    assert site.slot() in ("blue", "green")
    site.lab.up("tiny", "blue", "green")
    router.apply(str(site.lab.root), request)
    site.lab.routes = new
    site.consistent()
    assert site.slot() == ("green" if change == "switch" else "blue")
    if change == "model":
        assert site.lab.ask(PATH, {"model": "more"})[1]["slot"] == "green"


def test_what_a_killed_run_left_untold_is_told_by_the_next_one(site: Site) -> None:
    new = with_weights(site.lab.routes, "tiny", {"green": 100, "blue": 0})
    request = {"files": render_files(new)}
    argv = [sys.executable, "-I", "-c", KILLED, str(REPO / "toolkit/hostside")]
    argv += [json.dumps(["router", "tell", 0]), str(site.lab.root)]
    killed = subprocess.run(argv, input=json.dumps(request), text=True, check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert site.slot() == "blue"
    assert site.lab.observe()["drift"] == ["tiny/blue", "tiny/green"]
    # whoever plans from the files sees nothing left to command
    site.lab.routes = new
    assert site.lab.apply(new)["commands"] == 3
    assert site.slot() == "green"
    site.consistent()


def test_a_routing_that_a_killed_run_left_unread_is_read_by_the_next_one(site: Site) -> None:
    targets = site.lab.routes.routes[0].targets
    new = with_model(site.lab.routes, "tiny", targets, created=1, routing=PREFIX)
    request = {"files": render_files(new)}
    argv = [sys.executable, "-I", "-c", KILLED, str(REPO / "toolkit/hostside")]
    argv += [json.dumps(["router", "_reload", 0]), str(site.lab.root)]
    killed = subprocess.run(argv, input=json.dumps(request), text=True, check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert site.lab.apply(new)["reloaded"]
    assert not site.lab.apply(new)["reloaded"]
    site.consistent()
