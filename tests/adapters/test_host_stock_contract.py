"""What lies on every host, held by the same hosts as test_host_contract.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.adapters.host_contract import OWNER, lab
from tests.adapters.host_lab import ENGINE, HostLab
from toolkit.adapters.fakes.host import FakeHost
from toolkit.adapters.hosts.client import silent
from toolkit.adapters.hosts.port import RemovedLeftovers
from toolkit.domain.hosts.leftover import LeftoverKind
from toolkit.errors import HostError

__all__ = ["lab"]


def test_what_a_replica_compiled_before_clients_came_is_given_to_the_next(lab: HostLab) -> None:
    program = lab.start("blue")
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    kept = lab.host.keep_compiled(program)
    assert (bool(kept.name), kept.size > 0, kept.why) == (True, True, "")
    # Each kind is kept once.
    assert lab.host.keep_compiled(program) == replace(kept, size=0)
    other = lab.start("green", snapshot="good")
    assert lab.host.wait_ready(other, lab.ports["green"], 120, silent).ok
    if not isinstance(lab.host, FakeHost):
        found = lab.run("ls", f"{lab.host.host.root}/compiling/{other}/vllm").split()
        assert found == ["graph", "graph.loaded"]


def test_what_lies_on_the_host_is_compared_with_what_was_put_there(lab: HostLab) -> None:
    assert lab.host.check_snapshot("good", silent) == ()
    lab.host.seal_engine(ENGINE, silent)
    found = lab.host.check_engine(ENGINE, silent)
    assert (found.sealed, found.faults) == (True, ())
    assert lab.host.observe().changed_files == ()


def test_an_engine_that_was_installed_beside_takes_the_place_of_a_changed_one(
    lab: HostLab, program: str
) -> None:
    lab.host.seal_engine(ENGINE, silent)
    with pytest.raises(HostError, match="no engine that could replace"):
        lab.host.swap_engine(ENGINE, silent)
    lab.install_beside()
    lab.change_engine()
    assert lab.host.check_engine(ENGINE, silent).faults == ("bin/vllm: was changed",)
    lab.host.swap_engine(ENGINE, silent)
    found = lab.host.check_engine(ENGINE, silent)
    assert (found.sealed, found.faults) == (True, ())
    assert lab.host.observe().engines == (ENGINE,)
    # The replica of before runs on, and another one starts.
    assert lab.ask("blue").startswith("hello from")
    assert lab.host.wait_ready(lab.start("green"), lab.ports["green"], 120, silent).ok


def test_a_snapshot_can_be_removed_and_placed_again(lab: HostLab) -> None:
    lab.host.remove("snapshots", "good")
    assert "good" not in lab.host.observe().snapshots
    source = f"{lab.host.host.root}/sources/good"
    lab.host.place(source, "good", ["behaviour"], silent)
    assert "good" in lab.host.observe().snapshots


def test_what_was_cut_short_is_listed_and_goes_under_the_lock_alone(lab: HostLab) -> None:
    path = "engines/vllm-cut-short"
    assert path not in {each.path for each in lab.host.leftovers()}
    lab.cut_short(path)
    (found,) = [each for each in lab.host.leftovers() if each.path == path]
    assert (found.kind, found.of) == (LeftoverKind.INSTALLATION, "vllm-cut-short")
    assert (found.size, found.busy) == (4, "")
    assert 3600 <= found.age < 7200
    with pytest.raises(HostError, match="the deployment lock was lost"):
        lab.host.remove_leftovers([path])
    with lab.host.lock(OWNER):
        assert lab.host.remove_leftovers([path, "engines/none"]) == RemovedLeftovers(4, {})
    assert path not in {each.path for each in lab.host.leftovers()}
