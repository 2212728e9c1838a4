"""The router's files, rendered from its routes. The same routes give the same bytes."""

from __future__ import annotations

import json
from typing import Any

from toolkit.planning.routes import Route, Routes, backend_name

_HEAD = "# Written by the toolkit from routes.json; the router's base is haproxy.cfg.\n"


def render_files(routes: Routes) -> dict[str, str]:
    """Return every file that follows from the routes, by its name in the router's directory."""
    return {
        "backends.cfg": render_backends(routes),
        "models.map": render_map(routes),
        "models-described.map": render_described_map(routes),
        "slots.map": render_slots(routes),
        "models.json": render_models_json(routes),
        "routes.json": json.dumps(routes.as_json(), indent=2) + "\n",
    }


def render_backends(routes: Routes) -> str:
    """Return `backends.cfg`: a backend per model with a server per slot.

    A slot without traffic stands there with weight 0, checked like the others, so that it is known
    to be up when it is needed.
    """
    text = _HEAD
    for route in routes.routes:
        text += f"\nbackend {backend_name(route.model)}\n"
        # a worker that a reload left behind: see slots.map in haproxy.cfg
        text += "    use-server %[var(txn.slot)] if { var(txn.slot) -m found }\n"
        text += "    force-persist if { stopping }\n"
        for target in route.targets:
            text += f"    server {target.slot} 127.0.0.1:{target.port} weight {target.weight}\n"
    return text


def render_map(routes: Routes) -> str:
    """Return `models.map`: what a request may name -> backend."""
    return "".join(f"{route.model} {backend_name(route.model)}\n" for route in routes.routes)


def render_slots(routes: Routes) -> str:
    """Return `slots.map`: model -> the slot with most of its traffic, or `none`.

    A worker that a reload left behind follows this instead of weights.
    """
    return "".join(f"{route.model} {route.main_slot or 'none'}\n" for route in routes.routes)


def render_described_map(routes: Routes) -> str:
    """Return `models-described.map`: model -> the answer to `GET /v1/models/MODEL`."""
    return "".join(
        f"{route.model} {json.dumps(_described(route), separators=(',', ':'))}\n"
        for route in routes.routes
    )


def render_models_json(routes: Routes) -> str:
    """Return `models.json`: the answer to `GET /v1/models` in OpenAI's shape."""
    listed = {"object": "list", "data": [_described(route) for route in routes.routes]}
    return json.dumps(listed, separators=(",", ":")) + "\n"


def _described(route: Route) -> dict[str, Any]:
    return {
        "id": route.model,
        "object": "model",
        "created": route.created,
        "owned_by": "toolkit",
    }
