"""The part `guard` of the registry: what it says, and how each fault in it is refused."""

# One row of a table is one line, however long.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.config.registry.reading import load_registry
from toolkit.domain.gates.guard import (
    Answers,
    Benchmarks,
    Guard,
    Shape,
    ShareStep,
    Speed,
    Tolerance,
)
from toolkit.domain.gates.verdict import Unsure
from toolkit.domain.registry.model import Version
from toolkit.errors import InputError

HEAD = """\
models:
  tiny:
    licence: apache-2.0
    openness: open-weights
    source: {repo: acme/tiny}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 6GiB}
"""
TAIL = """\
    versions:
      "1": {revision: a09a35458c702b33eeacc393d103063234e8bc28}
"""


def versions(tmp_path: Path, guard: str, tail: str = TAIL) -> tuple[Version, ...]:
    file = tmp_path / "model_registry.yaml"
    file.write_text(f"{HEAD}{guard}{tail}", "utf-8")
    return load_registry(file).versions


def test_a_model_without_a_guard_has_the_defaults(tmp_path: Path) -> None:
    assert [each.guard for each in versions(tmp_path, "")] == [Guard()]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("off", Guard(off=True)),
        ("{}", Guard()),
        ("{bake: 10min}", Guard(bake=600)),
        ("{canary: [{share: 1%, duration: 5min, requests: 50}, {share: 12.5 %, duration: 2h}]}", Guard((ShareStep(0.01, 300, 50), ShareStep(0.125, 7200)))),
        ("{canary: [{share: 50%, duration: 30s}, {share: 100%, duration: 1min, requests: 9}]}", Guard((ShareStep(0.5, 30),), bake=60, bake_requests=9)),
        ("{patience: 90s, unsure: go-on}", Guard(patience=90, unsure=Unsure.GO_ON)),
        ("{tolerance: {slower: 2, errors: 0.5%, growth: 3.5}}", Guard(tolerance=Tolerance(2, 0.005, 3.5))),
        ("{answers: {file: golden/x.yaml, at_least: 95%, lose_at_most: 1}}", Guard(answers=Answers("golden/x.yaml", 0.95, 1))),
        ("{speed: {pairs: 30, concurrency: 4, max_tokens: 16}}", Guard(speed=Speed(30, 4, 16))),
        ("{shape: {allow: [choices.message.reasoning]}}", Guard(shape=Shape(("choices.message.reasoning",)))),
        ("{benchmarks: {tasks: [a.yaml], limit: 10, lose_at_most: 1%, timeout: 2h}}", Guard(benchmarks=Benchmarks(("a.yaml",), 10, 0.01, 7200))),
    ],
)  # fmt: skip
def test_a_guard_says_what_is_meant(tmp_path: Path, written: str, meant: Guard) -> None:
    assert [each.guard for each in versions(tmp_path, f"    guard: {written}\n")] == [meant]


def test_files_lie_beside_the_registry(tmp_path: Path) -> None:
    (version,) = versions(tmp_path, "    guard: {answers: {file: golden/x.yaml}}\n")
    assert version.guard.answers is not None
    assert version.guard.answers.path == f"{tmp_path}/golden/x.yaml"


def test_a_version_has_its_models_guard_or_one_of_its_own(tmp_path: Path) -> None:
    tail = TAIL + '      "2": {revision: a09a35458c702b33eeacc393d103063234e8bc28, guard: off}\n'
    first, second = versions(tmp_path, "    guard: {bake: 1h}\n", tail)
    assert (first.guard, second.guard) == (Guard(bake=3600), Guard(off=True))


STEP = '{"share": "1%", "duration": "5min", "requests": 50}'
PERIOD = "write it like 30s, 5min or 2h"


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("on", ":8:12: guard: expected a mapping (`key: value` lines), not the text 'on'", "known here: answers, bake, benchmarks, canary, patience, shape, speed, tolerance, unsure"),
        ("{canarry: []}", ":8:13: unknown field 'canarry'", "did you mean 'canary'?"),
        ("{canary: [{share: 10%, duration: 1min}, {share: 1%, duration: 1min}]}", ":8:12: the canary's share does not rise: 10 % is followed by 1 %", "write the steps in rising order, each share once"),
        ("{canary: [{share: 10%, duration: 1min}, {share: 10.0 %, duration: 1min}]}", ":8:12: the canary's share does not rise: 10 % is followed by 10 %", "write the steps in rising order, each share once"),
        ("{canary: [{share: 0%, duration: 1min}]}", ":8:30: a step of 0 % watches nothing", "write more than 0%, such as 1%"),
        ("{canary: [{share: 0.009%, duration: 1min}]}", ":8:30: a router draws no share below 0.01 %", "write 0.01% or more, such as 1%"),
        ("{canary: [{share: 1%, duration: 1min}, {share: 1.004%, duration: 1min}]}", ":8:12: the canary's share does not rise: 1 % is followed by 1.004 %", "write the steps in rising order, each share once"),
        ("{canary: [{share: 101%, duration: 1min}]}", ":8:30: '101%' is more than all", "write at most 100%"),
        ("{canary: [{share: -1%, duration: 1min}]}", ":8:30: '-1%' is no share", "write it in percent: 5%"),
        ("{canary: [{share: 0.05, duration: 1min}]}", ":8:30: '0.05' is no share", "write it in percent: 5%"),
        ("{canary: [{share: 1%, duration: 0s}]}", ":8:44: a duration here is more than 0 s and at most 168h", PERIOD),
        ("{canary: [{share: 1%, duration: 30}]}", ":8:44: '30' is not a duration", PERIOD),
        ("{tolerance: {errors: 100%}}", ":8:33: no version is beyond a limit of 100 %, so it holds for all", "write less, such as 2%"),
        ("{benchmarks: {tasks: [a.yaml], lose_at_most: 100.0%}}", ":8:57: no version is beyond a limit of 100 %, so it holds for all", "write less, such as 2%"),
        ("{benchmarks: {tasks: [a.yaml, b.yaml, a.yaml]}}", ":8:33: the task 'a.yaml' is there twice", "name it once"),
        ("{canary: [{share: 1%}]}", ":8:22: entry 1 of 'canary' has no 'duration'", 'add `duration:` with a value such as "5min"'),
        ("{canary: [1%]}", ":8:22: entry 1 of 'canary': expected a mapping (`key: value` lines), not the text '1%'", f"for example {STEP}"),
        ("{canary: {share: 1%, duration: 1min}}", ":8:21: canary: expected a list, not a mapping", f"for example [{STEP}]"),
        ("{canary: 5%}", ":8:21: canary: expected a list, not the text '5%'", f"for example [{STEP}]"),
        ("{canary: [~]}", ":8:22: entry 1 of 'canary' has no value", "write one, or remove the line"),
        ("{canary: [{share: 1%, duration: 1s, requests: -1}]}", ":8:58: requests: input should be greater than or equal to 0", "for example 50"),
        ("{canary: [{share: 100%, duration: 1s}], bake: 1s}", ":8:12: the canary's step of 100 % is the bake, and `bake` states another one", "keep one of the two"),
        ("{bake: 0min}", ":8:19: a duration here is more than 0 s and at most 168h", PERIOD),
        ("{bake: 8000h}", ":8:19: a duration here is more than 0 s and at most 168h", PERIOD),
        ("{patience: soon}", ":8:23: 'soon' is not a duration", PERIOD),
        ("{unsure: wait}", ":8:21: unsure: 'wait' is not known", "known: return, go-on"),
        ("{tolerance: {slower: 0.9}}", ":8:33: slower: input should be greater than or equal to 1", "for example 1.25"),
        ("{tolerance: {slower: fast}}", ":8:33: slower: expected a number, not the text 'fast'", "for example 1.25"),
        ("{answers: {}}", ":8:13: 'answers' has no 'file'", 'add `file:` with a value such as "golden/chat.yaml"'),
        ("{answers: {file: ../x}}", ":8:29: '../x' is no file beside the registry", "write it like golden/chat.yaml"),
        ("{answers: {file: /etc/passwd}}", ":8:29: '/etc/passwd' is no file beside the registry", "write it like golden/chat.yaml"),
        ("{answers: {file: x, at-least: 5%}}", ":8:32: unknown field 'at-least'", "did you mean 'at_least'?"),
        ("{speed: {pairs: 1}}", ":8:28: pairs: input should be greater than or equal to 5", "for example 20"),
        ("{shape: {allow: x}}", ":8:28: allow: expected a list, not the text 'x'", "write it in brackets: [x]"),
        ("{benchmarks: {tasks: []}}", ":8:33: tasks: an empty list", 'for example ["benchmarks/arithmetic.yaml"]'),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, written: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        versions(tmp_path, f"    guard: {written}\n")
    assert (
        caught.value.message.replace("\u00a0", " ").removeprefix(
            str(tmp_path / "model_registry.yaml")
        )
        == message
    )
    assert caught.value.hint == hint
