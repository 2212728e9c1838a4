"""What goes over the wire of a router's files: differences, and all of them where the host has others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.host import RealHost
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError, WithdrawnError

FILES = {"a.map": "new\n", "b.map": "other\n"}
EDITS = {"a.map": {"of": "0" * 64, "splices": [[0, 1, "new\n"]]}}


class Wire:
    """A client of a host that gives `answers` in turn; `sent` has what it was asked."""

    def __init__(self, *answers: Mapping[str, Any]) -> None:
        self.host = Host("gpu1")
        self._answers, self.sent = list(answers), list[tuple[str, dict[str, Any]]]()

    def ask(self, name: str, _report: Any, /, **request: Any) -> Mapping[str, Any]:
        self.sent.append((name, request))
        return self._answers.pop(0)


def test_files_with_edits_are_sent_as_these() -> None:
    wire = Wire({"running": True})
    RealHost(cast(HostClient, wire)).apply_routes(FILES, EDITS)
    assert wire.sent == [("apply-routes", {"files": {"b.map": "other\n"}, "edits": EDITS})]


def test_a_host_with_other_files_gets_them_whole() -> None:
    wire = Wire({"stale": ["a.map"]}, {"running": True})
    RealHost(cast(HostClient, wire)).apply_routes(FILES, EDITS)
    assert wire.sent[1:] == [("apply-routes", {"files": FILES})]


def test_a_host_that_has_withdrawn_what_the_files_serve_says_so_by_its_own_error() -> None:
    wire = Wire({"stale": ["a.map"]}, {"withdrawn": {"target": "tiny/green", "number": 2}})
    with pytest.raises(WithdrawnError, match=r"gpu1: tiny/green .* has withdrawn release 2"):
        RealHost(cast(HostClient, wire)).apply_routes(FILES, EDITS)


@pytest.mark.parametrize("odd", [None, [], {}, {"target": 1, "number": 2}, {"target": "a/b"}])
def test_a_withdrawal_that_says_too_little_is_told_from_one(odd: object) -> None:
    wire = Wire({"withdrawn": odd})
    with pytest.raises(HostError, match="gpu1") as caught:
        RealHost(cast(HostClient, wire)).apply_routes(FILES, EDITS)
    assert not isinstance(caught.value, WithdrawnError)
