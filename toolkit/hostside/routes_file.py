"""`routes.json`: which targets a model has, as the router of this host reaches them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from wire import Document

PREFIX = "model."


def read(directory: str) -> Document:
    """Return the routes; an empty document where there are none."""
    try:
        with open(os.path.join(directory, "routes.json")) as file:
            routes: Document = json.loads(file.read() or "{}")
    except FileNotFoundError:
        return {}
    return routes


def model(backend: str) -> str:
    """Return the model that a backend of the router is for."""
    return backend[len(PREFIX) :].replace(":", "/")


def weights(routes: Document) -> dict[str, dict[str, int]]:
    """Return {model: {server's name: weight}}."""
    found: dict[str, dict[str, int]] = {route["model"]: {} for route in routes.get("routes", [])}
    for name_of_model, name, weight, _ in targets(routes):
        found[name_of_model][name] = weight
    return found


def targets(routes: Document) -> Iterator[tuple[str, str, int, str]]:
    """Yield model, server's name, weight and address of each target, as the router of this host has them."""
    for route in routes.get("routes", []):
        for target in route["targets"]:
            host = target.get("host", "")
            name = f"{host}.{target['slot']}" if host else target["slot"]
            own = host in ("", routes.get("at", ""))
            address = f"127.0.0.1:{target['port']}" if own else target["relay"]
            yield route["model"], name, target["weight"], address


def main_slots(routes: Document) -> dict[str, str]:
    """Return {model: slot with the most traffic, or "none"}: the content of slots.map."""
    mains, own = {}, routes.get("at", "") + "."
    for name_of_model, slots in weights(routes).items():
        # of several with the same weight the one on this host
        slot = max(slots, key=lambda name: (slots[name], name.startswith(own)), default="none")
        mains[name_of_model] = slot if slots.get(slot) else "none"
    return mains
