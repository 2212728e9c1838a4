"""The router's files of names: the model behind each name that clients use, each name once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from toolkit.planning.routing.routes import Route, Routes

# An entry of `GET /v1/models`.
Description = dict[str, Any]


def render_aliases(routes: Routes, names: Mapping[str, Route]) -> str:
    """Return `aliases.map`: another name of a model -> the model; `names` has the owner of each, see `owners`."""
    return "".join(
        f"{name} {route.model}\n"
        for route in routes.routes
        for name in route.aliases
        if names[name].model == route.model
    )


def described(routes: Routes, names: Mapping[str, Route]) -> list[Description]:
    """Return the description of each name for clients, in the order of `routes`; `names` has the owner of each."""
    return [each for route in routes.routes for each in _described(route, names)]


def render_described_map(found: Iterable[Description]) -> str:
    """Return `models-described.map`: model or adapter -> the answer to `GET /v1/models/NAME`."""
    return "".join(f"{each['id']} {json.dumps(each, separators=(',', ':'))}\n" for each in found)


def render_models_json(found: Sequence[Description]) -> str:
    """Return `models.json`: the answer to `GET /v1/models` in OpenAI's shape."""
    listed = {"object": "list", "data": found}
    return json.dumps(listed, separators=(",", ":")) + "\n"


def _described(route: Route, names: Mapping[str, Route]) -> list[Description]:
    """Return a model, its other names with the model as their root, and its adapters with the model as their parent.

    What `names` give to another route is left out.
    `max_model_len` is the field by which vLLM itself tells clients the size of a request, in tokens; `root` is in
    each of its entries too.
    """
    target = route.described
    model: Description = {
        "id": route.model,
        "object": "model",
        "created": route.created,
        "owned_by": "toolkit",
    }
    if target and target.context:
        model["max_model_len"] = target.context
    if target and target.kind:
        model["kind"] = target.kind
    model["root"] = route.model
    own = [
        {**model, "id": name}
        for name in (route.model, *route.aliases)
        if names[name].model == route.model
    ]
    adapters = [
        {**model, "id": name, "root": name, "parent": route.model}
        for name in route.adapters
        if names[name].model == route.model
    ]
    return [*own, *adapters]
