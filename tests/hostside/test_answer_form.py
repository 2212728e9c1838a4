"""What an answer says beside its text: which of that cannot be, and how a guard counts it."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))
import guard_probes
from answer_form import REASONS, faults_of

ASKED = {"model": "tiny", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}
RANK = {"model": "tiny", "query": "hi", "documents": ["a", "b", "c"]}


def chat(reason: Any = "stop", **more: Any) -> dict[str, Any]:
    choice = {"message": {"content": "hi"}, "finish_reason": reason}
    return {"model": "tiny", "choices": [choice], **more}


def usage(prompt: Any, completion: Any, total: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def ranked(*pairs: tuple[Any, Any]) -> dict[str, Any]:
    return {"results": [{"index": index, "relevance_score": score} for index, score in pairs]}


BEGUN = {"model": "tiny", "choices": [{"delta": {"content": "hi"}, "finish_reason": None}]}
ENDED = {"model": "tiny", "choices": [{"delta": {}, "finish_reason": "stop"}]}
COUNTED = {"model": "tiny", "choices": [], "usage": usage(3, 4, 7)}


@pytest.mark.parametrize(
    ("payload", "documents"),
    [
        *((ASKED, [chat(reason)]) for reason in REASONS if reason != "length"),
        (ASKED, [chat("length", usage=usage(3, 8, 11))]),
        # Nobody knows what it was cut off at.
        (ASKED, [chat("length")]),
        ({"model": "tiny", "prompt": "hi"}, [chat("length", usage=usage(3, 4, 7))]),
        (ASKED, [chat(usage=usage(3, 4, 7))]),
        (ASKED, [chat(usage=None)]),
        # A name is compared with what was asked for: an adapter's name is a model of its own.
        ({**ASKED, "model": "sql@0123"}, [chat() | {"model": "sql@0123"}]),
        (ASKED, [{"choices": chat()["choices"]}]),
        (STREAM, [BEGUN, ENDED, COUNTED]),
        # Keys that are not there are those of another form of answers.
        (STREAM, [BEGUN, ENDED]),
        (ASKED, [{"model": "tiny", "choices": [{"message": {"content": "hi"}}]}]),
        ({"model": "tiny", "input": "hi"}, [{"model": "tiny", "data": [], "usage": usage(3, 0, 3)}]),
        ({"model": "tiny", "input": "hi"}, [{"data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}]),
        (RANK, [ranked((2, 0.9), (0, 0.5), (1, 0.5))]),
        (RANK, [ranked((2, 3), (0, -1.5), (1, -1.5))]),
        ({**RANK, "top_n": 2}, [ranked((2, 0.9), (0, 0.5))]),
        ({**RANK, "top_n": 0}, [ranked((2, 0.9), (0, 0.5), (1, 0.1))]),
        ({**RANK, "top_n": 9}, [ranked((2, 0.9), (0, 0.5), (1, 0.1))]),
        ({"model": "tiny", "file": {}}, [{"text": ""}]),
    ],
)  # fmt: skip
def test_an_answer_as_the_api_has_it_has_no_fault(
    payload: dict[str, Any], documents: list[dict[str, Any]]
) -> None:
    assert faults_of(payload, documents) == {}


@pytest.mark.parametrize(
    ("payload", "documents", "path", "words"),
    [
        (ASKED, [chat() | {"model": "other"}], "model", "it says that the model is 'other', asked for 'tiny'"),
        (ASKED, [chat() | {"model": None}], "model", "it says that the model is None, asked for 'tiny'"),
        (STREAM, [BEGUN, {**ENDED, "model": "other"}, COUNTED], "model", "it says that the model is 'other', asked for 'tiny'"),
        (ASKED, [chat("eos")], "choices.finish_reason", "its finish_reason is 'eos', which the API does not know"),
        (ASKED, [chat(5)], "choices.finish_reason", "its finish_reason is 5, which the API does not know"),
        (ASKED, [chat(None)], "choices.finish_reason", "it does not say why it ends: no finish_reason"),
        (STREAM, [BEGUN, COUNTED], "choices.finish_reason", "it does not say why it ends: no finish_reason"),
        (ASKED, [chat("length", usage=usage(3, 4, 7))], "choices.finish_reason", "it ends for its length after 4 of 8 tokens"),
        (ASKED, [chat(usage=usage(3, 9, 12))], "usage", "it counts 9 tokens of at most 8"),
        (ASKED, [chat(usage=usage(3, 4, 9))], "usage", "it counts 3 and 4 tokens as 9"),
        (ASKED, [chat(usage=usage(-3, 4, 1))], "usage", "a number of tokens is -3"),
        (ASKED, [chat(usage=usage("3", 4, 7))], "usage", "a number of tokens is '3'"),
        (ASKED, [chat(usage=[3])], "usage", "its count of tokens is [3]"),
        (RANK, [ranked()], "results", "its order of 3 documents is []"),
        (RANK, [ranked((2, 0.9))], "results", "its order of 3 documents is [2]"),
        (RANK, [ranked((2, 0.9), (2, 0.8), (0, 0.1))], "results", "its order of 3 documents is [2, 2, 0]"),
        (RANK, [ranked((2, 0.9), (3, 0.8), (0, 0.1))], "results", "its order of 3 documents is [2, 3, 0]"),
        (RANK, [ranked((2, 0.9), (True, 0.8), (0, 0.1))], "results", "its order of 3 documents is [2, True, 0]"),
        ({**RANK, "top_n": 2}, [ranked((2, 0.9), (1, 0.8), (0, 0.1))], "results", "its order of 3 documents is [2, 1, 0]"),
        (RANK, [ranked((2, 0.9), (1, None), (0, 0.1))], "results", "a score is None"),
        (RANK, [ranked((2, 0.1), (1, 0.5), (0, 0.9))], "results", "its scores do not fall: [0.1, 0.5, 0.9]"),
        (RANK, [{"results": {"0": 1}}], "results", "its order of 3 documents is []"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named_with_its_key(
    payload: dict[str, Any], documents: list[dict[str, Any]], path: str, words: str
) -> None:
    assert faults_of(payload, documents) == {path: words}


@pytest.mark.parametrize(
    "value", [None, [], "x", 5, [[]], {"choices": 5}, {"choices": [5]}, {"usage": 5}]
)
def test_an_answer_of_any_form_ends_no_guard(value: Any) -> None:
    assert isinstance(faults_of(RANK, [value]), dict)


def said_by(
    monkeypatch: pytest.MonkeyPatch, probe: dict[str, Any], *answers: Any
) -> guard_probes.Pair:
    """Return the pair of answers to a probe: that of the new replica, then that of the former one."""

    def ask(port: int, *_: Any) -> dict[str, Any]:
        value = answers[port]
        events = [json.dumps(each) for each in value] if isinstance(value, list) else []
        body = "" if isinstance(value, list) else json.dumps(value)
        return {
            "status": 200,
            "error": "",
            "body": body,
            "events": events,
            "gaps": [],
            "first": None,
            "seconds": 0.1,
        }

    monkeypatch.setattr(guard_probes.asking, "ask", ask)
    pairs = guard_probes.Pairs(0, 1, [])
    pairs._probes = [probe]
    return pairs._pair(0)


CHAT = {"path": "/v1/chat/completions", "payload": ASKED}
RERANK = {"path": "/v1/rerank", "payload": RANK, "same": True}


@pytest.mark.parametrize(
    ("probe", "new", "old", "fault"),
    [
        (CHAT, [BEGUN, ENDED, COUNTED], [BEGUN, ENDED, COUNTED], ""),
        (CHAT, [BEGUN, {**ENDED, "model": "x"}], [BEGUN, ENDED], "it says that the model is 'x', asked for 'tiny'"),
        (CHAT, [BEGUN, ENDED], [BEGUN, ENDED, COUNTED], "it counts no tokens, and the serving release does"),
        (CHAT, [BEGUN, ENDED, COUNTED], [BEGUN, ENDED], ""),
        (RERANK, ranked((2, 0.9), (0, 0.5), (1, 0.1)), ranked((2, 0.9), (0, 0.5), (1, 0.1)), ""),
        (RERANK, ranked((2, 0.9)), ranked((2, 0.9), (0, 0.5), (1, 0.1)), "its order of 3 documents is [2]"),
    ],
)  # fmt: skip
def test_a_guard_holds_a_probe_to_it(
    monkeypatch: pytest.MonkeyPatch, probe: dict[str, Any], new: Any, old: Any, fault: str
) -> None:
    pair = said_by(monkeypatch, probe, new, old)
    assert pair.new.fault == fault
    assert pair.old is not None
    assert pair.old.fault == ""


def test_documents_that_are_nearly_as_good_may_change_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = said_by(
        monkeypatch,
        RERANK,
        ranked((0, 0.91), (2, 0.9), (1, 0.1)),
        ranked((2, 0.91), (0, 0.9), (1, 0.1)),
    )
    other = said_by(
        monkeypatch,
        RERANK,
        ranked((1, 0.91), (2, 0.9), (0, 0.1)),
        ranked((2, 0.91), (0, 0.9), (1, 0.1)),
    )
    assert [guard_probes.alike(each.new, each.old) for each in (same, other) if each.old] == [
        True,
        False,
    ]
