"""One replica over two of three real hosts: it starts, changes, fails and stops as one. A stub stands for vLLM."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.system.stub_site import StubSite, stub_site
from toolkit.adapters.fakes.host import Behaviour

pytestmark = pytest.mark.system
UNIT = "toolkit-wide-{slot}.service"


@pytest.fixture(scope="module")
def site() -> Iterator[StubSite]:
    with stub_site(3) as made:
        made.pin("v1", model="wide")
        made.pin("v2", model="wide")
        made.pin("broken", Behaviour.EMPTY, model="wide")
        yield made


def test_it_comes_to_two_hosts_and_all_routers(site: StubSite) -> None:
    site.lab.toolkit("deploy", "wide@v1", "--yes")
    assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}
    # a router on a host that has no part in it
    load = site.load("gamma", model="wide")
    report = load.wait_for(lambda so_far: len(so_far.answers) > 40, 30)
    load.stop()
    assert report.bad == ()
    assert {answer.slot for answer in report.answers} == {"alpha.blue", "beta.blue"}


def test_the_same_again_changes_nothing(site: StubSite) -> None:
    done = json.loads(site.lab.toolkit("deploy", "wide@v1", "--yes", "--json").stdout)
    assert done["changed"] is False


def test_what_its_hosts_open_for_each_other_is_open_to_them_alone(site: StubSite) -> None:
    ports = site.lab["alpha"].run("ss", "-Hltn").split()
    meeting = [each for each in ports if each.endswith(":28000")]
    assert meeting, ports
    for host, reached in (("beta", True), ("gamma", False)):
        probe = "import socket; s = socket.create_connection(('{}', 28000), 3); s.sendall(b'x\\n'); print('in')"
        said = site.lab[host].run(
            "python3", "-c", probe.format(site.lab["alpha"].address), check=False
        )
        assert ("in" in said) is reached


def test_an_upgrade_and_a_rollback_lose_no_request(site: StubSite) -> None:
    loads = [site.load("alpha", model="wide"), site.load("gamma", model="wide")]
    site.lab.toolkit("upgrade", "wide", "--to", "v2", "--yes", "--bake", "1")
    assert site.serving() == {"alpha": ["v2"], "beta": ["v2"]}
    site.lab.toolkit("rollback", "wide", "--yes")
    assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}
    for load in loads:
        report = load.stop()
        assert report.bad == ()
        assert {"v1", "v2"} <= report.versions.keys()


def test_a_bad_version_leaves_both_as_they_were(site: StubSite) -> None:
    load = site.load("gamma", model="wide")
    done = site.lab.toolkit("upgrade", "wide", "--to", "broken", "--yes", check=False)
    assert done.returncode == 8
    assert load.stop().bad == ()
    assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}


def test_a_process_that_dies_takes_the_others_with_it_and_they_meet_again(site: StubSite) -> None:
    machine = site.lab["beta"]
    before = site.lab["alpha"].run("systemctl", "show", "-P", "MainPID", UNIT.format(slot="blue"))
    machine.run("systemctl", "kill", "-s", "KILL", UNIT.format(slot="blue"))
    wait(lambda: site.lab["alpha"].run(
        "systemctl", "show", "-P", "MainPID", UNIT.format(slot="blue")) not in (before, "0\n"), 30)  # fmt: skip
    wait(lambda: site.serving() == {"alpha": ["v1"], "beta": ["v1"]}, 60)


def test_a_part_that_was_changed_by_hand_is_repaired_as_a_whole(site: StubSite) -> None:
    site.lab["beta"].run("sh", "-c", "echo '# mine' >> /var/lib/toolkit/slots/wide-blue/run")
    assert "was changed" in site.lab.toolkit("status", check=False).stdout
    load = site.load("gamma", model="wide")
    site.lab.toolkit("deploy", "wide@v1", "--yes", "--bake", "1")
    assert load.stop().bad == ()
    slots = {slot["slot"] for slot in site.status()["slots"] if slot["weight"]}
    assert slots == {"green"}


def test_a_host_without_power_is_named_and_comes_back(site: StubSite) -> None:
    lost = site.lab["beta"]
    lost.power_off()
    done = site.lab.toolkit("upgrade", "wide", "--to", "v2", "--yes", check=False)
    assert done.returncode == 7
    assert "beta" in done.stderr
    lost.power_on()
    # nobody has to do anything
    wait(lambda: site.serving() == {"alpha": ["v1"], "beta": ["v1"]}, 90)


def test_it_stops_as_one(site: StubSite) -> None:
    done = site.lab.toolkit("stop", "wide", "--host", "beta", "--yes", check=False)
    assert done.returncode == 2
    assert "together with alpha" in done.stderr
    site.lab.toolkit("stop", "wide", "--yes")
    assert site.serving() == {}
    for machine in site.lab.machines:
        assert "wide" not in machine.run("ls", "/var/lib/toolkit/slots")


def wait(condition: Callable[[], Any], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.2)
