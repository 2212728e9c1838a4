"""A tree that does not arrive is an error with the next command to type."""

from __future__ import annotations

from typing import Any, cast

import pytest

from toolkit.adapters.distribution.port import Tree
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError
from toolkit.workflows.change.send import send
from toolkit.workflows.tools import Tools


class Refusing:
    """Tools of a host that takes no tree, for the reason `words`."""

    def __init__(self, words: str) -> None:
        self.host, self.words = FakeHost(Host("gpu1", "ssh", "10.0.0.11")), words

    def distribution(self) -> Refusing:
        return self

    def spread(self, tree: Tree, hosts: list[Host], report: object) -> dict[str, str]:
        return {each.name: self.words for each in hosts}

    def __getattr__(self, name: str) -> Any:
        return lambda *_: 0.0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            "tree-survey: no room in /var/lib/toolkit/snapshots",
            "toolkit prune, or make",
        ),
        ("No space left on device", "toolkit prune, or make"),
        ("it said nothing for 60 s", "toolkit hosts"),
    ],
)
def test_a_host_without_room_is_told_from_one_that_is_gone(words: str, hint: str) -> None:
    with pytest.raises(HostError, match="gpu1: snapshots aaaaaaaaaaaa: ") as caught:
        send(cast("Tools", Refusing(words)), Tree("snapshots", "a" * 64, "/store", ()))
    assert caught.value.hint.startswith(hint)
