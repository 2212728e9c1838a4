"""The part `guard` of a model or version: what a new version must prove before and while it takes traffic."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from toolkit.config.registry.fields import Text, each_once, refuse, short
from toolkit.config.registry.part import Spec
from toolkit.domain.deployment.plan import WHOLE
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

# The defaults of the file are those of the domain.
_GUARD, _TOLERANCE, _SPEED, _BENCHMARKS = Guard(), Tolerance(), Speed(), Benchmarks(())
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\Z")
_PERIOD = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(s|min|h)\Z")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_LONGEST = 7 * 24 * 3600.0
_FILE = re.compile(r"[A-Za-z0-9_.-][A-Za-z0-9_./ -]*\Z")


def _check_percent(value: Any) -> float:
    found = _PERCENT.match(value) if isinstance(value, str) else None
    if found is None:
        raise refuse(f"{short(str(value))} is no share", "write it in percent: 5%")
    share = float(found[1]) / 100
    if share > 1:
        raise refuse(f"{short(value)} is more than all", "write at most 100%")
    return share


def _check_share(value: Any) -> float:
    share = _check_percent(value)
    if not share:
        raise refuse("a step of 0 % watches nothing", "write more than 0%, such as 1%")
    if share < 1 / WHOLE:
        raise refuse("a router draws no share below 0.01 %", "write 0.01% or more, such as 1%")
    return share


def _check_part(value: Any) -> float:
    share = _check_percent(value)
    if share == 1:
        raise refuse(
            "no version is beyond a limit of 100 %, so it holds for all", "write less, such as 2%"
        )
    return share


def _check_period(value: Any) -> float:
    found = _PERIOD.match(value) if isinstance(value, str) else None
    if found is None:
        raise refuse(f"{short(str(value))} is not a duration", "write it like 30s, 5min or 2h")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= _LONGEST:
        raise refuse(
            "a duration here is more than 0 s and at most 168h", "write it like 30s, 5min or 2h"
        )
    return seconds


def _check_file(text: str) -> str:
    if not _FILE.match(text) or ".." in text.split("/"):
        raise refuse(
            f"{short(text)} is no file beside the registry", "write it like golden/chat.yaml"
        )
    return text


Percent = Annotated[
    Any,
    BeforeValidator(_check_percent),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,6})?\s*%$"}),
]
Part = Annotated[
    Any,
    BeforeValidator(_check_part),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,2}(\.[0-9]{1,6})?\s*%$"}),
]
StepShare = Annotated[
    Any,
    BeforeValidator(_check_share),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,6})?\s*%$"}),
]
Period = Annotated[
    Any,
    BeforeValidator(_check_period),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?\s*(s|min|h)$"}),
]
Ratio = Annotated[float, Field(ge=1, le=100)]
BesideFile = Annotated[
    Text, BeforeValidator(lambda value: _check_file(value) if isinstance(value, str) else value)
]
Count = Annotated[int, Field(ge=0, le=10_000_000)]


class StepSpec(Spec):
    """One step of the canary: a share of the requests for a time."""

    share: StepShare = Field(
        description="The share of the model's requests. It rises from step to step; 100% is the bake.",
        examples=["1%"],
    )
    duration: Period = Field(
        description="The time of the step: `30s`, `5min`, `2h`.", examples=["5min"]
    )
    requests: Count = Field(
        0,
        description="Requests that the new version must have answered before the next step.",
        examples=[50],
    )

    def in_domain(self, model: str, directory: str) -> ShareStep:
        return ShareStep(self.share, self.duration, self.requests)


class ToleranceSpec(Spec):
    """The limits of the new version; beyond them its traffic goes back."""

    slower: Ratio = Field(
        default=_TOLERANCE.slower,
        description="The ratio of its times to those of the serving version.",
        examples=[1.25],
    )
    errors: Part = Field(
        default=_TOLERANCE.errors,
        description="The share of failed requests that it may have more than the serving version.",
        examples=["2%"],
    )
    growth: Ratio = Field(
        default=_TOLERANCE.growth,
        description="The ratio to which its memory may grow while it is watched.",
        examples=[1.5],
    )

    def in_domain(self, model: str, directory: str) -> Tolerance:
        return Tolerance(self.slower, self.errors, self.growth)


class AnswersSpec(Spec):
    """Golden prompts, asked of the new version and of the serving one at the same moment."""

    file: BesideFile = Field(
        description="The file of the prompts, YAML or JSONL, relative to the registry.",
        examples=["golden/chat.yaml"],
    )
    at_least: Percent = Field(
        0.0,
        description="The share of the prompts that the new version must pass. Without it, only the comparison counts.",
        examples=["95%"],
    )
    lose_at_most: Count = Field(
        0,
        description="The number of prompts that the serving version passes and the new one may fail.",
        examples=[1],
    )

    def in_domain(self, model: str, directory: str) -> Answers:
        return Answers(self.file, self.at_least, self.lose_at_most, directory)


class SpeedSpec(Spec):
    """Paired requests to the new and the serving version in turn."""

    pairs: Annotated[int, Field(ge=5, le=10_000)] = Field(
        _SPEED.pairs, description="The number of pairs.", examples=[20]
    )
    concurrency: Annotated[int, Field(ge=1, le=256)] = Field(
        _SPEED.concurrency, description="Requests at once.", examples=[4]
    )
    max_tokens: Annotated[int, Field(ge=2, le=4096)] = Field(
        _SPEED.max_tokens, description="Tokens of each answer.", examples=[32]
    )

    def in_domain(self, model: str, directory: str) -> Speed:
        return Speed(self.pairs, self.concurrency, self.max_tokens)


class ShapeSpec(Spec):
    """The form of the answers: keys of JSON and events of streams, compared with the serving version's."""

    allow: Annotated[list[Text], Field(max_length=256)] = Field(
        default_factory=list,
        description="Changes that are meant: paths of keys as the refusal names them, or `*` for all.",
        examples=[["choices.message.reasoning"]],
    )

    def in_domain(self, model: str, directory: str) -> Shape:
        return Shape(tuple(self.allow))


class BenchmarksSpec(Spec):
    """Tasks of `lm-eval`, which runs in an environment of its own; scores are compared with the serving version's."""

    tasks: Annotated[
        list[BesideFile],
        Field(min_length=1, max_length=64),
        each_once(lambda task: f"the task {short(task)}", "name it once"),
    ] = Field(
        description="Local task files, relative to the registry.",
        examples=[["benchmarks/arithmetic.yaml"]],
    )
    limit: Annotated[int, Field(ge=1, le=100_000)] = Field(
        _BENCHMARKS.limit, description="Questions of each task.", examples=[100]
    )
    lose_at_most: Part = Field(
        _BENCHMARKS.lose_at_most, description="How far a score may fall.", examples=["2%"]
    )
    timeout: Period = Field(
        _BENCHMARKS.timeout,
        description="The time limit of all tasks of a version.",
        examples=["1h"],
    )

    def in_domain(self, model: str, directory: str) -> Benchmarks:
        return Benchmarks(tuple(self.tasks), self.limit, self.lose_at_most, self.timeout, directory)


class GuardSpec(Spec):
    """The proofs that a new version gives before and while it takes traffic; `off` leaves the checks alone."""

    canary: Annotated[list[StepSpec], Field(max_length=32)] = Field(
        default_factory=list,
        description="The shares of the traffic that it gets one after the other.",
        examples=[[{"share": "1%", "duration": "5min", "requests": 50}]],
    )
    bake: Period | None = Field(
        None,
        description="The time of watching under all traffic; by default as the command says.",
        examples=["10min"],
    )
    patience: Period = Field(
        _GUARD.patience,
        description="How long a step that nothing can be said of is held.",
        examples=["30min"],
    )
    unsure: Literal["return", "go-on"] = Field(
        "return", description="What follows after the patience.", examples=["go-on"]
    )
    tolerance: ToleranceSpec = Field(
        default_factory=ToleranceSpec, description="What it may show before its traffic goes back."
    )
    answers: AnswersSpec | None = Field(None, description="Golden prompts.")
    speed: SpeedSpec | None = Field(None, description="A comparison of speed before any traffic.")
    shape: ShapeSpec = Field(
        default_factory=ShapeSpec, description="Changes of the form of answers that are meant."
    )
    benchmarks: BenchmarksSpec | None = Field(None, description="Benchmarks before any traffic.")

    @model_validator(mode="after")
    def _shares_rise(self) -> GuardSpec:
        for before, step in zip(self.canary, self.canary[1:], strict=False):
            # As a router draws them.
            if round(step.share * WHOLE) <= round(before.share * WHOLE):
                raise refuse(
                    f"the canary's share does not rise: {before.share * 100:g} % is followed by "
                    f"{step.share * 100:g} %",
                    "write the steps in rising order, each share once",
                )
        if self.canary and self.canary[-1].share == 1 and self.bake is not None:
            raise refuse(
                "the canary's step of 100 % is the bake, and `bake` states another one",
                "keep one of the two",
            )
        return self

    def in_domain(self, model: str, directory: str) -> Guard:
        steps = tuple(each.in_domain(model, directory) for each in self.canary)
        bake, requests = self.bake, 0
        if steps and steps[-1].share == 1:
            *before, last = steps
            steps, bake, requests = tuple(before), last.seconds, last.requests
        parts = {
            name: part.in_domain(model, directory)
            for name in ("tolerance", "answers", "speed", "shape", "benchmarks")
            if (part := getattr(self, name)) is not None
        }
        return Guard(
            steps=steps,
            bake=bake,
            patience=self.patience,
            unsure=Unsure(self.unsure),
            bake_requests=requests,
            **parts,
        )


class _OffSpec(GuardSpec):
    def in_domain(self, model: str, directory: str) -> Guard:
        return Guard(off=True)


class _OrOff:
    """Lets the word `off` stand for the whole part."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler(core)
        return {"anyOf": [{"const": "off"}, found]}


def _off(value: Any) -> Any:
    return _OffSpec.model_validate({}) if value == "off" else value


GuardField = Annotated[GuardSpec, BeforeValidator(_off), _OrOff()]


class AdapterGuardSpec(Spec):
    """The proofs that an adapter gives before its name gets traffic; `off` leaves its checks alone."""

    @model_validator(mode="before")
    @classmethod
    def _has_no_canary(cls, data: Any) -> Any:
        if isinstance(data, dict) and "canary" in data:
            raise refuse(
                "an adapter has no canary, because both of its versions answer in one replica",
                "write `bake`: a fleet changes host after host, so its first hosts are the canary",
            )
        return data

    unsure: Literal["return", "go-on"] = Field(
        "return",
        description="What follows where a gate could not tell, or the bake after its patience.",
        examples=["go-on"],
    )
    bake: Period | None = Field(
        None,
        description="The time of watching under traffic; by default none.",
        examples=["10min"],
    )
    patience: Period = Field(
        _GUARD.patience,
        description="How long a bake that nothing can be said of is held.",
        examples=["30min"],
    )
    tolerance: ToleranceSpec = Field(
        default_factory=ToleranceSpec,
        description="What the replica may show in the bake before the former adapter comes back.",
    )
    answers: AnswersSpec | None = Field(
        None,
        description="Golden prompts, asked of the new adapter and of the one that serves under its name.",
    )
    speed: SpeedSpec | None = Field(
        None,
        description="A comparison of speed with the adapter that serves under its name, or else with the base.",
    )
    shape: ShapeSpec = Field(
        default_factory=ShapeSpec, description="Changes of the form of answers that are meant."
    )
    benchmarks: BenchmarksSpec | None = Field(
        None, description="Benchmarks, compared with the scores of the same one."
    )

    def in_domain(self, model: str, directory: str) -> Guard:
        parts = {
            name: part.in_domain(model, directory)
            for name in ("tolerance", "answers", "speed", "shape", "benchmarks")
            if (part := getattr(self, name)) is not None
        }
        return Guard(bake=self.bake, patience=self.patience, unsure=Unsure(self.unsure), **parts)


class _AdapterOffSpec(AdapterGuardSpec):
    def in_domain(self, model: str, directory: str) -> Guard:
        return Guard(off=True)


def _adapter_off(value: Any) -> Any:
    return _AdapterOffSpec.model_validate({}) if value == "off" else value


AdapterGuardField = Annotated[AdapterGuardSpec, BeforeValidator(_adapter_off), _OrOff()]
