"""What a replica must answer, and what is said where it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import release
from toolkit.domain.model import Check
from toolkit.domain.probe import Completion
from toolkit.planning.change.gate import gate_fault, gate_payload

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
    ],
)
def test_a_gate_judges_each_answer(check: Check, answer: Completion, fault: str) -> None:
    assert gate_fault(check, answer) == fault


def test_long_answers_are_cut() -> None:
    wrong = gate_fault(PARIS, Completion(200, "x" * 500))
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
