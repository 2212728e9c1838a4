"""The seals of the roles are sealed by the provisioning, so a changed or lost one is named too."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.hostside.router_lab import REPO
from tests.hostside.test_tampering import give, root

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import seals
import tampering

__all__ = ["root"]


def test_what_a_provisioning_notes_of_itself_is_compared(root: Path) -> None:
    note = root / "converged"
    note.write_text("digest\n")
    for each in tampering._MADE:
        (root / each).mkdir(exist_ok=True)
    (root / "snapshots").chmod(0o755)
    give(root / "sockets")
    seals.write(str(root), "base", {})
    seals.write(str(root), "provision", {str(note): [seals.digest(b"digest\n"), "0644"]})
    assert tampering.changed(str(root)) == []
    note.write_text("other\n")
    assert tampering.changed(str(root)) == ["converged was changed"]


def test_a_provisioned_host_that_has_lost_its_seals_is_named(root: Path) -> None:
    shutil.rmtree(root / "seals")
    assert tampering.changed(str(root)) == []
    (root / "converged").write_text("digest\n")
    found = tampering.changed(str(root))
    assert {"seals/base.json is gone", "seals/provision.json is gone"} <= set(found)
    # So is a directory that it has lost.
    assert "logs is gone" in found
    (root / "logs").mkdir()
    assert "logs is gone" not in tampering.changed(str(root))


@pytest.mark.parametrize("how", ["gone", "link", "directory", "pipe", "other", "open"])
@pytest.mark.parametrize("name", ["watch", "start", "base"])
def test_a_seal_is_sealed_by_the_provisioning(root: Path, name: str, how: str) -> None:
    for each in ("base", "start", "watch"):
        seals.write(str(root), each, {})
    provision = {
        str(root / f"seals/{each}.json"): [seals.digest(b"{}"), "0600"]
        for each in ("base", "start", "watch")
    }
    seals.write(str(root), "provision", provision)
    assert tampering.changed(str(root)) == []
    path, aside = root / f"seals/{name}.json", root / "aside"
    if how == "open":
        path.chmod(0o666)
    elif how == "other":
        path.write_text("{} ")
    else:
        path.rename(aside)
    if how == "link":
        path.symlink_to(aside)
    elif how == "directory":
        path.mkdir()
    elif how == "pipe":
        os.mkfifo(path)
    found = tampering.changed(str(root))
    assert found and all(each.startswith(f"seals/{name}.json ") for each in found)


@pytest.mark.skipif(os.geteuid() != 0, reason="a file of another user")
def test_a_seal_that_another_user_can_write_to_is_named(root: Path) -> None:
    seal = root / "seals/router.json"
    seal.chmod(0o666)
    assert tampering.changed(str(root)) == [
        "seals/router.json was changed: other users can write to it"
    ]
    seal.chmod(0o600)
    os.chown(seal, 12345, 0)
    words = "it belongs to user 12345 and not to root"
    assert tampering.changed(str(root)) == [f"seals/router.json was changed: {words}"]
