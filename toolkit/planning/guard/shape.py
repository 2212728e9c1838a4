"""The form of answers: the keys of their JSON and of the events of their streams, beside the serving release's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.domain.bounds import ANSWER
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.golden import GoldenPrompt
from toolkit.domain.gates.guard import Shape
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import Figure, GateResult, Verdict
from toolkit.domain.outside import parse_mapping
from toolkit.domain.replicas.answers import Answer
from toolkit.hostside.answer_form import faults_of
from toolkit.planning.guard.kinds import SILENCE

GATE = "shape"
_KEYS = 4096
_NAMED = 8
_TOKENS = 8
# way of a question -> keys of its answers, as paths such as `choices.message.content`.
Forms = Mapping[str, frozenset[str]]
# way of a question -> what of its answers cannot be, in words by the key.
Faults = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Question:
    """One way of asking. `way` is what a reader sees: `a chat as a stream`; `timeout` is in seconds."""

    way: str
    kind: Kind
    payload: Mapping[str, Any]
    timeout: float


def questions_of(release: Release, prompts: Iterable[GoldenPrompt]) -> tuple[Question, ...]:
    """Return the ways in which clients ask a model: by the kinds of its checks, and of its golden `prompts`."""
    check = release.checks[0] if release.checks else None
    text, timeout = (check.prompt, check.timeout) if check else ("Say hello.", 60.0)
    kinds = {Kind.CHAT} if check is None else {Kind(each.kind) for each in release.checks}
    found = [
        Question(way, kind, payload, timeout)
        for kind in sorted(kinds)
        for way, payload in _ways(kind, text)
    ]
    for prompt in prompts:
        name = f"a {prompt.kind} with tools" if "tools" in prompt.payload else f"a {prompt.kind}"
        if name not in {each.way for each in found} and (
            prompt.kind not in kinds or "tools" in prompt.payload
        ):
            found += _as_whole_and_stream(name, prompt)
    return tuple(found)


def keys_of(answer: Answer) -> frozenset[str]:
    """Return the paths of keys in an answer or in all events of its stream; raises ValueError where one is no JSON."""
    return frozenset(path for each in _documents(answer) for path in _paths(each))


def wrong_in(asked: Mapping[str, Any], answer: Answer) -> dict[str, str]:
    """Return what cannot be in the answer to the request `asked`, in words by the key: another model, no order.

    Raises ValueError where it is no JSON.
    """
    return faults_of(dict(asked), _documents(answer))


def judge_shape(shape: Shape, new: Forms, old: Forms, wrong: Faults) -> GateResult:
    """Return the verdict on the form of the new release's answers, for the ways in which both were asked.

    A key that is gone is a failure, because a client may read it; so one that is renamed fails. A key that is new alone
    passes and is named: by the conventions of the API clients pass over keys that they do not know. `wrong` is what of
    the new release's answers cannot be, where the serving one's were right.
    """
    ways = [way for way in new if way in old]
    said = [
        f"{way}: {words}"
        for way, found in wrong.items()
        for path, words in found.items()
        if not any(_covers(each, path) for each in shape.allow)
    ]
    gone = {way: _kept(old[way] - new[way], shape) for way in ways}
    more = {way: sorted(new[way] - old[way]) for way in ways}
    figures = (
        Figure("keys of answers", _count(new, ways), _count(old, ways)),
        Figure("keys that are gone", float(sum(map(len, gone.values())))),
        Figure("keys that are new", float(sum(map(len, more.values())))),
        Figure("values that cannot be", float(len(said))),
    )
    named = [f"{way}: new {_listed(more[way])}" for way in ways if more[way]]
    if said or any(gone.values()):
        words = [f"{way}: {_listed(gone[way])} gone" for way in ways if gone[way]]
        return GateResult(GATE, Verdict.FAILED, "; ".join((*said, *words, *named)), figures)
    return GateResult(GATE, Verdict.PASSED, "; ".join(named), figures)


def _documents(answer: Answer) -> list[dict[str, Any]]:
    return [parse_mapping(text, ANSWER) for text in answer.events or (answer.body,)]


def _ways(kind: Kind, text: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    sampling = {"max_tokens": _TOKENS, "temperature": 0}
    if kind in (Kind.EMBEDDING, Kind.CLASSIFICATION):
        return (("an embedding", {"input": text}),)
    if kind is Kind.RERANK:
        return (("a rerank", {"query": text, "documents": [text, "Something else."]}),)
    if kind is Kind.TRANSCRIPTION:
        return (("a transcription", {"file": SILENCE, "temperature": 0}),)
    asked = (
        {"messages": [{"role": "user", "content": text}]} if kind is Kind.CHAT else {"prompt": text}
    )
    whole = {**asked, **sampling}
    counted = {**whole, "stream": True, "stream_options": {"include_usage": True}}
    return ((f"a {kind}", whole), (f"a {kind} as a stream", counted))


def _as_whole_and_stream(name: str, prompt: GoldenPrompt) -> list[Question]:
    found = [Question(name, prompt.kind, prompt.payload, prompt.timeout)]
    if prompt.kind in (Kind.CHAT, Kind.COMPLETION):
        stream = {**prompt.payload, "stream": True}
        found.append(Question(f"{name} as a stream", prompt.kind, stream, prompt.timeout))
    return found


def _paths(value: Any) -> Iterator[str]:
    """Yield the path of each key; the depth of `value` is bounded by its parser."""
    left: list[tuple[str, Any]] = [("", value)]
    seen = 0
    while left and seen < _KEYS:
        path, each = left.pop()
        if isinstance(each, dict):
            for key, inner in each.items():
                seen += 1
                below = f"{path}.{key}" if path else str(key)
                yield below
                left.append((below, inner))
        elif isinstance(each, list):
            left.extend((path, inner) for inner in each[:_KEYS])


def _kept(paths: frozenset[str], shape: Shape) -> list[str]:
    """Return the paths that are not allowed to go, without those below another one."""
    found = sorted(path for path in paths if not any(_covers(each, path) for each in shape.allow))
    return [path for path in found if not any(path.startswith(f"{each}.") for each in found)]


def _covers(allowed: str, path: str) -> bool:
    return allowed in ("*", path) or path.startswith(f"{allowed}.")


def _count(forms: Forms, ways: Sequence[str]) -> float:
    return float(sum(len(forms[way]) for way in ways))


def _listed(paths: Sequence[str]) -> str:
    named = ", ".join(each[:100] for each in paths[:_NAMED])
    more = len(paths) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
