"""What a replica must answer, and what is said where it does not."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.domain.files.capabilities import Capabilities
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.release_parts import Check
from toolkit.domain.replicas.probe import Completion
from toolkit.planning.change.gate import IMAGE, gate_fault, gate_payload, gate_ways, way_fault

ANY = Check(prompt="hi")
PARIS = Check(prompt="capital of France?", contains="Paris", max_tokens=5)


@pytest.mark.parametrize(
    ("check", "answer", "fault"),
    [
        (ANY, Completion(200, "hello", "stop"), ""),
        (ANY, Completion(200, "hel", "length"), ""),
        (PARIS, Completion(200, "It is Paris.", "stop"), ""),
        (
            PARIS,
            Completion(200, "It is Rome.", "stop"),
            "asked 'capital of France?', it answered 'It is Rome.', without 'Paris'",
        ),
        (
            ANY,
            Completion(200, "", "stop"),
            "asked 'hi', it answered nothing (empty text, finish_reason 'stop')",
        ),
        (
            ANY,
            Completion(200, " \n\t", "length"),
            "asked 'hi', it answered nothing (empty text, finish_reason 'length')",
        ),
        (
            ANY,
            Completion(0, "", error="ConnectionRefusedError: refused"),
            "asked 'hi', it gave no answer: ConnectionRefusedError: refused",
        ),
        (ANY, Completion(500, "", error="boom"), "asked 'hi', it answered HTTP 500: boom"),
        # an error is one, whatever text came with it
        (ANY, Completion(404, "hello", error=""), "asked 'hi', it answered HTTP 404: "),
        (ANY, Completion(200, "hello", error="no JSON"), "asked 'hi', it answered no JSON"),
        (
            ANY,
            Completion(200, "hel", "abort"),
            "asked 'hi', it broke its answer off (finish_reason 'abort')",
        ),
    ],
)
def test_a_gate_judges_each_answer(check: Check, answer: Completion, fault: str) -> None:
    assert gate_fault(check, answer) == fault


MESSAGES = [{"role": "user", "content": "capital of France?"}]
ASKED = {"model": "tiny", "messages": MESSAGES, "max_tokens": 8}
SAMPLED = {"temperature": 1, "top_p": 0.9, "top_k": 20}


def test_a_started_replica_is_asked_as_clients_ask() -> None:
    made = replace(
        release(3), checks=(replace(PARIS, timeout=7.0), ANY), args=("--max-model-len", "64")
    )
    sampled, own, stream, long = gate_ways(made)
    assert sampled.payload == {**ASKED, **SAMPLED}
    # Nothing about sampling: what the repository's generation_config.json says.
    assert own.payload == ASKED
    assert stream.payload == {**ASKED, **SAMPLED, "stream": True}
    assert long.payload == {
        "model": "tiny",
        "prompt": list(range(32, 64)),
        "max_tokens": 8,
        "temperature": 0,
    }
    assert {way.timeout for way in gate_ways(made)} == {7.0}


@pytest.mark.parametrize(
    ("able", "asked"),
    [
        (None, []),
        (Capabilities(), []),
        (
            Capabilities(tool_parser="hermes"),
            ["asked with a tool", "asked for a stream with a tool"],
        ),
        (Capabilities(vision=True), ["asked about an image"]),
        # Its checks have thoughts already; what writes no chats has no tools.
        (Capabilities(reasoning_parser="qwen3"), []),
        (Capabilities(Kind.COMPLETION, tool_parser="hermes", vision=True), []),
    ],
)
def test_each_ability_is_tried_once(able: Capabilities | None, asked: list[str]) -> None:
    ways = gate_ways(replace(release(3), checks=(ANY,), does=able))
    assert [way.about for way in ways[4:]] == asked
    for way in ways[4:]:
        assert way_fault(way, Completion(200, "anything", "stop")) == ""
        assert (
            way_fault(way, Completion(400, "", error="no"))
            == f"{way.about}, it answered HTTP 400: no"
        )


def test_the_image_of_the_gate_is_one() -> None:
    head, _, data = IMAGE.partition(",")
    assert head == "data:image/png;base64"
    raw = base64.b64decode(data)
    assert (raw[:8], struct.unpack(">II", raw[16:24])) == (b"\x89PNG\r\n\x1a\n", (64, 64))


@pytest.mark.parametrize(
    ("on_gpu", "args", "own", "tokens"),
    [
        # the model's own context, where the version states none
        (True, "", 32_768, 4096),
        (True, "", 1024, 512),
        (False, "", 32_768, 256),
        (True, "--max-model-len 1024", 32_768, 512),
        (True, "--max-model-len auto", 32_768, 256),
    ],
)
def test_the_long_prompt_is_as_long_as_the_models_context_lets_it_be(
    on_gpu: bool, args: str, own: int, tokens: int
) -> None:
    made = replace(release(1, gpu=on_gpu), args=tuple(args.split()))
    *_, long = gate_ways(replace(made, does=Capabilities(context=own)))
    assert len(long.payload["prompt"]) == tokens


@pytest.mark.parametrize(
    ("on_gpu", "args", "tokens"),
    [
        (True, "--max-model-len 32k", 4096),
        (True, "--max-model-len 1024", 512),
        (False, "--max-model-len 32k", 256),
        (False, "--max-model-len 100", 50),
        # the model's own context is not known here, and an engine refuses what is longer
        (True, "", 256),
        (False, "", 256),
        (True, "--max-model-len odd", 256),
    ],
)
def test_the_long_prompt_fits_and_takes_a_cpu_no_minute(
    on_gpu: bool, args: str, tokens: int
) -> None:
    *_, long = gate_ways(replace(release(1, gpu=on_gpu), args=tuple(args.split())))
    assert len(long.payload["prompt"]) == tokens
    assert long.about == f"asked with a prompt of {tokens:,} tokens"
    assert {*long.payload["prompt"]} <= {*range(32, 127)}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        # what is sampled may be anything, and nothing at all
        (Completion(200, "", "stop"), ""),
        (Completion(200, "hello", "length"), ""),
        (
            Completion(0, "", error="RemoteDisconnected: gone"),
            "asked with temperature, top_p and top_k, it gave no answer: RemoteDisconnected: gone",
        ),
        (
            Completion(500, "", error="EngineDeadError"),
            "asked with temperature, top_p and top_k, it answered HTTP 500: EngineDeadError",
        ),
        (
            Completion(200, "hel", error="a stream that breaks off"),
            "asked with temperature, top_p and top_k, it answered a stream that breaks off",
        ),
        # vLLM answers 200 also where its engine has given a request up
        (
            Completion(200, "hel", "abort"),
            "asked with temperature, top_p and top_k, it broke its answer off (finish_reason 'abort')",
        ),
        (
            Completion(200, "hel", "error"),
            "asked with temperature, top_p and top_k, it broke its answer off (finish_reason 'error')",
        ),
        # a stream of nothing but its end
        (
            Completion(200, ""),
            "asked with temperature, top_p and top_k, it broke its answer off (finish_reason '')",
        ),
    ],
)
def test_a_way_of_asking_needs_an_answer_alone(answer: Completion, fault: str) -> None:
    assert way_fault(gate_ways(release(1))[0], answer) == fault


def test_long_answers_are_cut() -> None:
    wrong = gate_fault(PARIS, Completion(200, "x" * 500, "stop"))
    assert wrong == f"asked 'capital of France?', it answered {'x' * 80!r}, without 'Paris'"
    failed = gate_fault(ANY, Completion(500, "", error="y" * 500))
    assert failed == f"asked 'hi', it answered HTTP 500: {'y' * 200}"


def test_the_request_is_a_deterministic_completion_for_the_public_name() -> None:
    assert gate_payload(replace(release(3), checks=(PARIS,)), PARIS) == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "capital of France?"}],
        "max_tokens": 5,
        "temperature": 0,
    }
