"""The host's side runs under any Python from 3.9 on; its syntax and imports are held by tests/test_layers.py."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

MODULES = sorted(Path(__file__).parents[2].glob("toolkit/hostside/*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_annotations_are_never_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    future = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    ]
    # `str | None` in a signature is an error under 3.9 unless nobody evaluates it.
    assert future == (["annotations"] if functions else [])
