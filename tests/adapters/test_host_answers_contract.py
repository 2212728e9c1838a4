"""What replicas of every host answer and count, held by the same hosts as test_host_contract.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.adapters.host_contract import lab, targets_of
from tests.adapters.host_lab import Behaviour, HostLab
from tests.system.waiting import until
from toolkit.adapters.hosts.client import silent
from toolkit.domain.replicas.answers import PairsWanted
from toolkit.planning.engines.vllm_log import read_actual
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes
from toolkit.planning.upkeep.load import loads

__all__ = ["lab"]


@pytest.mark.parametrize(
    ("behaviour", "status", "text"),
    [(Behaviour.EMPTY, 200, ""), (Behaviour.ERROR, 500, "")],
)
def test_bad_answers_come_back_as_they_are(
    lab: HostLab, behaviour: Behaviour, status: int, text: str
) -> None:
    program = lab.start("blue", behaviour)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    answer = lab.host.complete(lab.ports["blue"], {"messages": []}, 60)
    assert (answer.status, answer.text) == (status, text)


def test_a_stream_and_a_prompt_without_messages_are_answered_too(
    lab: HostLab, program: str
) -> None:
    greedy = lab.host.complete(lab.ports["blue"], {"messages": [], "temperature": 0}, 60)
    for payload in ({"messages": [], "stream": True}, {"prompt": [32, 33]}):
        answer = lab.host.complete(lab.ports["blue"], payload, 60)
        assert (answer.status, answer.text, answer.error) == (200, greedy.text, "")
        assert answer.finish_reason == "stop"


def test_a_whole_answer_comes_in_one_piece_or_as_events_with_their_times(
    lab: HostLab, program: str
) -> None:
    path, asked = "/v1/chat/completions", {"messages": [], "temperature": 0}
    whole = lab.host.ask(lab.ports["blue"], path, asked, 60)
    text = json.loads(whole.body)["choices"][0]["message"]["content"]
    assert (whole.status, whole.events, whole.first, whole.error) == (200, (), None, "")
    assert text == lab.host.complete(lab.ports["blue"], asked, 60).text

    parts = lab.host.ask(lab.ports["blue"], path, {**asked, "stream": True}, 60)
    deltas = [json.loads(event)["choices"][0]["delta"] for event in parts.events]
    assert "".join(delta.get("content", "") for delta in deltas) == text
    assert (parts.status, parts.body, parts.error, len(parts.gaps)) == (200, "", "", 1)
    assert parts.first is not None
    assert 0 < parts.first <= parts.seconds < 60


def test_a_whole_answer_that_is_an_error_comes_with_its_words(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.ERROR)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    for stream in (False, True):
        asked = {"messages": [], "stream": stream}
        answer = lab.host.ask(lab.ports["blue"], "/v1/chat/completions", asked, 60)
        assert (answer.status, answer.events, answer.first) == (500, (), None)
        assert "internal error" in answer.error


def test_a_replica_that_a_sampled_request_ends_gives_no_answer(lab: HostLab) -> None:
    program = lab.start("blue", Behaviour.DIES_SAMPLING)
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    asked = {"messages": [], "temperature": 0}
    assert lab.host.complete(lab.ports["blue"], asked, 60).status == 200
    answer = lab.host.complete(lab.ports["blue"], {**asked, "temperature": 1, "top_p": 0.9}, 60)
    assert (answer.status, answer.text) == (0, "")
    assert answer.error.startswith("RemoteDisconnected: ")


def test_pairs_take_the_times_of_both_replicas(lab: HostLab, program: str) -> None:
    told: list[Mapping[str, Any]] = []
    asked = {"stream": True, "messages": [{"content": "{fresh}"}]}
    blue = lab.ports["blue"]
    wanted = PairsWanted(blue, blue, "/v1/chat/completions", asked, pairs=2, concurrency=2)
    pairs = lab.host.pairs(wanted, told.append)
    assert told == [{"pair": 1}, {"pair": 2}]
    assert len(pairs) == 2
    for pair in pairs:
        for times in (pair.new, pair.old):
            assert times is not None
            assert (times.failed, times.asked) == (0, 2)
            assert times.first is not None
            assert 0 < times.first <= times.seconds
            assert times.tokens > 0
    (alone,) = lab.host.pairs(replace(wanted, old=0, pairs=1), silent)
    assert alone.old is None


def test_vitals_tell_of_a_replica_and_of_its_cache(lab: HostLab, program: str) -> None:
    began = lab.host.vitals(program, lab.ports["blue"])
    assert (began.state, began.lines, began.preemptions) == ("running", (), 0.0)
    assert began.pid > 0
    assert began.memory > 0
    assert read_actual(began.cache).tokens == 2048
    ended = lab.host.vitals(program, lab.ports["blue"], began.log or "0:0")
    assert (ended.pid, ended.started_at, ended.lines) == (began.pid, began.started_at, ())


def test_a_sample_has_what_replicas_and_router_have_counted(lab: HostLab, program: str) -> None:
    lab.route(with_model(Routes(), "tiny", targets_of(lab, "blue"), created=1))
    # A sample waits for a second for a replica's figures, which a busy machine may take from it once.
    first, second = (
        until(lab.host.sample, 60, lambda found: all(each.answers for each in found.replicas))
        for _ in range(2)
    )
    assert (first.boot, first.router) == (second.boot, True)
    assert second.clock > first.clock
    (replica,) = [each for each in second.replicas if each.slot == "blue"]
    assert (replica.model, replica.answers, replica.running) == ("tiny", True, 0.0)
    assert replica.process == first.replicas[0].process != ""
    load = loads(first, second)["tiny", "blue"]
    assert (load.requests, load.failed, load.open) == (0.0, 0.0, 0)


def test_a_host_without_counters_of_energy_says_why(lab: HostLab) -> None:
    found = lab.host.energy()
    assert (found.joules, found.devices) == (0.0, 0)
    assert found.fault == "no NVIDIA driver that counts energy"
