"""A look at a fleet: every host answers for itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.hosts.fleet import Host
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.fleet.look import look


def machine(name: str, at: str) -> FakeHost:
    found = FakeHost(Host(name, "ssh", f"{name}.example"))
    facts = found.observe()
    found.observe = lambda: replace(facts, routes=Routes().as_json(at))  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize(
    ("names", "lost"),
    [
        ({"a": "a", "b": "b", "c": "c"}, []),
        # one host, a new one, and one under a new name
        ({"a": "", "b": "b", "c": "former"}, []),
        ({"a": "a", "b": "c", "c": "b"}, ["b", "c"]),
        ({"a": "a", "b": "a", "c": "c"}, ["b"]),
    ],
)
def test_a_host_at_whose_address_another_one_answers_is_left_alone(
    names: dict[str, str], lost: list[str]
) -> None:
    seen = look([machine(name, at) for name, at in names.items()])
    assert sorted(seen.errors) == lost
    for name in lost:
        words = f"{name}: the machine at its address is {names[name]}, by the routes there"
        assert seen.errors[name].message == words
        assert "addresses" in seen.errors[name].hint
