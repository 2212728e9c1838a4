"""The room that is kept for commands on a full disk: in a small file system of its own, filled to the last byte."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount"
)
BEGIN = """
import errno, json, os, sys, time
sys.path.insert(0, sys.argv[1])
import directory, reserve
from directory import Directory
root = sys.argv[2]
os.mkdir(root + "/router")
reserve.LEAST_BYTES, reserve.LEAST_FILES = 2**20, 10

def fill(files=False):
    # Bytes, or files: until the disk takes no more.
    try:
        if files:
            for number in range(10**5):
                open(f"{root}/filler-{number}", "w").close()
        with open(f"{root}/filler", "wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
    except OSError as error:
        assert error.errno == errno.ENOSPC

def write(text, name="routes.json"):
    try:
        with Directory(root + "/router") as opened:
            opened.write(name, text, 0o640)
            return opened.read(name) == text and oct(os.stat(f"{root}/router/{name}").st_mode)
    except OSError as error:
        return error.errno == errno.ENOSPC and "full"

def kept():
    return len(os.listdir(root + "/watch/reserve"))

said = []
"""


def carried_out(place: Path, script: str, options: str = "size=8m") -> Any:
    """Return what the script says of a disk with the options of tmpfs."""
    mounted = 'mount -t tmpfs -o "$6" tmpfs "$1" && exec "$2" -I -c "$3" "$4" "$1"'
    text = BEGIN + script + "\nprint(json.dumps(said))"
    here = [str(place), sys.executable, text, str(REPO / "toolkit/hostside"), "", options]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", *here],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("files", "options", "large"),
    [(False, "size=8m", "full"), (True, "size=8m,nr_inodes=200", "0o100640")],
    ids=["bytes", "files"],
)
def test_a_command_writes_its_files_on_a_full_disk(
    tmp_path: Path, files: bool, options: str, large: str
) -> None:
    script = f"""
reserve.Reserve(root).look()
said.append(kept() == len(reserve.names()))
fill({files})
said += [write("a" * 10000), write("b" * 100000), write("c"), write("d" * 300000)]
said += [kept() - len(reserve.names()), sorted(os.listdir(root + "/router"))]
"""
    # What the first two leave takes the third. The last one has more bytes than any file of the reserve.
    small = "0o100640"
    assert carried_out(tmp_path, script, options) == [
        True, small, small, small, large, -2, ["routes.json"],
    ]  # fmt: skip


def test_without_a_reserve_or_in_the_watch_the_disk_is_full(tmp_path: Path) -> None:
    script = """
fill()
said.append(write("a" * 10000))
os.unlink(root + "/filler")
reserve.Reserve(root).look()
fill()
directory.leave_reserve()
said += [write("a" * 10000), kept() == len(reserve.names())]
"""
    assert carried_out(tmp_path, script) == ["full", "full", True]


def test_the_watch_fills_the_reserve_again_once_there_is_room_for_others_too(
    tmp_path: Path,
) -> None:
    script = """
watch = reserve.Reserve(root)
def look():
    watch._looked = -reserve.SECONDS
    watch.look()
    return kept() - len(reserve.names())
look()
fill()
said += [write("a" * 10000), look()]
os.truncate(root + "/filler", os.stat(root + "/filler").st_size - 2**19)
said += [look()]
os.unlink(root + "/filler")
said += [look()]
"""
    assert carried_out(tmp_path, script) == ["0o100640", -1, -1, 0]
