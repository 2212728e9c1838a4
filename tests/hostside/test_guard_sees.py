"""What the guard of a release sees: the router's counters of a slot, its process and its log, answers to probes."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO, Lab, until
from tests.hostside.router_site import PATH, Site, site_of

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import access_log
import completion
import guard_probes
import guard_replica
import guards
import processes
from guard_traffic import Meter, Traffic, slot_of


@pytest.fixture(scope="module")
def standing() -> Iterator[Site]:
    with site_of() as made:
        yield made


def ask(running: Lab, count: int, path: str = PATH) -> None:
    for _ in range(count):
        running.ask(path, {"model": "tiny"})


def test_the_router_counts_what_each_slot_answered_and_what_of_it_failed(site: Site) -> None:
    # Its own router: the first look counts what the workers answered before it.
    meter = Meter(str(site.lab.root))
    assert meter.read()["tiny", "blue"].total == 0
    ask(site.lab, 3)
    assert meter.read()["tiny", "blue"][:3] == (3, 0, 0)
    site.blue.broken = True
    ask(site.lab, 2)
    site.blue.broken = False
    ask(site.lab, 1)
    seen = meter.read()
    assert seen["tiny", "blue"][:3] == (3, 2, 0)
    # The client may have its answer before the router is done with the request.
    until(lambda: meter.read()["tiny", "blue"].open == 0)
    assert seen["tiny", "blue"].first is not None
    assert seen["tiny", "green"] == Traffic()
    # Nobody knows what 50 requests would have shown.
    assert meter.share_failed("tiny", "blue") is None
    ask(site.lab, 50)
    meter.read()
    assert meter.share_failed("tiny", "blue") == pytest.approx(2 / 56)


def test_a_replica_is_not_taken_for_the_one_that_had_its_slot_before(standing: Site) -> None:
    root = standing.lab.root
    watching, slot = guards.Guards(str(root), 8.0, 600.0), ("tiny", "blue")

    def runs(number: int, snapshot: str) -> None:
        """Have a release in the slot, and let the watch look a while later."""
        place = root / "slots" / "tiny-blue"
        place.mkdir(parents=True, exist_ok=True)
        named = {"model": "tiny", "version": "v", "number": number}
        release = {**named, "engine": "e", "snapshot": snapshot, "args": [], "env": {}}
        manifest = {"model": "tiny", "slot": "blue", "port": 1, "release": release}
        (place / "manifest.json").write_text(json.dumps(manifest))
        looks()

    def looks() -> None:
        watching._metered = -guards.IDLE
        watching.look()

    runs(1, "a")
    before = watching._usual.get(slot, (None, 0.0))[1]
    standing.blue.broken = True
    ask(standing.lab, 60)
    standing.blue.broken = False
    looks()
    assert watching._usual[slot][1] > before
    # Adapters change the release of a replica, and not the replica.
    known = watching._usual[slot]
    runs(2, "a")
    assert watching._usual[slot] == known
    runs(3, "b")
    assert slot not in watching._usual
    ask(standing.lab, 60)
    looks()
    assert watching._usual[slot][1] == 0.0
    shutil.rmtree(root / "slots")


def test_who_hangs_up_counts_against_no_release(standing: Site) -> None:
    meter = Meter(str(standing.lab.root))
    meter.read()
    for stream in (False, True):
        client = http.client.HTTPConnection("127.0.0.1", standing.lab.port, timeout=20)
        body = {"model": "tiny", "stream": stream, "tokens": 9000, "pause": 0.01 if stream else 30}
        standing.blue.last = ("", b"")
        client.request("POST", PATH, json.dumps(body), {"X-Request-Id": "left"})
        if stream:
            client.getresponse().readline()
        until(lambda: standing.blue.last[1])
        time.sleep(0.1)
        client.close()

    def left() -> list[dict[str, Any]]:
        # The lines of the test before may come after this one has begun.
        return [each for each in standing.lab.requests() if each["request_id"] == "left"]

    lines = until(lambda: len(found := left()) == 2 and found)
    assert {access_log.ended(each)[0] for each in lines} == {499}
    seen = meter.read()["tiny", "blue"]
    assert (seen.failed, seen.refused) == (0, 0)


def test_a_reload_loses_no_count_of_the_workers_before_and_after_it(standing: Site) -> None:
    meter = Meter(str(standing.lab.root))
    meter.read()
    ask(standing.lab, 2)
    meter.read()
    standing.reload()
    standing.lab.up("tiny", "blue")
    ask(standing.lab, 2)
    assert meter.read()["tiny", "blue"].total == 2


@pytest.mark.parametrize(
    ("backend", "server", "at", "slot"),
    [
        ("model.tiny", "blue", "", ("tiny", "blue")),
        ("model.tiny", "standby:blue", "", ("tiny", "blue")),
        ("model.tiny", "a.blue", "a", ("tiny", "blue")),
        ("model.tiny", "b.blue", "a", None),
        ("relay.a.blue.model.tiny", "a.blue", "a", ("tiny", "blue")),
        ("bodies", "bodies", "", None),
    ],
)
def test_a_server_of_the_router_is_a_slot_of_its_host(
    backend: str, server: str, at: str, slot: tuple[str, str] | None
) -> None:
    assert slot_of(backend, server, at) == slot


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/usr/bin/sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_known_again_and_missed_once_it_has_ended(
    tmp_path: Path, sleeping: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[str, Any] = {"state": "running", "pid": sleeping.pid, "started_at": None}
    monkeypatch.setattr(processes, "state", lambda *_: state)
    replica = guard_replica.Replica(str(tmp_path), "tiny-green")
    assert (replica.gone(), replica.gone()) == ("", "")
    assert (replica.memory() or 0) > 0
    # The guard starts again, and it is still the same process.
    assert guard_replica.Replica(str(tmp_path), "tiny-green", replica.known).gone() == ""
    sleeping.kill()
    sleeping.wait()
    state["pid"] = 0
    assert replica.gone() == "its process ended"
    assert replica.memory() is None
    state["pid"] = 1
    assert replica.gone() == "its process ended and was started again"


def test_a_boot_of_the_host_is_no_end_of_a_process(
    tmp_path: Path, sleeping: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[str, Any] = {"state": "stopped", "pid": 0, "started_at": None}
    monkeypatch.setattr(processes, "state", lambda *_: state)
    replica = guard_replica.Replica(str(tmp_path), "tiny-green", "the-boot-before 77 1234")
    assert replica.gone() == ""
    state.update(state="running", pid=sleeping.pid)
    assert replica.gone() == ""
    assert replica.known.split()[:2] == [processes.boot(), str(sleeping.pid)]
    # One that never comes has failed.
    late = guard_replica.Replica(str(tmp_path), "tiny-green", "the-boot-before 77 1234")
    state.update(state="stopped", pid=0)
    monkeypatch.setattr(guard_replica, "GRACE", -1.0)
    assert late.gone() == "its process does not run"


def test_a_replica_that_waits_for_its_turn_after_a_boot_is_no_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd has no process yet while the check before the start waits for a device or reads large files."""
    state: dict[str, Any] = {"state": "running", "pid": 0, "started_at": None}
    monkeypatch.setattr(processes, "state", lambda *_: state)
    now = [1000.0]
    monkeypatch.setattr(guard_replica.time, "monotonic", lambda: now[0])
    replica = guard_replica.Replica(str(tmp_path), "tiny-green", "the-boot-before 77 1234")
    now[0] += 2 * guard_replica.GRACE
    assert replica.gone() == ""
    state["state"] = "failed"
    assert replica.gone() == ""
    now[0] += 2 * guard_replica.GRACE
    assert replica.gone() == "its process does not run"


def test_a_container_that_starts_again_has_booted_though_its_kernel_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boots = set()
    for ticks in (100, 200):
        monkeypatch.setattr(processes, "_ticks_of_first", lambda ticks=ticks: str(ticks))
        processes.boot.cache_clear()
        boots.add(processes.boot())
        assert len(processes.boot().split()) == 1
    processes.boot.cache_clear()
    assert len(boots) == 2


def test_only_new_lines_of_the_log_say_that_the_engine_gave_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "healthy", lambda *_: False)
    log = tmp_path / "logs/tiny-green.log"
    log.parent.mkdir()
    log.write_text("ERROR EngineDeadError: of the start before\n")
    replica = guard_replica.Replica(str(tmp_path), "tiny-green")
    assert replica.last_words(1) == ""
    with log.open("a") as file:
        file.write("INFO 200 OK\nERROR core.py: EngineDeadError: gone\nINFO bye\n")
    assert replica.last_words(1) == "ERROR core.py: EngineDeadError: gone"
    assert replica.last_words(1) == ""
    # A log that was turned is read from its start.
    log.write_text("CUDA error: an illegal memory access\n")
    assert replica.last_words(1).startswith("CUDA error")
    log.unlink()
    assert replica.last_words(1) == ""


def test_what_a_client_got_into_the_log_ends_no_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    health, now = [True], [1000.0]
    monkeypatch.setattr(completion, "healthy", lambda *_: health[0])
    monkeypatch.setattr(guard_replica.time, "monotonic", lambda: now[0])
    log = tmp_path / "logs/tiny-green.log"
    log.parent.mkdir()
    log.touch()
    replica = guard_replica.Replica(str(tmp_path), "tiny-green")
    words = "ERROR Error in create_messages: say EngineDeadError\n"
    log.write_text(words)
    assert replica.last_words(1) == ""
    # The engine of another such line gives up a moment later.
    health[0] = False
    assert replica.last_words(1) == words.strip()
    health[0] = True
    with log.open("a") as file:
        file.write(words)
    assert replica.last_words(1) == ""
    # What goes wrong much later has another reason.
    health[0], now[0] = False, now[0] + guard_replica.DOUBT + 1
    assert replica.last_words(1) == ""


def test_a_log_of_holes_hides_no_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "healthy", lambda *_: False)
    log = tmp_path / "logs/tiny-green.log"
    log.parent.mkdir()
    log.touch()
    replica = guard_replica.Replica(str(tmp_path), "tiny-green")
    with log.open("r+") as file:
        file.truncate(2**40)
    with log.open("a") as file:
        file.write("ERROR EngineDeadError: gone\n")
    assert replica.last_words(1).endswith("EngineDeadError: gone")


def test_an_engines_own_times_are_those_since_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ['vllm:time_to_first_token_seconds_sum{engine="0"} 2.0',
             'vllm:time_to_first_token_seconds_count{engine="0"} 10.0',
             'vllm:time_to_first_token_seconds_bucket{le="1"} 10.0']  # fmt: skip
    monkeypatch.setattr(completion, "metrics", lambda *_: lines)
    replica = guard_replica.Replica(str(tmp_path), "tiny-green")
    assert replica.times(1) == {}
    lines[:2] = [lines[0].replace("2.0", "5.0"), lines[1].replace("10.0", "14.0")]
    assert replica.times(1) == {"first": (3.0, 4.0)}
    assert replica.times(1) == {}


def _answer(body: Any = None, *events: Any, status: int = 200, error: str = "") -> dict[str, Any]:
    return {
        "status": status,
        "error": error,
        "body": "" if body is None else json.dumps(body),
        "events": [json.dumps(each) for each in events],
    }


ANSWERS = [
    (_answer({"choices": [{"message": {"content": "it is 4"}}]}), ""),
    (_answer({"choices": [{"text": "4"}]}), ""),
    (_answer(None, {"choices": [{"delta": {"role": "assistant"}}]}, {"choices": [{"delta": {"content": "4"}}]}), ""),
    (_answer({"choices": [{"text": "five"}]}), "without `4`"),
    (_answer({"choices": [{"message": {"content": ""}}]}), "an empty answer"),
    (_answer({"choices": [{"message": {"content": None}}]}), "an empty answer"),
    (_answer({"data": [{"embedding": [4.5]}]}), ""),
    (_answer({"data": []}), "an empty answer"),
    (_answer({"data": [{"index": 4, "embedding": []}]}), "a vector without a direction"),
    (_answer({"data": [{"index": 4, "embedding": [0.0, 0, -0.0]}]}), "a vector without a direction"),
    (_answer({"data": [{"embedding": [4.5]}, {"embedding": [None, None]}]}), "a vector without a direction"),
    (_answer({"data": [{"embedding": [4, 0]}]}), ""),
    (_answer({"data": [{"label": "4", "probs": [0.0, 1.0]}]}), ""),
    (_answer({"data": [{"label": "4", "probs": []}]}), "a vector without a direction"),
    (_answer({"else": 1}), "no answer of this kind"),
    (_answer([4]), "no answer of this kind"),
    (_answer(status=500), "status 500"),
    (_answer(status=0, error="ConnectionRefusedError: no"), "ConnectionRefusedError: no"),
    (_answer(None, {"choices": [{"text": "4"}]}, error="a stream that breaks off"), "a stream that breaks off"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "fault"), ANSWERS)
def test_an_answer_to_a_probe_is_good_or_its_fault_is_named(
    answer: dict[str, Any], fault: str
) -> None:
    assert guard_probes.fault_of(answer, guard_probes.text_of(answer), "4", {}) == fault


def test_silence_may_be_transcribed_by_no_words() -> None:
    """The check of a transcription sends silence, and its gate takes an empty text too."""
    silent = _answer({"text": ""})
    assert guard_probes.fault_of(silent, guard_probes.text_of(silent), "", {}) == ""


def test_a_call_of_a_tool_is_an_answer() -> None:
    called = _answer({"choices": [{"message": {"content": None, "tool_calls": [{"id": "4"}]}}]})
    assert guard_probes.fault_of(called, guard_probes.text_of(called), "", {}) == ""


@pytest.mark.parametrize(
    ("body", "text", "numbers"),
    [
        ({"data": [{"index": 0, "embedding": [0.5, -1.5e-07, 2e-05]}]},
         '[{"index": 0, "embedding": [#, #, #]}]', (0.5, -1.5e-07, 2e-05)),
        ({"results": [{"index": 1, "relevance_score": 0.75}]},
         '[{"index": 1, "relevance_score": #}]', (0.75,)),
        ({"text": "It costs 4.5."}, '"It costs 4.5."', ()),
        ({"choices": [{"text": "[1.5]"}]}, "[1.5]", ()),
    ],
)  # fmt: skip
def test_the_numbers_of_an_answer_that_is_no_text_stand_beside_its_words(
    monkeypatch: pytest.MonkeyPatch, body: Any, text: str, numbers: tuple[float, ...]
) -> None:
    answer = {**_answer(body), "gaps": [], "first": None, "seconds": 0.1}
    monkeypatch.setattr(guard_probes.asking, "ask", lambda *_: answer)
    path = "/v1/completions" if "choices" in body else "/v1/embeddings"
    said = guard_probes.said(1, {"path": path, "payload": {}})
    assert (said.fault, said.text, said.numbers) == ("", text, numbers)


def test_old_and_new_are_asked_in_changing_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask(port: int, *_: Any) -> dict[str, Any]:
        # The thread of another test may have one more probe to send.
        if port in (1, 2):
            asked.append(port)
        return {**_answer({"choices": [{"text": "4"}]}), "first": None, "gaps": [], "seconds": 0.1}

    monkeypatch.setattr(guard_probes.asking, "ask", ask)
    monkeypatch.setattr(guard_probes, "PAUSE", 0.001)
    probe = {"path": PATH, "payload": {"model": "tiny"}, "contains": "4"}
    pairs = guard_probes.Pairs(2, 1, [probe])
    pairs.loads = (1, 0)
    pairs.take()
    taken: list[guard_probes.Pair] = []
    until(lambda: taken.extend(pairs.take()) or len(taken) >= 6)
    pairs.end()
    firsts = asked[: 2 * 6 : 2]
    assert sorted(firsts) == [1, 1, 1, 2, 2, 2]
    assert taken[0].new.times == {"first": None, "next": None, "whole": 0.1}
    # The new one had a request of a client beside the probe, and the former one had none.
    # A pair that was under way when `loads` was set counts as fair.
    assert [each.fair for each in taken[1:6]] == [False] * 5
