"""The modules of Ansible in `playbooks/library`, for the tests that call their functions."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

LIBRARY = Path(__file__).parents[2] / "playbooks/library"


def own_module(name: str) -> ModuleType:
    """Return a module, read anew: what a test changes in it stays in that test."""
    spec = importlib.util.spec_from_file_location(name, LIBRARY / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
