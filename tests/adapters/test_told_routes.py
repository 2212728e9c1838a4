"""What goes over the wire of a router's files: differences, and all of them where the host has others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from toolkit.adapters.hosts.client import HostClient
from toolkit.adapters.hosts.host import RealHost
from toolkit.domain.hosts.fleet import Host

FILES = {"a.map": "new\n", "b.map": "other\n"}
EDITS = {"a.map": {"of": "0" * 64, "splices": [[0, 1, "new\n"]]}}


class Wire:
    """A client of a host that gives `answers` in turn; `sent` has what it was asked."""

    def __init__(self, *answers: Mapping[str, Any]) -> None:
        self.host = Host("gpu1")
        self._answers, self.sent = list(answers), list[tuple[str, dict[str, Any]]]()

    def ask(self, name: str, **request: Any) -> Mapping[str, Any]:
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
