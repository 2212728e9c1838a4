"""What root runs on a host is what the toolkit put there: nothing that lies compiled beside it, under either init."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.adapters.host_lab import HostLab
from tests.system.waiting import until
from toolkit.adapters.hosts.client import silent

# For each module of the programs it writes what Python takes for that module, compiled: it leaves a file and ends.
_PLANT = """
import glob, importlib.util, marshal, os, struct, sys
root, mark = sys.argv[1:]
for place in glob.glob(root + "/bin/watch") + glob.glob(root + "/bin/hostside-*"):
    for path in glob.glob(place + "/*.py"):
        code = compile("import os; os.close(os.open(%r, os.O_CREAT, 0o600)); os._exit(9)" % mark, path, "exec")
        seen, kept = os.stat(path), importlib.util.cache_from_source(path)
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with open(kept, "wb") as file:
            head = struct.pack("<III", 0, int(seen.st_mtime), seen.st_size)
            file.write(importlib.util.MAGIC_NUMBER + head + marshal.dumps(code))
"""
_REMOVE = 'rm -rf "$1"/bin/watch/__pycache__ "$1"/bin/hostside-*/__pycache__'


@pytest.fixture(params=["supervisord", pytest.param("systemd", marks=pytest.mark.system)])
def lab(request: pytest.FixtureRequest) -> Iterator[HostLab]:
    name = "real_host" if request.param == "supervisord" else "systemd_host"
    found: HostLab = request.getfixturevalue(name)
    found.empty()
    yield found
    found.run("sh", "-c", _REMOVE, "sh", found.host.host.root)


def test_no_compiled_module_that_was_planted_is_run(lab: HostLab) -> None:
    root = lab.host.host.root
    # A place where the watch may write.
    mark = f"{root}/watch/planted-ran"
    lab.host.observe()
    lab.run("/usr/bin/python3", "-I", "-c", _PLANT, root, mark)

    def watches() -> set[str]:
        return {*lab.run("sh", "-c", f"pgrep -f '[w]atch-host {root} ' || true").split()}

    former = watches()
    assert former
    lab.run("kill", "-KILL", *former)
    until(watches, 60, lambda now: bool(now - former))
    program = lab.start("blue")
    assert lab.host.wait_ready(program, lab.ports["blue"], 120, silent).ok
    assert [each.healthy for each in lab.host.observe().slots] == [True]
    lab.stop("blue")
    assert lab.run("sh", "-c", f"ls {mark} 2>/dev/null || true") == ""
    assert watches()
