"""A home whose disk takes no more, neither bytes nor files: errors with a way out, and a way out that works."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.store_lab import stored
from tests.cli.shell import Prompt, Said, remove_scratch
from tests.cli.small_model import write_model, write_registry
from tests.workflows.world import World, release
from toolkit.adapters.audit.log import AuditLog
from toolkit.adapters.disk import scratch_of
from toolkit.adapters.history.history import History
from toolkit.adapters.store.store import Store
from toolkit.cli.opening.context import open_history
from toolkit.domain.hosts.fleet import Host
from toolkit.planning.upkeep.audit import examine
from toolkit.workflows.tools import Tools

REGISTRY = """\
policy:
  licences: {{allowed: [mit]}}
models:
  tiny:
    licence: mit
    openness: fully-open
    source: {{path: ./model}}
    engine: {{name: vllm, version: 0.32.0}}
    resources: {{accelerators: [cpu], memory: 64MiB}}
    versions:
      v1: {{revision: {revision}}}
"""
FLEET = "all:\n  hosts:\n    gpu1: {ansible_host: 10.0.0.1}\n"
MIB = 2**20


class FullHome:
    """A home on a disk of its own, and the commands of a person on it."""

    def __init__(self, prompt: Prompt, patch: pytest.MonkeyPatch) -> None:
        self.prompt, self.disk = prompt, prompt.place / "disk"
        self.home = self.disk / "home"
        prompt.set("TOOLKIT_HOME", self.home)
        (prompt.place / "fleet.yaml").write_text(FLEET)
        prompt.set("TOOLKIT_FLEET", prompt.place / "fleet.yaml")
        self.pinned = write_model(prompt.place / "model")
        write_registry(prompt.place / "model_registry.yaml", REGISTRY, self.pinned)
        (prompt.place / "world").mkdir()
        self.world = World(prompt.place / "world")
        patch.setattr("toolkit.cli.opening.context.open_port", self._host)

    def _host(self, host: Host, clients: object) -> object:
        return self.world.hosts[host.name]

    def __call__(self, *words: str) -> Said:
        said = self.prompt(*words)
        assert "Traceback" not in said.err
        return said

    def take_all_files(self) -> None:
        """Use every inode of the disk."""
        for number in range(10_000):
            try:
                (self.disk / f"filler{number}").touch()
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return
        raise AssertionError("the disk has no end")

    def take_all_bytes(self) -> None:
        """Use every byte of the disk."""
        with (self.disk / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as error:
                assert error.errno == errno.ENOSPC


@pytest.fixture
def full(prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> Iterator[FullHome]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    disk = prompt.place / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m,nr_inodes=120", "tmpfs", disk]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield FullHome(prompt, monkeypatch)
    finally:
        remove_scratch(disk / "home")
        subprocess.run(["umount", "--lazy", disk], check=True, capture_output=True)


def test_pull_without_inodes_is_an_error_with_a_hint(full: FullHome) -> None:
    full.home.mkdir()
    full.take_all_files()
    said = full("pull", "tiny")
    assert (said.code, said.out) == (5, "")
    assert " inodes while they come, and the disk of " in said.err
    assert f"df -i {full.home}/store), for example with: toolkit prune" in said.err


def test_a_pull_whose_inodes_end_midway_is_an_error_and_goes_on_later(
    full: FullHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.home.mkdir()
    full.take_all_files()
    monkeypatch.setattr(Store, "free_files", lambda _: None)
    said = full("pull", "tiny")
    assert (said.code, said.out) == (5, "")
    assert f"tiny@v1 cannot be written to {full.home}/store: No space left on device" in said.err
    assert "toolkit prune" in said.err
    for filler in full.disk.glob("filler*"):
        filler.unlink()
    assert full("pull", "tiny").code == 0


def test_a_disk_that_fills_up_while_a_command_writes_is_no_traceback(
    full: FullHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    full.home.mkdir()
    full.take_all_files()

    def sweep(_: Store) -> int:
        (full.home / "store").mkdir()
        return 0

    monkeypatch.setattr(Store, "sweep", sweep)
    said = full("prune", "--yes")
    assert (said.code, said.out) == (1, "")
    assert (
        f"error: the disk takes no more at {full.home}/store: No space left on device" in said.err
    )
    assert "toolkit prune" in said.err


def test_status_doctor_and_plan_work_without_inodes(full: FullHome) -> None:
    full.world.deploy(release(1))
    full.home.mkdir()
    full.take_all_files()
    said = full("status")
    assert said.code == 0
    assert "tiny" in said.out
    said = full("doctor")
    assert "cannot be opened" in said.out
    assert "history: free space there (df -h" in said.out


def test_a_change_that_cannot_be_recorded_is_refused_and_changes_nothing(full: FullHome) -> None:
    full.home.mkdir()
    full.take_all_files()
    registry = full.prompt.place / "model_registry.yaml"
    before = registry.read_bytes()
    said = full("registry", "pin", "tiny", "--as", "v2", "--reason", "why")
    assert (said.code, said.out) == (3, "")
    assert "the audit log cannot be written, so nothing was changed" in said.err
    assert "toolkit prune" in said.err
    assert registry.read_bytes() == before


def test_sockets_of_hosts_lie_elsewhere_while_the_home_is_full(full: FullHome) -> None:
    full.home.mkdir()
    assert scratch_of(full.home) == full.home / "run"
    full.take_all_files()
    elsewhere = scratch_of(full.home)
    try:
        assert not elsewhere.is_relative_to(full.disk)
        assert elsewhere.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(elsewhere / "s"))
    finally:
        shutil.rmtree(elsewhere)
    # Somebody else was there first.
    (full.prompt.place / "theirs").mkdir()
    elsewhere.symlink_to(full.prompt.place / "theirs")
    try:
        found = scratch_of(full.home)
        assert found.parent != elsewhere.parent
    finally:
        elsewhere.unlink()
        if not found.is_relative_to(full.disk):
            shutil.rmtree(found)


@pytest.mark.parametrize("gone", ["files", "bytes"])
def test_prune_frees_what_a_full_disk_holds(
    full: FullHome, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "toolkit.cli.commands.prune.open_members",
        lambda home, hosts, pins, **options: _members(full, home, **options),
    )
    store = Store(full.home / "store")
    old = stored(store, "local/old", "0" * 40, b"o" * MIB)
    full.world.deploy(replace(release(1), snapshot=full.pinned.digest))
    assert full("pull", "tiny").code == 0
    partial = store.partial / ("a" * 64)
    partial.mkdir()
    (partial / "data").write_bytes(b"p" * MIB)
    # A history that knows a release, so that the store knows what is not needed.
    history = History(full.home / "history.db", lambda: 0.0)
    history.add_release(release(1))
    history.close()
    full.take_all_files() if gone == "files" else full.take_all_bytes()
    before = os.statvfs(full.disk)
    said = full("prune", "--dry-run")
    assert (said.code, said.out) == (0, "dry run: nothing was removed\n")
    assert store.has(old)
    assert partial.exists()

    said = full("prune", "--yes")
    assert said.code == 0, said.err
    assert f"remove local/old@{'0' * 12} in the store" in said.err
    assert "remove the unfinished download aaaaaaaa" in said.err
    after = os.statvfs(full.disk)
    assert after.f_ffree - before.f_ffree >= 4
    # The audit log takes a little of it.
    assert (after.f_bfree - before.f_bfree) * after.f_frsize >= 2 * MIB - 2**16
    log = AuditLog(full.home)
    events = [each.event for each in examine(*log.read(), ()).lines]
    assert events == ["genesis", "begin", "end"]
    assert not store.has(old)
    assert not partial.exists()
    assert store.has(full.pinned)
    assert full("prune", "--yes").code == 0


def _members(full: FullHome, home: Path, *, history_needed: bool = True) -> tuple[Tools, ...]:
    history = open_history(home, needed=history_needed)
    return tuple(replace(each, history=history) for each in full.world.command())


@pytest.mark.parametrize("how", ["files", "bytes", "damaged"])
def test_a_rollback_works_while_nothing_can_be_recorded(full: FullHome, how: str) -> None:
    full.world.deploy(release(1))
    full.world.deploy(release(2))
    full.home.mkdir()
    if how == "damaged":
        (full.home / "history.db").write_bytes(b"no database" * 1000)
    else:
        full.take_all_files() if how == "files" else full.take_all_bytes()
    said = full("rollback", "tiny", "--yes")
    assert said.code == 0
    assert "this command goes on without it and records nothing more" in said.err
    assert list(full.world.serving().values()) == ["v1"]
