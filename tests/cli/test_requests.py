"""`toolkit requests`: a line of words for each request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.cli.shell import Shell
from tests.planning.test_joined import REQUEST
from toolkit.domain.clients.requests import LoggedRequest
from toolkit.workflows.fleet.requests import RequestReader


@pytest.mark.parametrize(("left_out", "end"), [(0, " r1\n"), (43, " r1 left_out=43\n")])
def test_a_line_ends_with_the_number_of_requests_without_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, left_out: int, end: str
) -> None:
    def latest(reader: RequestReader, lines: int) -> tuple[LoggedRequest, ...]:
        return (replace(REQUEST, left_out=left_out),)

    monkeypatch.setattr(RequestReader, "latest", latest)
    said = shell("requests")
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(f" /v1/chat/completions{end}")
