"""From a request at a real router to evidence that a script checks: nothing in between is a stand-in but the engine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.host_lab import ENGINE, HostLab, release
from tests.system.waiting import until
from toolkit.adapters.audit.log import AuditLog
from toolkit.adapters.fakes.behaviour import Behaviour
from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.client import silent
from toolkit.cli.commands.prove import CHECKER
from toolkit.domain.clients.evidence import Answered, Claim
from toolkit.domain.clients.keys import KeyRing
from toolkit.domain.trail.audit import Head, plan_digest
from toolkit.planning.evidence.decision import LicenceDecision
from toolkit.planning.evidence.proof import evidence_text
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target
from toolkit.workflows.evidence.prove import ProofRequest, ProofSources, prove

ID = "answer-1.of-tiny"
# The name of a snapshot with one file, `behaviour`, in which stands how the replica does.
DIGEST = hashlib.sha256(
    f"behaviour\0{hashlib.sha256(str(Behaviour.GOOD).encode()).hexdigest()}\n".encode()
).hexdigest()
# Python alone: a host with systemd has no other client.
ASK = """
import sys, time, urllib.request
url, id = sys.argv[1:]
for _ in range(100):
    try:
        body = b'{"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}'
        headers = {"X-Request-Id": id, "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=50) as answer:
            # A client that leaves before it has the whole answer is logged as 499.
            answer.read()
            print("HTTP/1.1 200 OK")
            print(answer.headers)
        break
    except urllib.error.HTTPError as error:
        refused = error
        time.sleep(0.1)
else:
    sys.exit(f"no answer: {refused}")
"""


@pytest.fixture(params=["real", pytest.param("systemd", marks=pytest.mark.system)])
def lab(request: pytest.FixtureRequest) -> HostLab:
    """A host that serves a snapshot under the digest of its files."""
    found: HostLab = request.getfixturevalue(f"{request.param}_host")
    found.empty()
    root = found.host.host.root
    # A snapshot of its own: other tests spoil the files of theirs, and a snapshot shares its files with its source.
    source = f"{root}/sources/answered"
    write = 'rm -rf "$1"; mkdir "$1"; printf %s "$2" >"$1/behaviour"'
    found.run("sh", "-c", write, "sh", source, str(Behaviour.GOOD))
    if DIGEST in found.host.observe().snapshots:
        found.host.remove("snapshots", DIGEST)
    found.host.place(source, DIGEST, ["behaviour"], silent)
    program = found.start("blue", snapshot=DIGEST)
    assert found.host.wait_ready(program, found.ports["blue"], 120, silent).ok
    found.host.apply_keys(KeyRing())
    found.route(
        with_model(Routes(), "tiny", (Target("blue", found.ports["blue"], 100),), created=1)
    )
    found.host.seal_engine(ENGINE, silent)
    return found


def asked(lab: HostLab) -> str:
    """Ask the router as a client; return the headers of its answer."""
    url = f"http://{lab.host.host.router_bind}/v1/chat/completions"
    return lab.run("/usr/bin/python3", "-c", ASK, url, ID)


def logged(lab: HostLab) -> tuple[Answered, ...]:
    """Return what the log has, the newest first, once the answer is in it: a refusal before it may be there earlier."""
    return until(
        lambda: lab.host.answered(ID),
        60,
        lambda found: any(each.status == 200 for each in found),
    )


def test_an_answer_of_a_real_router_is_proved(lab: HostLab, tmp_path: Path) -> None:
    headers = dict(line.split(": ", 1) for line in asked(lab).lower().splitlines() if ": " in line)
    assert (headers["x-request-id"], headers["x-toolkit-slot"]) == (ID, "blue")
    found = logged(lab)[0]
    assert (found.host, found.model, found.slot) == (lab.host.name, "tiny", "blue")
    assert (found.release, found.status, found.path) == (1, 200, "/v1/chat/completions")
    assert str(found.release) == headers["x-toolkit-release"]
    assert lab.host.answered("somebody-else") == ()
    told = lab.host.read_requests("tiny", 5)
    [line] = [each for each in told.requests if each.request_id == ID][-1:]
    assert (line.release, line.slot, line.status, line.reason) == (1, "blue", 200, "-")
    assert lab.host.read_requests("tiny", 5, told.place).requests == ()

    log = AuditLog(tmp_path)

    def record(content: Mapping[str, Any]) -> Head:
        told = {"event": "begin", "command": "prove", "plan": plan_digest(content)}
        return log.append(told)[1]

    with closing(History(tmp_path / "history.db", time.time)) as history:
        desk = ProofSources(
            history=history,
            log=log,
            decide=lambda _: LicenceDecision(None, True, "mit", "", ""),
            record=record,
            toolkit="0",
            clock=time.time,
            say=lambda _: None,
        )
        proved = prove(ProofRequest(Claim(request_id=ID), ""), [lab.host], desk)
    assert proved.release.engine == ENGINE
    assert proved.release.snapshot == DIGEST
    assert proved.release.number == release(Behaviour.GOOD).number
    path = tmp_path / "evidence.json"
    path.write_text(evidence_text(proved.document))
    # The host's own file of heads vouches for it.
    kept = lab.run("cat", f"{lab.host.host.root}/audit/{proved.head.log}.json")
    (tmp_path / "heads.json").write_text(kept)
    assert json.loads(kept)["heads"][-1]["digest"] == proved.head.digest
    argv = [sys.executable, "-I", str(CHECKER), str(path), "--head", str(tmp_path / "heads.json")]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"1 files hashed, and they are those of snapshot {DIGEST}" in done.stdout
    assert "slot blue has this release, process running" in done.stdout
