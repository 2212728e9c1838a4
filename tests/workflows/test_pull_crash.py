"""SIGKILL at every single change a pull makes to the disk; the next pull puts all right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = '''
"""Forks a pull again and again; the n-th one kills itself before its n-th change of the store."""
import os, shutil, signal, sys
from pathlib import Path
from toolkit.adapters.fakes.hub import FakeHub
from toolkit.adapters.store.store import Store
from toolkit.adapters.store.hashing import digest_file
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.registry.model import (HubSource, Openness, Policy, Resources, Version)
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.domain.files.snapshot import Snapshot
from toolkit.workflows.files.pull import pull
from tests.silent import Silent

place = Path(sys.argv[1])
FILES = {"config.json": b"{}", "sub/en.json": b"[]", "w.safetensors": bytes(range(256)) * 9000}
CHANGES = {"open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "os.chmod",
           "os.truncate", "shutil.rmtree"}
hub = FakeHub()
revision = hub.publish("acme/tiny", FILES)
for path, content in FILES.items():
    (place / "origin" / path).parent.mkdir(parents=True, exist_ok=True)
    (place / "origin" / path).write_bytes(content)
files = tuple(digest_file(place / "origin" / path, path) for path in sorted(FILES))
snapshot = Snapshot("acme/tiny", revision, files)
version = Version("tiny", "1", HubSource("acme/tiny"), revision, "mit", Openness.FULLY_OPEN,
                  EngineSpec("vllm", "0.32.0"), Resources((Accelerator.CPU,), 1))
store = Store(place / "store")

def run(kill_at):
    """Pull in a child; returns whether it got to its end."""
    child = os.fork()
    if child == 0:
        left = kill_at
        def watch(event, arguments):
            nonlocal left
            if event in CHANGES and str(store.root) in str(arguments[0]):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        if kill_at:
            sys.addaudithook(watch)
        pull(version, snapshot, store, lambda: hub, Policy(allowed=("mit",)), Silent(), workers=1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL, status
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0

def litter():
    places = (store.partial, store.staging, store.quarantined)
    return [p for place in places if place.exists() for p in place.iterdir()]

kills = 0
while True:
    finished = run(kills + 1)
    # Whatever is called usable, is.
    if store.has(snapshot):
        assert store.verify(snapshot) == (), (kills, "usable but wrong")
    if finished:
        break
    kills += 1
    assert run(0), (kills, "the next pull failed")
    assert store.verify(snapshot) == (), kills
    # The first pull after a crash may sweep before it commits; the one after that sweeps the rest.
    store.sweep()
    assert litter() == [], (kills, litter())
    assert len(list(store.blobs.iterdir())) == 3, kills
    shutil.rmtree(store.root)
print(kills)
'''


def test_a_pull_killed_at_any_change_is_made_good_by_the_next(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Fewer would mean that the changes were not seen.
    assert int(done.stdout) > 30
