"""The deployment lock on a disk that takes nothing more: the command that makes room must get it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO

# In a file system of its own that is full after the first command: `prune` is the next one.
SCRIPT = """
import io, json, os, sys
sys.path.insert(0, sys.argv[1])
import deployment_lock
root = sys.argv[2]

def hold(token):
    reading, writing = os.pipe()
    os.close(writing)
    seen = []
    def report(event):
        seen.append(deployment_lock.read(root)["owner"]["token"])
    with open(reading, "rb") as stream:
        request = {"root": root, "owner": {"token": token}, "silence": 5}
        return deployment_lock.keep(request, report, stream)["held"], seen

said = [hold("first")]
with open(root + "/filler", "wb", buffering=0) as filler:
    try:
        while filler.write(b"x" * 4096):
            pass
    except OSError:
        pass
said += [hold("second"), hold("third"), deployment_lock.read(root)]
print(json.dumps(said))
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can mount"
)
def test_the_lock_is_there_for_a_command_that_makes_room(tmp_path: Path) -> None:
    mounted = 'mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" -I -c "$3" "$4" "$1"'
    here = [str(tmp_path), sys.executable, SCRIPT, str(REPO / "toolkit/hostside")]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, "sh", *here],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == (
        '[[true, ["first"]], [true, ["second"]], [true, ["third"]], {"held": false, "owner": null}]'
    ), done.stderr
