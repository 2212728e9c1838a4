"""Routers that let pages of other origins in, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.hostside.router_lab import ROLE, Backend, Lab, lab
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

CHAT = "/v1/chat/completions"


APP, OTHER = "https://chat.example.org", "https://evil.example.org"


@pytest.fixture(scope="module")
def blue() -> Iterator[Backend]:
    backend = Backend("blue")
    yield backend
    backend.stop()


@contextmanager
def router(blue: Backend, *origins: str, **variables: object) -> Iterator[Lab]:
    with lab(router_cors_origins=list(origins), **variables) as running:
        target = Target("blue", blue.port, 100, kind="chat", context=4096)
        running.apply(with_model(Routes(), "tiny", (target,), created=5))
        running.up("tiny", "blue")
        yield running


@pytest.fixture(scope="module")
def closed(blue: Backend) -> Iterator[Lab]:
    with router(blue) as running:
        yield running


@pytest.fixture(scope="module")
def opened(blue: Backend) -> Iterator[Lab]:
    with router(blue, APP, "http://localhost:3000", router_require_keys=True) as running:
        yield running


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROLE / "files/openapi.json").read_text("utf-8"))
    return found


def item_of(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Return what the document says of a path, also where paths share it."""
    item: dict[str, Any] = document["paths"][path]
    name = item.get("$ref", "").removeprefix("#/components/pathItems/")
    return {**item, **document["components"]["pathItems"][name]} if name else item
