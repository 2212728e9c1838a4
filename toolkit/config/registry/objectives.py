"""The part `objectives` of a model: what it promises its clients, as shares of their requests."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from toolkit.config.registry.fields import refuse, short
from toolkit.config.registry.part import Spec
from toolkit.domain.clients.tally import FIRST, GAP
from toolkit.domain.quantity import format_brief
from toolkit.domain.registry.objective import DEFAULT_DAYS, Objective, Objectives, Promise

_SHARE = re.compile(r"(-?[0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\Z")
_TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)\s*(ms|s|min)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}
_WINDOW = re.compile(r"([0-9]{1,3})\s*(d|w)\Z")
_DAYS = {"d": 1, "w": 7}
# A longer window would not help: an objective over more than a quarter is too slow to act on. The history keeps the
# hours for longer.
_MOST_DAYS = 90


def _check_target(value: Any) -> float:
    found = _SHARE.match(value) if isinstance(value, str) else None
    if found is None:
        raise refuse(f"{short(str(value))} is no share of requests", "write it in percent: 99.5%")
    share = float(found[1])
    if share >= 100:
        raise refuse(
            f"an objective of {share:g} % leaves no budget: the first failure breaks it for the whole window",
            "write what clients need, such as 99.9%",
        )
    if share <= 0:
        raise refuse(
            f"an objective of {share:g} % promises nothing", "write more than 0%, such as 99.5%"
        )
    return share / 100


def _check_window(value: Any) -> int:
    found = _WINDOW.match(value) if isinstance(value, str) else None
    if found is None:
        raise refuse(f"{short(str(value))} is no window", "write it in days or weeks: 28d, 4w")
    days = int(found[1]) * _DAYS[found[2]]
    if not 1 <= days <= _MOST_DAYS:
        raise refuse(f"a window is 1 to {_MOST_DAYS} days long", "write it like 28d")
    return days


def _limit(bounds: tuple[float, ...], example: str) -> BeforeValidator:
    """Return the reader of a time limit: one of `bounds`, at which hosts count."""

    def check(value: Any) -> float:
        found = _TIME.match(value) if isinstance(value, str) else None
        if found is None:
            raise refuse(f"{short(str(value))} is no time", f"write it like {example}")
        seconds = round(float(found[1]) * _SECONDS[found[2]], 9)
        if seconds not in bounds:
            below = max((each for each in bounds if each < seconds), default=bounds[0])
            above = min((each for each in bounds if each > seconds), default=bounds[-1])
            near = " or ".join(format_brief(each) for each in sorted({below, above}))
            raise refuse(f"hosts do not count at {short(value)}", f"the next they count at: {near}")
        return seconds

    return BeforeValidator(check)


_SHARE_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,2}(\.[0-9]{1,6})?\s*%$"})
_TIME_SCHEMA = WithJsonSchema(
    {"type": "string", "pattern": r"^[0-9]{1,6}(\.[0-9]{1,6})?\s*(ms|s|min)$"}
)
Target = Annotated[Any, BeforeValidator(_check_target), _SHARE_SCHEMA]
Window = Annotated[
    Any,
    BeforeValidator(_check_window),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,3}\s*[dw]$"}),
]
FirstLimit = Annotated[Any, _limit(FIRST, "2s"), _TIME_SCHEMA]
GapLimit = Annotated[Any, _limit(GAP, "50ms"), _TIME_SCHEMA]


class FirstTokenSpec(Spec):
    """The time until answers begin."""

    target: Target = Field(description="The share of streams that begin so soon.", examples=["95%"])
    under: FirstLimit = Field(description="The time until the first token.", examples=["2s"])


class BetweenTokensSpec(Spec):
    """The speed at which answers go on."""

    target: Target = Field(description="The share of streams that go on so fast.", examples=["99%"])
    under: GapLimit = Field(
        description="The mean time between two tokens of an answer.", examples=["50ms"]
    )


class ObjectivesSpec(Spec):
    """The promises of the model to its clients. A change of it starts nothing anew."""

    window: Window = Field(
        DEFAULT_DAYS,
        description=f"The time over which it is measured: the last 1 to {_MOST_DAYS} days.",
        examples=["28d"],
    )
    availability: Target | None = Field(
        None, description="The share of requests that are answered.", examples=["99.5%"]
    )
    first_token: FirstTokenSpec | None = Field(None, description="How soon answers begin.")
    between_tokens: BetweenTokensSpec | None = Field(None, description="How fast answers go on.")

    @model_validator(mode="after")
    def _promises(self) -> ObjectivesSpec:
        if (self.availability, self.first_token, self.between_tokens) == (None, None, None):
            raise refuse(
                "objectives without an objective", "write one, such as `availability: 99.5%`"
            )
        return self

    def in_domain(self, model: str, directory: str) -> Objectives:
        found = []
        if self.availability is not None:
            found.append(Objective(Promise.AVAILABILITY, self.availability))
        if self.first_token is not None:
            part = self.first_token
            found.append(Objective(Promise.FIRST, part.target, part.under))
        if self.between_tokens is not None:
            between = self.between_tokens
            found.append(Objective(Promise.BETWEEN, between.target, between.under))
        return Objectives(self.window, tuple(found))
