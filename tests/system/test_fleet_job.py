"""The main job on three real hosts over SSH, each with its own systemd and router; a stub stands for vLLM."""

from __future__ import annotations

import json
import time
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.hostside.router_lab import free_port
from tests.pace import Pace
from tests.system.beside import beside
from tests.system.entered import change_behind, keep_out, lose, miss_a_change
from tests.system.figures import agree_on_good, by_both_sources, without_data
from tests.system.held import all_done, end_of_held_request, held_requests, let_go
from tests.system.kept import flip_a_bit, phase_on, sleep_of_all, verdict_on
from tests.system.on_call import on_call, outage_is_told
from tests.system.planted import FAULTS, GUARD, LONG, Fault, try_version
from tests.system.stub_site import PROMPT, REGISTRY, StubSite, stub_site
from tests.system.waiting import until
from toolkit.adapters.fakes.behaviour import Behaviour

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]
HOSTS = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def site() -> Iterator[StubSite]:
    with stub_site(3, f"{REGISTRY}    objectives: {{availability: 99%}}\n") as made:
        made.pin("v1")
        made.pin("v2")
        made.pin("broken", Behaviour.EMPTY)
        made.pin("endless", Behaviour.NEVER_READY)
        yield made


def test_a_model_comes_to_three_bare_hosts(site: StubSite) -> None:
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    assert site.serving() == {name: ["v1"] for name in HOSTS}
    load = site.load("alpha")
    # the door of one host leads to the replicas of all
    replicas = {f"{name}.blue" for name in HOSTS}
    load.wait_for(
        lambda so_far: (
            len(so_far.answers) > 60 and {each.slot for each in so_far.answers} >= replicas
        ),
        60,
    )
    report = load.stop()
    assert report.bad == ()
    assert {answer.slot for answer in report.answers} == replicas


def test_the_same_again_changes_nothing(site: StubSite) -> None:
    done = json.loads(site.lab.toolkit("deploy", "tiny@v1", "--yes", "--json").stdout)
    assert done["changed"] is False


def test_an_upgrade_and_a_rollback_lose_no_request(site: StubSite) -> None:
    loads = [site.load("alpha"), site.load("beta")]
    site.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    assert site.serving() == {name: ["v2"] for name in HOSTS}
    for load in loads:
        load.wait_for(lambda report: "v2" in report.versions, 60)
    # An ops machine whose history is damaged rolls back as well.
    damaged = site.lab.directory / "ops3"
    damaged.mkdir()
    (damaged / "history.db").write_bytes(b"no database" * 999)
    done = site.lab.toolkit("rollback", "tiny", "--yes", TOOLKIT_HOME=str(damaged))
    assert "this command goes on without it" in done.stderr
    assert site.serving() == {name: ["v1"] for name in HOSTS}
    after = time.time()
    for load in loads:
        load.wait_for(lambda report: report.last_sent("v1", after=after) is not None, 60)
    for load in loads:
        report = load.stop()
        assert report.bad == ()
        assert {"v1", "v2"} <= report.versions.keys()
        assert report.last_sent("v2", after=after) is None


def test_a_planted_outage_is_told_on_call_and_every_panel_has_data(
    site: StubSite, pace: Pace
) -> None:
    lab, port = site.lab, free_port()
    directory = lab.directory / "prometheus"
    lab.toolkit("metrics", "setup", str(directory), "--alertmanager", f"127.0.0.1:{port}")
    shown = json.loads(lab.toolkit("metrics", "show", "--json").stdout)
    assert (shown["out_of_reach"], shown["files"]) == ([], [])
    replicas = [each for each in shown["targets"] if each["job"] == "toolkit-replica"]
    assert {each["labels"]["host"] for each in replicas} == set(HOSTS)
    # Minutes of requests, of which the figures need only some.
    load = site.load("alpha", pause=0.2)
    # The end of each deployment writes the targets.
    targets = directory / "targets" / "toolkit-replica.json"
    text = targets.read_text()
    targets.unlink()
    lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    assert targets.read_text() == text
    with on_call(directory, port) as called:
        # Of each host its router, its watch and both slots.
        until(lambda: called.query("up == 1"), 180, lambda up: len(up) == 4 * len(HOSTS))
        until(lambda: without_data(called), 240, lambda queries: not queries)
        serving = {each["metric"]["version"] for each in called.query("toolkit:release:serving")}
        assert serving == {"v2"}
        # Nothing was told of an upgrade under traffic.
        assert called.pages == []
        outage_is_told(called, lab["beta"], "toolkit-tiny-green.service", pace)
        load.stop()
        # What Prometheus scraped of the live hosts is what their ledgers have, once both have read all of it.
        until(lambda: by_both_sources(site, called.prometheus), 240, agree_on_good)
        # A Prometheus that a busy machine keeps from its answer is passed over.
        until(
            lambda: lab.toolkit("slo", TOOLKIT_PROMETHEUS=called.prometheus).stdout,
            60,
            lambda shown: f"figures from Prometheus at {called.prometheus}" in shown,
        )
    lab.toolkit("rollback", "tiny", "--yes")
    assert site.serving() == {name: ["v1"] for name in HOSTS}


def test_a_bad_version_stops_at_its_first_host(site: StubSite) -> None:
    load = site.load("beta")
    done = site.lab.toolkit("upgrade", "tiny", "--to", "broken", "--yes", check=False)
    assert done.returncode == 8
    assert "answered nothing" in done.stderr
    for name in ("beta", "gamma"):
        assert f"{name}: untouched: tiny #1 (v1)" in done.stderr
    assert load.stop().bad == ()
    assert site.serving() == {name: ["v1"] for name in HOSTS}


def test_a_router_whose_directory_was_removed_serves_on_and_comes_back(site: StubSite) -> None:
    load = site.load("gamma")
    site.lab["gamma"].run("rm", "-rf", "/var/lib/toolkit/router")
    done = site.lab.toolkit("repair", "--yes", check=False)
    assert (done.returncode, "the router's configuration is gone" in done.stderr) == (7, True), done
    assert "toolkit provision" in done.stderr
    load.wait_for(lambda report: len(report.answers) > 20, 60)
    # Its supervisor starts it anew: systemd has shown it the former directory alone.
    assert load.stop().bad == ()
    said = site.lab.toolkit("provision", "--yes").stdout
    assert "gamma  converged" in said
    site.lab.toolkit("repair", "--yes")
    load = site.load("gamma")
    site.lab.toolkit("deploy", "tiny@v2", "--yes", "--bake", "1")
    load.wait_for(lambda report: "v2" in report.versions, 60)
    site.lab.toolkit("rollback", "tiny", "--yes")
    assert load.stop().bad == ()
    assert site.serving() == {name: ["v1"] for name in HOSTS}


def test_a_host_without_power_is_named_and_catches_up(site: StubSite, pace: Pace) -> None:
    load = site.load("alpha")
    load.wait_for(lambda report: len(report.answers) > 20, 60)
    lost = site.lab["gamma"]
    with ThreadPoolExecutor(12) as pool:
        # Whoever looks how many of them a host computes, and then cuts its power, takes seconds on a busy machine.
        ends = [pool.submit(end_of_held_request, site, pace) for _ in range(12)]
        # every host computes some of them
        until(lambda: held_requests(site, "gamma"), 60, lambda number: number > 2)
        cut = time.time()
        lost.power_off()
        off = pace()
        load.wait_for(lambda _: pace() > off + 2, 60)
        until(lambda: let_go(site, "alpha", "beta") or ends, 60, all_done)
        known = time.time()
    # cut, and not left hanging until they would have had their answers
    lost_ones = [end for end, status in (ended.result() for ended in ends) if status != 200]
    assert len(lost_ones) > 2
    assert max(lost_ones) < off + 2.5
    done = site.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1", check=False)
    report = load.stop()
    assert done.returncode == 7
    assert "gamma: unreachable" in done.stderr
    # what was under way on the host is lost with it, one request of each of the four clients at most
    assert len(report.bad) <= 4
    assert all(cut <= answer.ended_at and answer.sent_at < known for answer in report.bad)
    assert site.serving() == {"alpha": ["v2"], "beta": ["v2"]}
    lost.power_on()
    site.lab.toolkit("upgrade", "tiny", "--to", "v2", "--yes", "--bake", "1")
    assert site.serving() == {name: ["v2"] for name in HOSTS}


def test_ended_while_a_replica_starts_it_undoes_at_once(site: StubSite, pace: Pace) -> None:
    before = site.serving()
    with beside(*site.lab.command("upgrade", "tiny", "--to", "endless", "--yes")) as command:
        command.says("starting for", 300)
        ended = pace()
        command.process.terminate()
        command.says("alpha: restoring what served before", 60)
        assert pace() - ended < 5
        assert command.end(300) == 130, command.said
    assert "alpha: restored: tiny" in command.said
    assert site.serving() == before
    left = site.status()
    assert left["unfinished"] == []
    assert "endless" not in {slot["release"]["version"] for slot in left["slots"]}


def test_killed_in_the_middle_the_next_command_converges(site: StubSite) -> None:
    load = site.load("alpha")
    words = ("upgrade", "tiny", "--to", "v1", "--yes", "--bake", "20")
    with beside(*site.lab.command(*words)) as command:
        # A look at the fleet may take as long as the bake. The first host with v1 is alpha.
        load.wait_for(lambda report: command.goes_on() and report.versions.get("v1", 0) > 20, 180)
        command.kill()
    assert site.status()["unfinished"], command.said
    # From another ops machine, with a history of its own. Short names: sockets of connections lie in its home.
    elsewhere = {"TOOLKIT_HOME": str(site.lab.directory / "ops2")}
    there = site.lab.toolkit("status", "--json", **elsewhere).stdout
    assert {each["host"] for each in json.loads(there)["unfinished"]} == set(HOSTS)
    done = site.lab.toolkit("upgrade", "tiny", "--to", "v1", "--yes", "--bake", "1", **elsewhere)
    assert "was cut short" in done.stderr
    assert site.serving() == {name: ["v1"] for name in HOSTS}
    # The first ops machine has a record to close, and nothing to do.
    assert not json.loads(site.lab.toolkit("deploy", "tiny@v1", "--yes", "--json").stdout)[
        "changed"
    ]
    assert site.status()["unfinished"] == []
    assert load.stop().bad == ()


def test_killed_in_a_canary_the_fleet_goes_back_by_itself(site: StubSite, pace: Pace) -> None:
    site.guard(LONG)
    before, load = site.serving(), site.load("beta")
    words = ("upgrade", "tiny", "--to", "v2", "--yes", "--host", "alpha")
    with beside(*site.lab.command(*words)) as command:
        load.wait_for(lambda so_far: command.goes_on() and so_far.versions.get("v2", 0) > 3, 180)
        command.kill()
    killed = pace()
    # The lock's pipe ends with the command, and the guard sees that within a second or two.
    load.wait_for(lambda _: pace() > killed + 5, 120)
    late = time.time()
    load.wait_for(lambda _: pace() > killed + 8, 120)
    report = load.stop()
    assert report.last_sent("v1", after=late) is not None
    assert report.last_sent("v2", after=late) is None
    assert report.bad == ()
    left = site.status()
    assert {each["share"] for each in left["slots"]} == {0}
    (guard,) = left["guards"]
    assert guard["withdrawn"].startswith("the lease ended")
    assert site.serving() == before
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    assert (site.status()["unfinished"], site.serving()) == ([], before)


def test_a_host_that_reboots_in_its_bake_comes_to_a_verdict_by_itself(
    site: StubSite, pace: Pace
) -> None:
    # Long enough for a machine that stands still before the look that sees it.
    site.guard("{bake: 20s}")
    before, load, alpha = site.serving(), site.load("beta"), site.lab["alpha"]
    with beside(*site.lab.command("upgrade", "tiny", "--to", "v2", "--yes")) as command:
        until(
            lambda: phase_on(site, "alpha"),
            180,
            lambda phase: phase == ("v2", "bake") or not command.goes_on(),
        )
        cut = time.time()
        alpha.power_off()
        off = pace()
        load.wait_for(lambda _: pace() > off + 2, 60)
        known = time.time()
        assert command.end(120) == 7, command.said
    assert "alpha: not restored" in command.said
    assert "the next command completes or undoes it" in command.said
    for name in ("beta", "gamma"):
        assert f"{name}: untouched: tiny #1 (v1)" in command.said
    alpha.power_on()
    # No command takes part in this.
    verdict = until(
        lambda: verdict_on(site, "alpha"), 120, lambda found: found and found["gate"] == "bake"
    )
    load.wait_for(lambda so_far: so_far.last_sent("v1", after=time.time() - 1) is not None, 60)
    # Which of its two replicas a boot makes ready first is chance, and decides what serves until the next command.
    version = {"passed": "v2", "could not tell": "v1"}[verdict["verdict"]]
    print(f"after the boot {version} serves: {verdict['verdict']} {verdict['reason']}")
    assert (verdict["verdict"] == "passed") == (verdict["reason"] == ""), verdict
    now = {**before, "alpha": [version]}
    until(site.serving, 60, lambda serving: serving == now)
    left = site.status()
    assert {each["share"] for each in left["slots"]} == {0}
    gates = json.loads(site.lab.toolkit("releases", "tiny", "--json").stdout)["gates"]
    (bake,) = (each for each in gates if each["gate"] == "bake" and each["at"] > cut)
    assert (bake["host"], bake["verdict"]) == ("alpha", verdict["verdict"])
    site.lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
    assert (site.status()["unfinished"], site.serving()) == ([], before)
    bad = load.stop().bad
    assert len(bad) <= 4
    assert all(cut <= answer.ended_at and answer.sent_at < known for answer in bad)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.behaviour)
def test_a_planted_fault_is_returned_with_no_person_present(site: StubSite, fault: Fault) -> None:
    site.guard(GUARD)
    version = fault.behaviour.replace(" ", "-")
    site.pin(version, fault.behaviour)
    before = site.serving()
    found = try_version(site, version, "alpha")
    assert (found.code, found.gate in fault.gates, found.others) == (8, True, 0), found
    assert found.wrong <= fault.wrong
    assert site.serving() == before
    assert site.status()["unfinished"] == []


def test_a_model_sleeps_on_all_hosts_and_a_request_at_one_wakes_it_on_all(site: StubSite) -> None:
    def slots() -> Any:
        return site.status()["slots"]

    before, said = site.serving(), site.status()["drift"]
    site.lab.toolkit("sleep", "tiny", "--yes")
    assert {(each["asleep"], each["rests"]) for each in slots()} == {("asleep", True)}
    for machine in site.lab.machines:
        assert "vllm serve" not in machine.run("ps", "-eo", "args")
    # Nothing depends on the watch that put it to sleep, and a boot starts no engine.
    beta = site.lab["beta"]
    beta.power_off()
    beta.power_on()
    until(lambda: beta.run("ps", "-eo", "args"), 60, lambda args: "sleep infinity" in args)
    assert "vllm serve" not in beta.run("ps", "-eo", "args")
    # What beta's boot has started needs a moment until it answers.
    until(lambda: site.status()["drift"], 60, lambda drift: drift == said)
    # No ops machine takes part in this.
    began = time.monotonic()
    answer = site.ask("alpha", PROMPT)
    print(f"{time.monotonic() - began:.1f} s from the request to its answer")
    assert answer["choices"][0]["message"]["content"].startswith("I am version")
    until(site.serving, 60, lambda serving: serving == before)
    until(slots, 60, lambda found: not any(each["asleep"] for each in found))
    # A command that is killed after it changed the routes of all hosts, which status shows from the first of them on.
    words = ("sleep", "tiny", "--yes", "--when-asleep", "wake")
    with beside(*site.lab.command(*words)) as command:
        until(lambda: (command.said, sleep_of_all(site)), 60, lambda seen: seen[1])
        command.kill()
    until(slots, 60, lambda found: all(each["rests"] for each in found))
    with pytest.raises(urllib.error.HTTPError) as refused:
        site.ask("gamma", PROMPT)
    with refused.value as answer:
        assert answer.code == 503
        assert int(answer.headers["Retry-After"]) >= 1
    until(site.serving, 60, lambda serving: serving == before)
    until(slots, 60, lambda found: not any(each["asleep"] for each in found))
    assert site.status()["unfinished"] == []


def test_stop_takes_the_model_from_all_hosts(site: StubSite) -> None:
    site.lab.toolkit("stop", "tiny", "--yes")
    assert site.serving() == {}
    for machine in site.lab.machines:
        assert "tiny" not in machine.run("ls", "/var/lib/toolkit/slots")


def test_clients_enter_at_a_gateway_that_gets_no_replica(site: StubSite) -> None:
    lab = site.lab
    fleet = lab.inventory.read_text()
    lab.inventory.write_text(fleet.replace("gamma:\n", "gamma:\n      toolkit_gateway: true\n"))
    try:
        refused = lab.toolkit("deploy", "tiny@v1", "--yes", "--host", "gamma", check=False)
        assert (refused.returncode, "gamma is a gateway" in refused.stderr) == (3, True), refused
        done = lab.toolkit("deploy", "tiny@v1", "--yes", "--bake", "1")
        assert "gamma is left out: gamma is a gateway, which gets no replica" in done.stderr
        assert site.serving() == {"alpha": ["v1"], "beta": ["v1"]}
        load = site.load("gamma")
        load.wait_for(
            lambda so_far: {each.slot for each in so_far.answers} >= {"alpha.blue", "beta.blue"}, 60
        )
        assert load.stop().bad == ()
        change_behind(site, "gamma")
        keep_out(site, "gamma", "alpha")
        miss_a_change(site, "gamma", ("alpha", "beta"))
        lose(site, "gamma", "alpha")
        assert "tiny" not in lab["gamma"].run("ls", "/var/lib/toolkit/slots")
        lab.toolkit("stop", "tiny", "--yes")
    finally:
        lab.inventory.write_text(fleet)


def test_a_bit_that_flipped_on_a_host_is_found_before_it_is_served(site: StubSite) -> None:
    alpha, root = site.lab["alpha"], "/var/lib/toolkit/snapshots"
    find = ["grep", "-lr", "I am version v1.", root, "--include=behaviour.txt"]
    path = alpha.run(*find).split()[0].replace("behaviour.txt", "model.safetensors")
    flip_a_bit(alpha, path)
    done = site.lab.toolkit("deploy", "tiny@v1", "--yes", check=False)
    assert done.returncode == 6, done.stderr
    assert "model.safetensors: not what was pinned" in done.stderr
    assert "toolkit verify --repair" in done.stderr
    assert "alpha" not in site.serving()
    alpha.run("sh", "-c", "echo 'os.exit()' >>/var/lib/toolkit/router/limits.lua")
    said = site.lab.toolkit("verify", "--repair", check=False)
    assert said.returncode == 6
    assert "alpha: router/limits.lua was changed" in said.stderr
    assert path.split("/")[5] not in alpha.run("ls", root)
