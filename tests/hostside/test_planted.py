"""Links, pipes and directories that a service user puts where root reads and writes lead root nowhere.

The host is one that an older toolkit provisioned: the router's user owns the directory of its files, and the replicas'
user that of the logs. On a host of this toolkit both are root's, and nobody can put anything there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import toolkit.hostside
from tests.hostside.router_lab import NOBODY, router
from tests.planning.rendered import render_files
from toolkit.hostside.commands import COMMANDS
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

HOSTSIDE = str(Path(toolkit.hostside.__file__).parent)
ROUTER = (
    *router.FILES,
    "haproxy.cfg",
    "keys.json",
    "keys-copy.json",
    "keys.map",
    "quotas.map",
    "versions.map",
    "master.sock",
    "model.lua",
)
LOGS = ("tiny-blue.log", "tiny-blue.log.1", "router.log")
RING = {
    "keys": [{"name": "ann", "digest": "0" * 64, "created": 1.0, "per_minute": 0, "concurrency": 0, "revoked": 0.0}],
    "locked": 0.0,
    "opened": 0.0,
}  # fmt: skip
ROUTES = with_model(Routes(), "tiny", (Target("blue", 1, 100), Target("green", 2, 0)), created=0)


def link_to_file(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "secret")


def link_to_directory(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def dangling_link(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "absent")


def second_name(path: Path, outside: Path) -> None:
    os.link(outside / "secret", path)


def pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def directory(path: Path, outside: Path) -> None:
    path.mkdir()
    (path / "sub").symlink_to(outside)


TOLD = {"day": "2026-11-27", "month": "2026-11", "keys": {"ann": [1, 2, 3, 4, 5]}}
HEAD = {"log": "a" * 32, "machine": "ops:/home/ops", "sequence": 1, "digest": "b" * 64}
Plant = Callable[[Path, Path], None]
PLANTS = (link_to_file, link_to_directory, dangling_link, second_name, pipe, directory)
# What each command of the table is asked; none may be missing.
REQUESTS: dict[str, dict[str, Any]] = {
    "observe": {"label": ""},
    "complete": {"port": 1, "payload": {}, "timeout": 1},
    "call-in-turn": {
        "port": 1,
        "calls": [{"path": "/v1/unload_lora_adapter", "payload": {}, "may_fail": True}],
        "pause": 0,
        "timeout": 1,
    },
    "ask": {"port": 1, "path": "/v1/chat/completions", "payload": {}, "timeout": 1},
    "pairs": {
        "new": 1,
        "old": 0,
        "path": "/v1/chat/completions",
        "payload": {},
        "pairs": 1,
        "concurrency": 1,
        "timeout": 1,
        "former": "",
    },
    "vitals": {"program": "tiny-blue", "port": 1, "log": "0:0"},
    "sample": {},
    "energy": {},
    "apply-routes": {"files": render_files(ROUTES)},
    "keys": {},
    "apply-keys": {"ring": RING},
    "repair-keys": {"ring": RING},
    "lock": {"owner": {}},
    "keep-deployment": {"deployment": {"rollout": "r"}, "head": HEAD},
    "drop-deployment": {"rollout": "r"},
    "guard-begin": {"order": {"model": "tiny", "rollout": "r"}, "holder": ""},
    "guard-phase": {"model": "tiny", "phase": {}, "holder": ""},
    "guard-follow": {"model": "tiny"},
    "guard-wish": {"model": "tiny", "wish": "abort", "actor": "ann@ops"},
    "guard-end": {"model": "tiny", "rollout": "r"},
    "repair-guards": {},
    "hold-wakes": {"holder": "", "on": True},
    "keep-head": {"head": {**HEAD, "sequence": 2}},
    "audit-heads": {},
    "sums-of-use": {},
    "tell-use": {"told": {"ledgers": {"a" * 16: TOLD}}},
    "hand-out-use": {"place": {"ledger": "", "file": 0, "offset": 0}},
    "find-request": {"id": "r1"},
    "read-requests": {"model": "tiny", "lines": 5, "place": None},
    "find-use": {"ids": ["r1"], "since": 0},
    "perimeter": {},
    "probe": {
        "program": "tiny-blue",
        "model": "tiny",
        "slot": "blue",
        "port": 1,
        "hang": 0.1,
        "stall": 0.1,
    },
    "doze": {"program": "tiny-blue", "needs": 0, "timeout": 0},
    "rouse": {"program": "tiny-blue", "port": 1, "timeout": 0},
    "wait-ready": {"program": "tiny-blue", "port": 1, "timeout": 0},
    "watch": {"program": "tiny-blue", "port": 1, "seconds": 0},
    "drain": {"model": "tiny", "slot": "blue", "port": 1, "timeout": 0},
    "logs": {"program": "tiny-blue", "lines": 5, "follow": False},
    "place": {"source": "/nonexistent", "digest": "d", "files": []},
    "hash": {"digest": "d"},
    "check-snapshot": {"digest": "d"},
    "keep-compiled": {"program": "tiny-blue"},
    "find-compiled": {"compiles": {}, "snapshot": "d"},
    "hand-out-compiled": {"name": "t", "offset": 0},
    "seal-engine": {"name": "e"},
    "check-engine": {"name": "e"},
    "swap-engine": {"name": "e"},
    "leftovers": {},
    "remove-leftovers": {"paths": [], "holder": ""},
    "remove": {"kind": "snapshots", "name": "d"},
    "tree-survey": {"kind": "snapshots", "name": "t", "files": []},
    "tree-receive": {"kind": "snapshots", "name": "t", "files": [], "send": []},
    "tree-drop-swarm": {"kind": "snapshots", "name": "w", "files": []},
    "tree-finish": {"kind": "snapshots", "name": "u", "files": []},
    "tree-swarm": {"library": "libtorrent-0", "kind": "snapshots", "name": "v", "files": []},
    "swarm-library": {"name": "libtorrent-0", "size": 0, "sha256": hashlib.sha256().hexdigest()},
}


class Ground:
    """A host's root with two directories in a service user's hands, and files of somebody else's."""

    def __init__(self, top: Path) -> None:
        self.root, self.outside = top / "root", top / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text("theirs\n")
        self.taken = [self.root / "router", self.root / "logs"]
        for each in (self.root, *self.taken, self.root / "slots/tiny-blue"):
            each.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            for each in self.taken:
                os.chown(each, NOBODY, NOBODY)

    def names(self) -> list[Path]:
        """Return every path at which root reads or writes in the taken directories, or used to."""
        there = [self.taken[0] / name for name in ROUTER] + [self.taken[1] / name for name in LOGS]
        return [*there, *(each.with_name(f"{each.name}.new") for each in there)]

    def others(self) -> list[tuple[str, int, int, int, str]]:
        """Return name, permissions, owner, group and text of all that is outside."""
        found = []
        for each in sorted(self.outside.rglob("*")):
            seen = each.lstat()
            text = each.read_text() if stat.S_ISREG(seen.st_mode) else ""
            found.append((str(each), seen.st_mode, seen.st_uid, seen.st_gid, text))
        return found

    def ask(self, command: str) -> dict[str, Any]:
        """Return the last answer of a command, run as root; it must end by itself."""
        request = {"root": str(self.root), **REQUESTS[command]}
        pipe, argv = subprocess.PIPE, [sys.executable, "-I", HOSTSIDE, command]
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:
            # A command that waits for a planted pipe would never answer.
            late = threading.Timer(20, process.kill)
            late.start()
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            if COMMANDS[command].streams:
                process.stdin.close()
            *_, last = process.stdout
            late.cancel()
        answer: dict[str, Any] = json.loads(last)
        return answer

    @contextmanager
    def talk(self) -> Iterator[Callable[[str], None]]:
        """Yield a function that has root carry out a command, all in one process; each must end by itself."""
        argv = [sys.executable, "-I", HOSTSIDE, "converse"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None and child.stdout is not None
            requests, answers = child.stdin, child.stdout

            def carry_out(command: str) -> None:
                request = {"command": command, "root": str(self.root), **REQUESTS[command]}
                # A command that waits for a planted pipe would never answer.
                late = threading.Timer(20, child.kill)
                late.start()
                requests.write(json.dumps(request) + "\n")
                requests.flush()
                assert any("event" not in json.loads(line) for line in answers), command
                late.cancel()

            yield carry_out
            requests.close()


@pytest.fixture
def ground() -> Iterator[Ground]:
    # Not below pytest's own directory, which other users cannot enter.
    top = Path(tempfile.mkdtemp(prefix="toolkit-ground-"))
    top.chmod(0o755)
    yield Ground(top)
    shutil.rmtree(top)


def test_every_command_is_asked() -> None:
    assert REQUESTS.keys() == COMMANDS.keys()


@pytest.mark.parametrize("names", ["all", "temporary"])
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_no_command_changes_what_a_planted_name_leads_to(
    ground: Ground, plant: Plant, names: str
) -> None:
    for path in ground.names():
        if names == "all" or path.suffix == ".new":
            plant(path, ground.outside)
    before = ground.others()
    # To start Python for each of them would take most of the test.
    with ground.talk() as carry_out:
        for command, each in COMMANDS.items():
            if each.streams:
                ground.ask(command)
            else:
                carry_out(command)
            assert ground.others() == before, command


@pytest.mark.parametrize("plant", PLANTS[:-1], ids=lambda plant: plant.__name__)
def test_what_was_planted_is_replaced_by_a_file_of_roots(ground: Ground, plant: Plant) -> None:
    for path in ground.names():
        plant(path, ground.outside)
    assert ground.ask("apply-keys")["result"]["keys"][0]["name"] == "ann"
    found = (ground.root / "router/keys.json").lstat()
    assert (stat.S_ISREG(found.st_mode), found.st_nlink) == (True, 1)
    assert found.st_uid == os.geteuid()


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_lock_is_refused_with_the_remedy(ground: Ground, plant: Plant) -> None:
    plant(ground.root / "router/.lock", ground.outside)
    assert "toolkit provision" in ground.ask("apply-keys")["error"]


@pytest.mark.parametrize("plant", PLANTS[:3], ids=lambda plant: plant.__name__)
def test_a_planted_log_is_not_shown(ground: Ground, plant: Plant) -> None:
    plant(ground.root / "logs/tiny-blue.log", ground.outside)
    assert ground.ask("logs") == {"result": {"found": False}}


@pytest.mark.parametrize("name", ["snapshots", "bin"])
def test_a_tree_is_not_written_where_another_user_can_write(ground: Ground, name: str) -> None:
    (ground.root / name).mkdir()
    (ground.root / name).chmod(0o777)
    for command in (
        ("place", "remove", "tree-survey") if name == "snapshots" else ("swarm-library",)
    ):
        assert "toolkit provision" in ground.ask(command)["error"]
