"""A router that runs and does not answer: its master is stopped or hangs, and its workers serve on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostside.router_lab import router_socket, router_view


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the root of a router whose master takes no connection and answers none."""
    monkeypatch.setattr(router_socket, "TIMEOUT", 0.2)
    (tmp_path / "control").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as master:
        master.bind(str(tmp_path / "control/master.sock"))
        master.listen(1)
        yield tmp_path


def test_it_is_told_from_one_that_does_not_run(root: Path) -> None:
    seen = router_view.observe(str(root))
    assert (seen["running"], seen["silent"]) == (False, True)
    assert router_view.load(str(root), "tiny", "blue", unknown=1) == (1, 0)


def test_one_whose_queue_is_full_is_silent_too(root: Path) -> None:
    """The kernel then refuses at once, where it waits before."""
    with ExitStack() as waiting:
        full = False
        while not full:
            each = waiting.enter_context(socket.socket(socket.AF_UNIX))
            each.setblocking(False)
            try:
                each.connect(str(root / "control/master.sock"))
            except BlockingIOError:
                full = True
        seen = router_view.observe(str(root))
        assert (seen["running"], seen["silent"]) == (False, True)
        with pytest.raises(
            router_socket.RouterError, match="the router did not answer 'show proc'"
        ):
            router_socket.processes(str(root / "router"))
