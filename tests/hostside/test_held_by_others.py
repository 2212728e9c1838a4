"""No lock that another user of the host takes keeps root waiting, or tells root that a command works."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.parsers import hostside

with hostside():
    deployment_lock, start_turn = import_module("deployment_lock"), import_module("start_turn")
    trees, wake_hold = import_module("trees"), import_module("wake_hold")

# As another user: lock whatever can be opened below the root, and keep it.
TAKE_ALL = """
import fcntl, os, sys
os.setgid(65534); os.setuid(65534)
held = []
for top, folders, files in os.walk(sys.argv[1]):
    for name in (top, *(os.path.join(top, each) for each in files)):
        try:
            held.append(os.open(name, os.O_RDONLY | os.O_NONBLOCK))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass
print(len(held), flush=True)
sys.stdin.read()
"""
TREE = {"kind": "snapshots", "name": "a" * 64, "files": []}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def root() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        for name in ("slots/tiny-blue", "watch", "snapshots"):
            (Path(place) / name).mkdir(parents=True)
        yield place


@contextmanager
def all_taken(root: str) -> Iterator[None]:
    """Hold all locks that another user can take below the root."""
    argv = [sys.executable, "-I", "-c", TAKE_ALL, root]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout
        assert int(child.stdout.readline()) > 0
        yield
        child.stdin.close()


def in_time(act: Callable[[], Any]) -> Any:
    """Return what `act` returns; fail where it waits."""
    done: list[Any] = []
    thread = threading.Thread(target=lambda: done.append(act()), daemon=True)
    thread.start()
    thread.join(20)
    assert done, "it waits for another user"
    return done[0]


def keep(root: str) -> dict[str, Any]:
    handle, other = os.pipe()
    os.close(other)
    with os.fdopen(handle, "rb") as stream:
        request = {"root": root, "owner": {"token": "t"}, "silence": 1.0}
        found: dict[str, Any] = deployment_lock.keep(request, lambda _: None, stream)
        return found


def turn(root: str) -> str:
    found: str = start_turn._ask(root, "tiny-blue", frozenset({0}), 1.0)
    return found


def wakes(root: str) -> bool:
    with wake_hold.deciding(root):
        return True


def transfer(root: str) -> bool:
    with trees.Arrival({**TREE, "root": root}).locked():
        return True


@pytest.mark.parametrize("act", [keep, turn, wakes, transfer], ids=lambda act: act.__name__)
def test_root_takes_its_locks_whatever_another_user_has_locked(
    root: str, act: Callable[[str], Any]
) -> None:
    # The files of locks are there from a former time.
    in_time(lambda: act(root))
    with all_taken(root):
        assert in_time(lambda: act(root)) in ({"held": True}, True, "")


def test_a_lock_of_another_user_is_no_command_at_work(root: str) -> None:
    keep(root)
    with all_taken(root):
        assert deployment_lock.read(root) == {"held": False, "owner": None}


def test_the_file_of_a_former_toolkit_is_closed_to_others(root: str) -> None:
    lock = Path(root, "deployment.lock")
    lock.write_text("")
    lock.chmod(0o644)
    keep(root)
    assert lock.stat().st_mode & 0o077 == 0


def test_a_link_in_the_place_of_a_lock_is_not_followed(root: str) -> None:
    victim = Path(root, "victim")
    victim.write_text("whole")
    Path(root, "deployment.lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        keep(root)
    assert victim.read_text() == "whole"
