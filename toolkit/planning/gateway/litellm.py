"""LiteLLM's configuration: the fleet's models first, and a closed model only where an operator names one.

A model that is marked `inside` never stands in one file with a closed model. It would not be enough to give it no
fallback there: LiteLLM lets each request name fallbacks of its own, among all models of its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.kind import Kind
from toolkit.domain.registry.model import Model
from toolkit.errors import InputError

# The variables from which LiteLLM reads the fleet's key and its own.
FLEET_KEY, MASTER_KEY = "TOOLKIT_KEY", "LITELLM_MASTER_KEY"
# Seconds for which LiteLLM leaves a router alone that failed three times in a minute.
_COOLDOWN, _FAILS = 5, 3

# PROVIDER/NAME. The provider is a part of the variable that has its key.
_CLOSED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[!-~]+")

_MODES = {
    Kind.CHAT: "chat",
    Kind.COMPLETION: "completion",
    Kind.EMBEDDING: "embedding",
    Kind.RERANK: "rerank",
    Kind.TRANSCRIPTION: "audio_transcription",
}


@dataclass(frozen=True, slots=True)
class Served:
    """A name that clients may request, of a model that the fleet serves; `kind` and `context` (tokens) where known."""

    name: str
    model: str
    kind: Kind | None = None
    context: int | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A configuration, and the models without a place in it: the `inside` ones, and those that may be."""

    config: Mapping[str, Any]
    left_out: tuple[str, ...]
    unknown: tuple[str, ...]
    # The environment variables from which LiteLLM reads its secrets.
    variables: tuple[str, ...]


def served_names(releases: Iterable[Release]) -> tuple[Served, ...]:
    """Return each name of the releases that serve, in alphabetical order: models, aliases and adapters.

    A name of two models stands there for each of them.
    """
    found: dict[tuple[str, str], Served] = {}
    for release in releases:
        does = release.does
        known = (does.kind, does.context) if does else (None, None)
        for name in (release.model, *release.aliases, *(each.name for each in release.adapters)):
            found.setdefault((name, release.model), Served(name, release.model, *known))
    return tuple(found[name] for name in sorted(found))


def with_owners(served: Sequence[Served], models: Iterable[Model]) -> tuple[Served, ...]:
    """Return the served models, then each name again for another of `models` to which the registry gives it.

    That model may serve under the name on a host that does not answer now, or from its next deployment on.
    """
    names = {each.name for each in served}
    known = {(each.name, each.model) for each in served}
    owners = {
        (name, model.name)
        for model in models
        for version in model.versions
        for name in (model.name, *version.aliases, *(each.name for each in version.adapters))
        if name in names
    }
    return (*served, *(Served(*each) for each in sorted(owners - known)))


def litellm_config(
    served: Sequence[Served],
    endpoints: Sequence[str],
    closed: Mapping[str, str],
    inside: frozenset[str],
    *,
    unknown: frozenset[str] = frozenset(),
    only_inside: bool = False,
) -> Exported:
    """Return the configuration of LiteLLM's proxy before the routers at `endpoints`, which end with `/v1`.

    `closed` maps a name of the fleet to the closed model, `PROVIDER/NAME`, that takes over where every router fails.
    With one, the names of models that are `inside` are left out, and those of `unknown` models, of which nobody can
    tell; `only_inside` has them, and no closed model.
    Raises InputError where a closed model is named for a name that is not served, or for one of these models.
    """
    _refuse(served, closed, inside, unknown, only_inside=only_inside)
    guarded = {each.name for each in served if closed and each.model in inside | unknown}
    first = {each.name: each for each in reversed(served) if each.name not in guarded}
    kept = [first[name] for name in dict.fromkeys(each.name for each in served) if name in first]
    config: dict[str, Any] = {
        "model_list": [
            *(_ours(each, endpoint) for each in kept for endpoint in endpoints),
            *map(_closed, dict.fromkeys(closed.values())),
        ],
        "router_settings": {
            "num_retries": 1,
            "allowed_fails": _FAILS,
            "cooldown_time": _COOLDOWN,
            "fallbacks": [{name: [model]} for name, model in closed.items()],
        },
        # Prices, versions and statistics of LiteLLM's makers are asked of nobody.
        "litellm_settings": {"telemetry": False, "drop_params": bool(closed)},
        "general_settings": {"master_key": f"os.environ/{MASTER_KEY}"},
    }
    models = dict.fromkeys(each.model for each in served if each.name in guarded)
    left_out, untold = (
        tuple(each for each in models if each in those) for those in (inside, unknown)
    )
    keys = dict.fromkeys(_key_variable(model) for model in closed.values())
    return Exported(config, left_out, untold, (FLEET_KEY, MASTER_KEY, *keys))


def _refuse(
    served: Sequence[Served],
    closed: Mapping[str, str],
    inside: frozenset[str],
    unknown: frozenset[str],
    *,
    only_inside: bool,
) -> None:
    for name, model in closed.items():
        owners = [each.model for each in served if each.name == name]
        if not owners:
            raise InputError(f"the fleet serves no {name!r}", hint="toolkit status")
        if own := next((each for each in owners if each in inside), None):
            raise InputError(
                f"{own} is marked `inside`: none of its requests may reach {model}",
                hint="leave out --closed for it, or remove `inside` from the registry",
            )
        if own := next((each for each in owners if each in unknown), None):
            raise InputError(
                f"the registry does not have {own}, so nobody can tell whether it is `inside`",
                hint="leave out --closed for it, or name the registry that has it with --registry",
            )
        if not _CLOSED.fullmatch(model):
            raise InputError(
                f"{model!r} is no closed model of the form PROVIDER/NAME",
                hint="--closed qwen-7b=openai/gpt-6.1-terra",
            )
        if own := next((each.model for each in served if each.name == model), None):
            raise InputError(
                f"{model} is a name of the fleet's own {own}: LiteLLM would spread its requests over both",
                hint=f"remove that alias from {own}, or name another closed model",
            )
    if closed and only_inside:
        raise InputError(
            "with --inside no request may leave the fleet, so that --closed is refused",
            hint="leave one of them out",
        )


def _ours(served: Served, endpoint: str) -> dict[str, Any]:
    info: dict[str, Any] = {"mode": _MODES[served.kind]} if served.kind in _MODES else {}
    if served.context:
        info["max_input_tokens"] = served.context
    return {
        "model_name": served.name,
        "litellm_params": {
            "model": f"hosted_vllm/{served.name}",
            "api_base": endpoint,
            "api_key": f"os.environ/{FLEET_KEY}",
        },
        **({"model_info": info} if info else {}),
    }


def _closed(model: str) -> dict[str, Any]:
    return {
        "model_name": model,
        "litellm_params": {"model": model, "api_key": f"os.environ/{_key_variable(model)}"},
    }


def _key_variable(model: str) -> str:
    """Return the variable from which LiteLLM takes the key of a provider."""
    return f"{model.partition('/')[0].upper().replace('-', '_')}_API_KEY"
