"""A router that runs and does not answer: its master is stopped or hangs, and its workers serve on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hostside.router_lab import router, router_socket, router_view
from tests.hostside.router_site import Site
from tests.planning.rendered import render_files
from toolkit.planning.routing.edits import with_weights


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


def test_a_router_whose_control_socket_was_removed_is_silent_and_refuses_changes(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It serves by its former routes: a change that only wrote its files would count as made."""
    monkeypatch.setattr(router_socket, "_BEGUN_SECONDS", 0.0)
    (site.lab.root / "control/master.sock").unlink()
    seen = router_view.observe(str(site.lab.root))
    assert (seen["running"], seen["silent"]) == (False, True)
    before = (site.lab.root / "router/routes.json").read_text()
    other = with_weights(site.lab.routes, "tiny", {"green": 100, "blue": 0})
    with pytest.raises(router_socket.RouterError, match="its control socket is gone"):
        router.apply(str(site.lab.root), {"files": render_files(other)})
    assert (site.lab.root / "router/routes.json").read_text() == before
    site.lab.kill()
    assert not router_view.observe(str(site.lab.root))["silent"]
    assert router.apply(str(site.lab.root), {"files": render_files(other)})["running"] is False
    site.lab.start()


def test_a_router_that_has_just_begun_may_still_make_its_socket(site: Site) -> None:
    (site.lab.root / "control/master.sock").rename(site.lab.root / "control/aside")
    seen = router_view.observe(str(site.lab.root))
    assert (seen["running"], seen["silent"]) == (False, False)
    (site.lab.root / "control/aside").rename(site.lab.root / "control/master.sock")


def test_only_the_users_of_a_router_can_have_its_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(router_socket, "_BEGUN_SECONDS", -1.0)
    (tmp_path / "router").mkdir()
    sleeps = "import os, time; os.fork(); print(flush=True); time.sleep(60)"
    words = ["/usr/bin/python3", "-c", sleeps, "-S", str(tmp_path / "router/haproxy.cfg")]
    for user, silent in ((0, True), (65533, False)) if os.geteuid() == 0 else ():
        given = {"user": user, "group": user, "extra_groups": [], "process_group": 0}
        with subprocess.Popen(words, stdout=subprocess.PIPE, **given) as process:  # type: ignore[call-overload]
            process.stdout.readline()
            process.stdout.readline()
            assert router_view.observe(str(tmp_path))["silent"] is silent
            os.killpg(process.pid, signal.SIGKILL)
