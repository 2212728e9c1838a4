"""Fixtures of the report."""

from __future__ import annotations

import pytest

from tests.report.made_up import NOW, Size, made_cost, made_status, write_history
from toolkit.planning.report.findings import Findings, UpstreamFindings
from toolkit.workflows.fleet.report import gather


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    size = Size()
    place = tmp_path_factory.mktemp("report")
    history = write_history(place / "history.db", size)
    status, cost = made_status(history, size), made_cost(history, size, place)
    found = gather(status, history, NOW - size.days * 86_400, NOW, UpstreamFindings(), cost)
    history.close()
    return found
