"""What only a real host can show: processes, privileges, running requests, a killed ops machine."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.host_contract import OWNER, real_hosts
from tests.adapters.host_lab import Behaviour, HostLab
from tests.pace import Pace
from tests.planning.rendered import render_files
from tests.system.waiting import until
from toolkit.adapters.hosts import heartbeat
from toolkit.adapters.hosts.client import silent
from toolkit.adapters.hosts.heartbeat import Heartbeat
from toolkit.adapters.hosts.host import RealHost
from toolkit.domain.files.snapshot import FileDigest, digest_of_files
from toolkit.errors import BusyError, HostError
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

MODULES = Path(__file__).parents[2] / "playbooks/roles/replica/files"


__all__ = ["real_hosts"]


def test_drain_waits_for_a_running_request(lab: HostLab, program: str) -> None:
    heard: list[int] = []

    def note(event: Mapping[str, Any]) -> None:
        if not heard:
            lab.ask("blue", "release")
        heard.append(event["left"])

    with _held_request(lab):
        waited = lab.host.drain("tiny", "blue", lab.ports["blue"], 60, note)
        assert (waited.ok, waited.left, lab.running("blue")) == (True, 0, 0)
    assert heard[0] == 1


def test_drain_gives_up_at_its_deadline(lab: HostLab, program: str) -> None:
    port = lab.ports["blue"]
    with _held_request(lab):
        waited = lab.host.drain("tiny", "blue", port, 0.3, silent)
        lab.ask("blue", "release")
    assert (waited.ok, waited.left) == (False, 1)


def test_what_runs_on_has_no_directory_of_the_playbook_that_started_it(lab: HostLab) -> None:
    """Where there is no systemd, supervisord comes from a playbook, whose temporary files go with it."""
    pattern = f"^[^ ]*python3 [^ ]*supervisord -c {lab.host.host.root}/"
    script = 'for each in $(pgrep -f "$1"); do tr "\\0" "\\n" </proc/$each/environ; done'
    found = lab.run("sh", "-c", script, "sh", pattern)
    assert ("PATH=" in found) == (lab.host.observe().init == "supervisord")
    assert "TMPDIR=" not in found


def test_a_replica_gets_starter_and_recorder_and_cannot_change_them(
    lab: HostLab, program: str
) -> None:
    root = lab.host.host.root
    python = f"{root}/slots/{program}/python"
    assert lab.run("ls", python).split() == ["toolkit_recorder", "toolkit_starter"]
    for package in ("toolkit_recorder", "toolkit_starter"):
        place, files = f"{python}/{package}", sorted((MODULES / package).glob("*.py"))
        assert lab.run("ls", place).split() == [path.name for path in files]
        for path in files:
            assert lab.run("cat", f"{place}/{path.name}") == path.read_text()
        owners = lab.run("stat", "-c", "%U %a", place, f"{place}/__init__.py").split("\n")[:2]
        assert owners == ["root 755", "root 640"]
    environment = lab.run(
        "grep", "-e", "PYTHONPATH", "-e", "TOOLKIT_USE", f"{root}/slots/{program}/run"
    )
    assert f"export PYTHONPATH={root}/slots/{program}/python\n" in environment
    assert f'"directory": "{root}/caches/{program}/use"' in environment
    lab.ask("blue")
    # The line of a request comes after its answer. Requests of earlier tests may have been broken off.
    lines = until(
        lambda: [json.loads(line) for line in _all_use(lab, program)],
        60,
        lambda found: any(line.get("end") == "whole" and line["out"] > 0 for line in found),
    )
    assert {(line["program"], line["release"]) for line in lines if "run" in line} == {(program, 1)}
    # The gate's and the toolkit's own requests, past the router, are probes.
    records = [line for line in lines if "key" in line]
    assert {(line["key"], line["model"]) for line in records} == {("probe", "tiny")}
    lab.run("sh", "-c", f"echo >>{python}/toolkit_recorder/book.py")
    (slot,) = (each for each in lab.host.observe().slots if each.slot == "blue")
    assert slot.drift == (f"{python}/toolkit_recorder/book.py was changed",)


def _all_use(lab: HostLab, program: str) -> list[str]:
    """Return the lines of a replica's records, without one that is being written."""
    files = f"{lab.host.host.root}/caches/{program}/use/*.jsonl"
    # The newest file, which alone may end amid a line, comes last.
    return lab.run("sh", "-c", f"cat $(ls -tr {files})").rpartition("\n")[0].splitlines()


def test_the_watch_restarts_a_replica_that_hangs_and_says_so(lab: HostLab, pace: Pace) -> None:
    assert lab.host.observe().watched
    program = lab.start("blue", Behaviour.HANGS)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    lab.route(with_model(Routes(), "tiny", (Target("blue", lab.ports["blue"], 100),), created=1))
    (before,) = lab.host.observe().slots
    ask = f"""
import http.client, time
client = http.client.HTTPConnection("{lab.host.host.router_bind}", timeout=50)
client.request("POST", "/m/tiny/v1/completions", "{{}}")
print(client.getresponse().status)
"""
    started = pace()
    # Its client is let go, and hears why.
    assert lab.run("/usr/bin/python3", "-c", ask).split() == ["504"]
    assert pace() - started < 10
    after = until(
        lambda: lab.host.observe().slots[0],
        60,
        lambda slot: slot.started_at not in (None, before.started_at),
    )
    assert (after.hung_at or 0) > (before.started_at or 0)
    assert after.hung.startswith("1 request is open, and it did nothing for ")


_STOP = {
    "systemd": 'systemctl stop "$(basename "$1")-$2.service"',
    "supervisord": 'supervisorctl -c "$1/supervisor/supervisord.conf" stop "$2"',
}


def test_the_watch_makes_a_standby_that_took_over_the_one_that_serves(
    lab: HostLab, program: str
) -> None:
    standby = lab.start("green")
    assert lab.host.wait_ready(standby, lab.ports["green"], 120, silent).ok
    targets = (
        Target("blue", lab.ports["blue"], 100),
        Target("green", lab.ports["green"], 0, standby=True),
    )
    lab.route(with_model(Routes(), "tiny", targets, created=1))
    lab.run("sh", "-c", _STOP[lab.host.observe().init], "sh", lab.host.host.root, program)
    until(
        lambda: {each.slot: each.weight for each in lab.host.observe().slots},
        60,
        lambda weights: weights == {"blue": 0, "green": 100},
    )
    facts = lab.host.observe()
    route = Routes.from_json(facts.routes).routes[0]
    assert route.took_over > 0
    assert [(each.slot, each.standby) for each in route.targets] == [
        ("blue", True),
        ("green", False),
    ]
    assert (facts.changed_files, facts.router.drift) == ((), ())


def test_a_second_run_of_every_playbook_changes_nothing(lab: HostLab, program: str) -> None:
    absent = {"replica_program": "tiny-green", "replica_state": "absent"}
    assert lab.play("replica", absent) == ()
    digest = {"provision_digest": lab.host.observe().converged}
    assert lab.play("provision", digest) == ()


def test_a_silent_holder_loses_its_lock_and_changes_nothing_more(
    lab: HostLab, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a dead link or a stopped ops machine: the pipe stays open, and nothing comes."""
    host = lab.host
    assert isinstance(host, RealHost)
    monkeypatch.setattr(heartbeat, "SILENCE_SECONDS", 3.0)
    lab.route(Routes())
    # Signs of life keep it for longer than the silence. A machine that stands still sends none.
    for _ in range(3):
        with host.lock(OWNER):
            still = _longest_stand_still(4)
            kept = host.observe().held_by is not None
            if kept or still < 1.5:
                host.require_lock()
                break
    assert kept
    with monkeypatch.context() as patch:
        patch.setattr(Heartbeat, "beat", lambda self: None)
        with host.lock(OWNER):
            until(host.observe, 60, lambda facts: facts.held_by is None)
            for what in (host.require_lock, lambda: lab.route(Routes())):
                with pytest.raises(HostError, match="the deployment lock was lost"):
                    what()
            # The host itself refuses too, whatever the ops machine believes.
            with pytest.raises(HostError, match="the deployment lock was lost"):
                host._ask("apply-routes", files=render_files(Routes()), holder="another")
    with host.lock(OWNER):
        lab.route(Routes())


def _longest_stand_still(seconds: float) -> float:
    """Sleep so long; return for how long at a time this process did not get to run meanwhile, in seconds."""
    began = last = time.monotonic()
    longest = 0.0
    while last < began + seconds:
        time.sleep(0.1)
        now = time.monotonic()
        last, longest = now, max(longest, now - last)
    return longest


def test_the_replica_runs_without_privileges(lab: HostLab, program: str) -> None:
    user = lab.host.host.slot_user(program)
    assert user not in ("root", lab.host.host.user)
    assert lab.run("pgrep", "-u", user, "-f", f"serve .* --port {lab.ports['blue']}").strip()


def test_what_was_changed_since_the_deployment_is_named(lab: HostLab, program: str) -> None:
    assert [slot.drift for slot in lab.host.observe().slots] == [()]
    run = f"{lab.host.host.root}/slots/{program}/run"
    lab.run("sh", "-c", 'echo "# looked at it" >>"$1"', "sh", run)
    (slot,) = lab.host.observe().slots
    assert slot.drift == (f"{run} was changed",)
    # the process was started with other arguments than its manifest says
    manifest = f"{lab.host.host.root}/slots/{program}/manifest.json"
    lab.run("sed", "-i", 's/"--served-model-name"/"--other-name"/', manifest)
    (slot,) = lab.host.observe().slots
    assert "its process has other arguments than the release" in slot.drift


def test_a_replica_does_not_start_again_on_changed_weights(lab: HostLab) -> None:
    root, port = lab.host.host.root, lab.ports["blue"]
    text = str(Behaviour.GOOD).encode()
    digest = digest_of_files([FileDigest("behaviour", len(text), hashlib.sha256(text).hexdigest())])
    lab.host.place(f"{root}/sources/good", digest, ["behaviour"], lambda _: None)
    program = lab.start("blue", snapshot=digest)
    assert lab.host.wait_ready(program, port, 120, silent).ok
    path = f"{root}/snapshots/{digest}/behaviour"
    # Whoever hides a change sets the times of the file back.
    lab.run(
        "sh",
        "-c",
        'touch -r "$1" "$2"; printf Good >"$1"; touch -r "$2" "$1"',
        "sh",
        path,
        f"{root}/time",
    )
    lab.run("pkill", "-KILL", "-o", "-f", f"serve .* --port {port}")
    until(
        lambda: "\n".join(lab.host.logs(program, 50, follow=False)),
        60,
        lambda said: "is not what was put here" in said,
    )
    assert not lab.host.wait_ready(program, port, 1, silent).ok
    lab.empty()
    lab.host.remove("snapshots", digest)


def test_the_lock_ends_with_a_killed_holder(lab: HostLab) -> None:
    host = lab.host.host
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, json.dumps(asdict(host)), str(lab.scratch)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"
    with pytest.raises(BusyError), lab.host.lock(OWNER):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    until(lab.host.observe, 60, lambda facts: facts.held_by is None)
    with lab.host.lock(OWNER):
        pass


_HOLD = """
import json, sys, time
from pathlib import Path
from toolkit.adapters.hosts.client import host_client
from toolkit.adapters.hosts.host import RealHost
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.replicas.probe import LockOwner
host = Host(**json.loads(sys.argv[1]))
with RealHost(host_client(host, Path(sys.argv[2]))).lock(LockOwner("x", "y", 1)):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def _held_request(lab: HostLab) -> Iterator[None]:
    """A request that the replica has begun to work on, and works on until `release` is asked."""
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(lab.ask, "blue", "held")
        # One that has ended already says why.
        until(lambda: lab.running("blue") or (held.done() and held.result()), 60)
        yield
        held.result()
