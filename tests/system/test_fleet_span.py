"""One replica over two real hosts: it starts, changes, fails and stops as one. A stub stands for vLLM."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.system.stub_engine import pin_with_engine
from tests.system.stub_site import PROMPT, REGISTRY, StubSite, stub_site
from tests.system.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
WIDE = REGISTRY.replace("memory: 64MiB", "memory: 64MiB, hosts: 2")
UNIT = "toolkit-tiny-{slot}.service"
RATE = "generated_tokens_per_second"


@pytest.fixture(scope="module")
def site() -> Iterator[StubSite]:
    with stub_site(2, WIDE) as made:
        made.pin("v1")
        made.pin("v2")
        yield made


def test_it_comes_to_both_hosts(site: StubSite) -> None:
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}
    load = site.load("beta")
    replicas = {"alpha.blue", "beta.blue"}
    load.wait_for(
        lambda so_far: (
            len(so_far.answers) > 40 and {each.slot for each in so_far.answers} >= replicas
        ),
        60,
    )
    report = load.stop()
    assert report.bad == ()
    assert {answer.slot for answer in report.answers} == replicas


def test_its_engine_counts_once_on_the_host_that_leads(site: StubSite) -> None:
    def shown() -> tuple[dict[str, float | None], float | None]:
        frame = json.loads(site.lab.toolkit("top", "--json").stdout)
        replicas = {each["host"]: each[RATE] for each in frame["replicas"]}
        (model,) = frame["models"]
        return replicas, model[RATE]

    # A host waits for a second for the figures of its engine, which a busy machine may take from it once.
    tokens, of_model = until(shown, 60, lambda found: found[0]["alpha"] is not None)
    assert tokens["beta"] is None
    assert of_model == tokens["alpha"]


def test_the_same_again_changes_nothing(site: StubSite) -> None:
    done = json.loads(site.lab.toolkit("deploy", "tiny@v1", "--yes", "--json").stdout)
    assert done["changed"] is False


def test_what_its_hosts_open_for_each_other_is_open_to_them_alone(site: StubSite) -> None:
    place = (site.lab["alpha"].address, 28000)
    assert ":28000 " in site.lab["alpha"].run("ss", "-Hltn")
    probe = f"import socket; print(socket.create_connection({place}, 30).getpeername()[1])"
    assert site.lab["beta"].run("python3", "-c", probe) == "28000\n"
    # from this machine, as the ops machine of the fleet
    with pytest.raises(TimeoutError):
        socket.create_connection(place, 3)


def test_an_upgrade_and_a_rollback_lose_no_request(site: StubSite) -> None:
    loads = [site.load("alpha"), site.load("beta")]
    site.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    assert site.serving() == {"alpha": ["v2"], "beta": ["v2"]}
    for load in loads:
        load.wait_for(lambda report: "v2" in report.versions, 60)
    site.lab.toolkit("rollback", "tiny", "--yes")
    assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}
    for load in loads:
        report = load.stop()
        assert report.bad == ()
        assert {"v1", "v2"} <= report.versions.keys()


def test_a_process_that_dies_takes_the_others_with_it_and_they_meet_again(site: StubSite) -> None:
    machine, unit = site.lab["beta"], UNIT.format(slot="blue")

    def process() -> str:
        return site.lab["alpha"].run("systemctl", "show", "-P", "MainPID", unit)

    def healthy() -> list[bool]:
        return [each["healthy"] for each in site.status()["slots"]]

    def traffic() -> tuple[dict[str, list[str]], list[str]]:
        return site.serving(), site.status()["routers_behind"]

    taken_over = ({"alpha": ["v2"], "beta": ["v2"]}, [])
    before = process()
    machine.run("systemctl", "kill", "-s", "KILL", unit)
    until(process, 60, lambda now: now not in (before, "0\n"))
    until(healthy, 60, lambda found: found == [True] * 4)
    # They may be back before a watch gives their traffic away. While one of them stays away, the standby takes over on
    # both hosts, and it goes on to serve.
    machine.run("systemctl", "stop", unit)
    until(traffic, 60, lambda found: found == taken_over)
    machine.run("systemctl", "start", unit)
    until(healthy, 60, lambda found: found == [True] * 4)
    assert traffic() == taken_over
    site.lab.toolkit("rollback", "tiny", "--yes")
    assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}


def test_a_host_without_power_is_named_and_comes_back(site: StubSite) -> None:
    lost = site.lab["beta"]
    lost.power_off()
    done = site.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", check=False)
    assert done.returncode == 7
    assert "beta" in done.stderr
    lost.power_on()
    # Nobody has to do anything. Both releases lost their process on beta, and the first that is whole again serves.
    whole = [{"alpha": [version], "beta": [version]} for version in ("v1", "v2")]
    until(site.serving, 90, lambda serving: serving in whole)


def test_it_stops_as_one(site: StubSite) -> None:
    done = site.lab.toolkit("stop", "tiny", "--host", "beta", "--yes", check=False)
    assert done.returncode == 2
    assert "together with alpha" in done.stderr
    site.lab.toolkit("stop", "tiny", "--yes")
    assert site.serving() == {}
    for machine in site.lab.machines:
        assert "tiny" not in machine.run("ls", "/var/lib/toolkit/slots")


def test_an_engine_that_its_hosts_lack_comes_with_its_model(site: StubSite) -> None:
    engine = pin_with_engine(site, "v3")
    site.lab.toolkit("deploy", "tiny@v3", "--yes", "--bake", "1")
    assert site.serving() == {"alpha": ["v3"], "beta": ["v3"]}
    answer = site.ask("beta", PROMPT)
    assert answer["choices"][0]["message"]["content"] == "I am version v3."
    for machine in site.lab.machines:
        assert f"engines/{engine}/bin/vllm serve" in machine.run("ps", "-eo", "args")
        assert machine.run("ls", "/var/lib/toolkit/wheelhouse") == ""
    site.lab.toolkit("stop", "tiny", "--yes")
    pruned = json.loads(site.lab.toolkit("prune", "--keep", "0", "--yes", "--json").stdout)
    for machine in site.lab.machines:
        assert engine in pruned["removed"]["hosts"][machine.name]["engines"]
        assert engine not in machine.run("ls", "/var/lib/toolkit/engines")
