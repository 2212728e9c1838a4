"""Every error that a person meets names what to type next."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from toolkit import errors

TOOLKIT = Path(errors.__file__).parent
NAMES = {name for name, each in vars(errors).items() if isinstance(each, type)}
# Why an error has no hint of its own.
WITHOUT = {
    "adapters/ansible/silence.py": "it ends a question whose answer nobody waits for any more",
    "adapters/interruption.py": "the person has interrupted",
    "workflows/change/rendezvous.py": "a consequence: its cause has the hint",
    "adapters/distribution/delivery.py": "a consequence: its cause has the hint",
    "adapters/engines/wheel.py": "what reads it goes on and says what it left unchecked",
    "adapters/history/aside.py": "a fault of a statement of this program",
}


def raised(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = node.exc.func
            if isinstance(called, ast.Name) and called.id in NAMES:
                yield node.exc


def test_what_commands_raise_has_a_hint() -> None:
    found = {}
    for layer in ("cli", "workflows", "adapters", "config"):
        for path in (TOOLKIT / layer).rglob("*.py"):
            if "fakes" in path.parts:
                continue
            bare = [each for each in raised(path) if "hint" not in {x.arg for x in each.keywords}]
            if bare:
                found[str(path.relative_to(TOOLKIT))] = [each.lineno for each in bare]
    assert {name: lines for name, lines in found.items() if name not in WITHOUT} == {}
    assert found.keys() == WITHOUT.keys()
