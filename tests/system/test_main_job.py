"""The main job with real vLLM, HAProxy, Ansible and the real Hub client, in the order of a model's life.

Its other parts are in the files `test_main_job_*.py`, which one worker runs one after the other: see tests/conftest.py.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
from contextlib import ExitStack
from itertools import pairwise

import pytest

from tests.system.adapted import NAME, Adapted, known_answers
from tests.system.main_job import ENGINES, WHO, asked_of, get, has_loaded, post, start, starts
from tests.system.served import Served
from tests.system.waiting import until
from toolkit.planning.engines import engine_named

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]


def test_the_first_deployment_serves(served: Served) -> None:
    served.lab.toolkit("deploy", "tiny@v1", "--yes", show=True)

    for prompt, known in served.answers.items():
        if prompt != "Count.":
            assert served.lab.ask(prompt) == known["v1"]
    models = get(f"{served.lab.base_url}/v1/models")
    assert [each["id"] for each in models["data"]] == ["tiny"]
    assert served.slots() == {"v1": "serving"}


def test_the_same_again_changes_nothing(served: Served) -> None:
    before = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    done = json.loads(served.lab.toolkit("deploy", "tiny@v1", "--yes", "--json"))
    after = json.loads(served.lab.toolkit("status", "--json"))["slots"]

    assert done["changed"] is False
    assert [s["started_at"] for s in after] == [s["started_at"] for s in before]


def test_what_a_client_must_not_reach_answers_in_openai_s_shape(served: Served) -> None:
    for path, body, status in (
        ("/v1/chat/completions", {"model": "nobody", "messages": []}, 404),
        ("/v1/chat/completions", {"messages": []}, 400),
        ("/pause", {"model": "tiny"}, 404),
        ("/invocations", {"model": "tiny"}, 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(served.lab.base_url + path, body)
        with caught.value as answer:  # it holds the connection until it is closed
            assert answer.code == status
            assert json.load(answer)["error"]["message"]


def test_a_client_may_offer_tools_which_the_template_shows_the_model(served: Served) -> None:
    (release,) = [
        slot["release"] for slot in json.loads(served.lab.toolkit("status", "--json"))["slots"]
    ]
    assert (release["does"]["kind"], release["does"]["tool_parser"]) == ("chat", "hermes")
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object"}},
    }
    asked = {"model": "tiny", "messages": [{"role": "user", "content": WHO}], "max_tokens": 8}
    post(f"{served.lab.base_url}/v1/chat/completions", {**asked, "tools": [tool]})


def test_a_stream_passes_token_by_token(served: Served) -> None:
    # On a busy machine engine or client take several tokens at once, by chance; a router that holds them back always
    # does.
    until(
        lambda: _apart(_arrivals(served)),
        120,
        lambda seen: seen["events"] > 150 and seen["apart"] > 0.5,
    )


def _apart(moments: list[float]) -> dict[str, float]:
    """Return the number of events, and which part of them arrived apart from the one before.

    Held back and sent in clumps, most would arrive at once, however fast the engine is: within much less time than it
    took for each on average.
    """
    each = (moments[-1] - moments[0]) / len(moments)
    gaps = [later - earlier for earlier, later in pairwise(moments[1:])]
    return {"events": len(gaps) + 1, "apart": sum(gap > each / 10 for gap in gaps) / len(gaps)}


def _arrivals(served: Served) -> list[float]:
    """Return when a stream of 200 tokens was asked for, and when each of its events arrived."""
    connection = http.client.HTTPConnection("127.0.0.1", served.lab.port, timeout=120)
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Count."}], "stream": True}
    moments = [time.monotonic()]
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps({**body, "max_tokens": 200, "temperature": 0}),
        {"Content-Type": "application/json"},
    )
    response = connection.getresponse()
    assert response.status == 200
    while line := response.readline():
        if line.startswith(b"data: {"):
            moments.append(time.monotonic())
    connection.close()
    return moments


def test_an_adapter_comes_changes_and_goes_without_a_restart_and_loses_no_request(
    served: Served,
) -> None:
    adapted, known = Adapted(served), known_answers(served)
    before = starts(served)
    adapted.pin(1)
    added = json.loads(served.lab.toolkit("deploy", "tiny@v1", "--yes", "--json"))
    assert added["plan"]["hosts"]["localhost"]["strategy"] == "adapt"
    listed = get(f"{served.lab.base_url}/v1/models")["data"]
    assert [(each["id"], each.get("parent")) for each in listed] == [("tiny", None), (NAME, "tiny")]
    # The engine takes what is asked before names change.
    [slot] = json.loads(served.lab.toolkit("status", "--json"))["slots"]
    for path, body in engine_named("vllm").taken_in("tiny"):
        post(f"http://127.0.0.1:{slot['port']}{path}", body)

    with adapted.load(known) as load:
        load.wait_for(lambda report: report.versions.get("turn1", 0) > 5, 60)
        adapted.pin(2)
        changed = json.loads(served.lab.toolkit("deploy", "tiny@v1", "--yes", "--json"))
        load.wait_for(lambda report: report.versions.get("turn2", 0) > 5, 60)
        back = json.loads(served.lab.toolkit("rollback", "tiny", "--yes", "--json"))
        mark = time.time()
        load.wait_for(lambda report: (report.last_sent("turn1", after=mark) or 0) > 0, 60)
    report = load.report()
    assert starts(served) == before
    assert report.bad == ()
    assert report.versions.keys() == {"turn1", "turn2"}
    print({"added": added["seconds"], "changed": changed["seconds"], "back": back["seconds"]})
    print({"lost": len(report.bad), "answers": len(report.answers)})
    assert served.lab.ask(WHO) == "I am version v1."

    # Neither the engine's calls nor a name of the engine's own are within a client's reach.
    for path, body in (
        ("/v1/load_lora_adapter", {"lora_name": "x", "lora_path": "/etc"}),
        ("/v1/unload_lora_adapter", {"lora_name": NAME}),
        ("/v1/chat/completions", {"model": f"{NAME}@{'0' * 12}", "messages": []}),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(served.lab.base_url + path, body)
        with caught.value as answer:
            assert answer.code == 404

    # After a crash or a boot the replica starts with what it has now.
    run = (served.lab.root / "slots" / "tiny-blue" / "run").read_text()
    modules = re.findall(rf"{NAME}=\S*/snapshots/([0-9a-f]{{64}})", run)
    assert modules == [back["plan"]["hosts"]["localhost"]["release"]["adapters"][0]["snapshot"]]
    assert asked_of(served, NAME, WHO) == known[WHO]["turn1"]

    adapted.remove()
    served.lab.toolkit("deploy", "tiny@v1", "--yes")
    assert [each["id"] for each in get(f"{served.lab.base_url}/v1/models")["data"]] == ["tiny"]


def test_upgrade_and_rollback_lose_no_request(served: Served) -> None:
    with ExitStack() as stack:
        short = served.load()
        stack.callback(short.stop)
        short.wait_for(lambda report: len(report.answers) > 5, 120)
        command = stack.enter_context(
            start(served, "upgrade", "tiny", "--to", "v2", "--yes", "--bake", "3")
        )
        # A stream takes the processors that the start of an engine needs. This is early enough for the switch.
        until(lambda: command.goes_on() and has_loaded(served, "green"), 300)
        long = served.load(streams=1)
        stack.callback(long.stop)
        assert command.end(600) == 0, command.said
        print(command.said)
        short.wait_for(lambda report: report.versions.get("v2", 0) > 5, 120)
        long.wait_for(lambda report: report.versions.get("v2", 0) > 0, 120)
        assert served.slots() == {"v1": "standby", "v2": "serving"}
        assert served.engines() == ENGINES

        done = json.loads(served.lab.toolkit("rollback", "tiny", "--yes", "--json"))
        mark = time.time()
        short.wait_for(lambda report: (report.last_sent("v1", after=mark) or 0) > 0, 120)
    reports = (short.report(), long.report())

    plan = done["plan"]["hosts"]["localhost"]
    assert plan["strategy"] == "switch"
    assert "start" not in [step["kind"] for step in plan["steps"]]
    assert served.slots() == {"v1": "serving", "v2": "standby"}
    for report in reports:
        assert report.bad == ()
        assert report.versions.keys() == {"v1", "v2"}
        # Each load was there before the upgrade's switch.
        assert (report.first_sent("v1") or mark) < (report.first_sent("v2") or 0)
        assert report.last_sent("v2", after=mark) is None
