"""The files of the router and of the host's side are known by digests that root keeps."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.hostside.router_lab import REPO
from toolkit.adapters.hosts.ssh import HOSTSIDE, hostside_path
from toolkit.domain.hosts.fleet import Host

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import directory
import router_files
import router_releases
import seals
import tampering
import tree_check
import use_quotas

FILES = {"backends.cfg": "one\n", "models.map": "two\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "router").mkdir()
    router_files.write(str(tmp_path / "router"), FILES, list(FILES))
    return tmp_path


def test_what_was_written_is_unchanged_until_somebody_changes_it(root: Path) -> None:
    assert tampering.changed(str(root)) == []
    (root / "router/backends.cfg").write_text("three\n")
    (root / "router/models.map").unlink()
    assert tampering.changed(str(root)) == [
        "router/backends.cfg was changed",
        "router/models.map is gone",
    ]
    router_files.write(str(root / "router"), FILES, list(FILES))
    assert tampering.changed(str(root)) == []


def test_a_change_that_is_killed_between_two_files_leaves_none_that_looks_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: object, name: str, text: str, mode: int = 0) -> None:
        if name == "models.map":
            raise KeyboardInterrupt
        (root / "router" / name).write_text(text)

    monkeypatch.setattr(router_files.Directory, "write", killed)
    monkeypatch.setattr(seals, "write", _write)
    new = dict.fromkeys(FILES, "new\n")
    with pytest.raises(KeyboardInterrupt):
        router_files.write(str(root / "router"), new, list(new))
    monkeypatch.undo()
    assert (root / "router/backends.cfg").read_text() == "new\n"
    assert tampering.changed(str(root)) == []


def test_a_file_of_the_base_is_compared_with_what_the_role_wrote(root: Path) -> None:
    text = "-- lua\n"
    (root / "router/model.lua").write_text(text)
    unit = root.parent / "unit"
    unit.write_text("[Unit]\n")
    seals.write(str(root), "base", {f"{root}/router/model.lua": [seals.digest(text.encode())]})
    seals.write(str(root), "start", {str(unit): [seals.digest(b"[Unit]\n")]})
    assert tampering.changed(str(root)) == []
    (root / "router/model.lua").write_text("os.execute()\n")
    unit.unlink()
    assert tampering.changed(str(root)) == ["router/model.lua was changed", f"{unit} is gone"]


def test_rules_of_the_firewall_are_compared_too(root: Path) -> None:
    rules = root.parent / "toolkit.nft"
    rules.write_text("table inet toolkit {}\n")
    seals.write(str(root), "firewall", {str(rules): [seals.digest(rules.read_bytes())]})
    assert tampering.changed(str(root)) == []
    rules.write_text("")
    assert tampering.changed(str(root)) == [f"{rules} was changed"]


def test_every_seal_of_a_role_is_compared() -> None:
    written = {
        name
        for file in (REPO / "playbooks/roles").rglob("*.yml")
        for name in re.findall(r"seal: .*/seals/([a-z-]+)\.json", file.read_text())
    }
    assert {"base", "watch"} <= written
    assert written <= set(tampering.SMALL)
    # Those of roles are themselves in the seal of the provisioning.
    (task,) = yaml.safe_load((REPO / "playbooks/provision.yml").read_text())[-1]["post_tasks"]
    # As Ansible reads it, which leaves the backslashes of a text as they are.
    from ansible.parsing.dataloader import DataLoader
    from ansible.template import Templar, trust_as_template

    template = trust_as_template(task["text_files"]["sealed_as_they_are"])
    listed = Templar(DataLoader(), variables={"toolkit_root": "/r"}).template(template)
    others = set(tampering.SMALL) - {"router", "provision"}
    assert set(listed) == {f"/r/seals/{each}.json" for each in others}


def test_what_no_role_seals_of_the_router_is_sealed_by_the_changes_that_write_it() -> None:
    tasks = yaml.safe_load((REPO / "playbooks/roles/router/tasks/configure.yml").read_text())
    (files,) = (task["vars"] for task in tasks if "__router_base" in task.get("vars", {}))
    names = {Path(each["path"]).name for each in files["__router_routes"]}
    assert names == {
        *router_files.FILES, "keys.map", use_quotas.MAP, router_releases.MAP,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o666, "has permissions 0666, not 0644"),
        (0o600, "has permissions 0600, not 0644"),
        (0o4644, "has permissions 4644, not 0644"),
    ],
)
def test_permissions_are_compared_with_those_that_were_given(
    root: Path, mode: int, words: str
) -> None:
    (root / "router/backends.cfg").chmod(mode)
    assert tampering.changed(str(root)) == [f"router/backends.cfg was changed: it {words}"]
    router_files.write(str(root / "router"), FILES, list(FILES))
    assert tampering.changed(str(root)) == []


def test_a_change_of_routes_writes_a_file_with_other_permissions_anew(root: Path) -> None:
    assert not router_files.differs(str(root / "router"), "models.map", "two\n")
    (root / "router/models.map").chmod(0o666)
    assert router_files.differs(str(root / "router"), "models.map", "two\n")
    (root / "router/aliases.map").write_text("")
    assert router_files.differs(str(root / "router"), "aliases.map", "")


def test_an_owner_other_than_root_is_named(root: Path) -> None:
    os.chown(root / "router/models.map", 12345, 0)
    assert tampering.changed(str(root)) == [
        "router/models.map was changed: it belongs to user 12345 and not to root"
    ]


def test_of_a_seal_without_permissions_only_writers_and_owner_are_compared(root: Path) -> None:
    path = root / "router/model.lua"
    path.write_text("-- lua\n")
    seals.write(str(root), "base", {str(path): [seals.digest(b"-- lua\n")]})
    path.chmod(0o640)
    assert tampering.changed(str(root)) == []
    path.chmod(0o646)
    assert tampering.changed(str(root)) == [
        "router/model.lua was changed: other users can write to it"
    ]


def test_a_changed_program_of_the_hosts_side_is_named(root: Path) -> None:
    place = Path(hostside_path(Host("a", connection="ssh", address="b", root=str(root))))
    place.mkdir(parents=True)
    for each in HOSTSIDE.glob("*.py"):
        shutil.copy(each, place)
    assert tampering.changed(str(root)) == []
    (place / "observe.py").chmod(0o666)
    assert tampering.changed(str(root)) == [f"bin/{place.name} was changed"]
    (place / "observe.py").chmod(0o644)
    (place / "observe.py").write_text("")
    assert tampering.changed(str(root)) == [f"bin/{place.name} was changed"]


@pytest.mark.parametrize("text", ["", "[]", "{", "\0"])
def test_a_damaged_seal_counts_as_none_and_is_named(root: Path, text: str) -> None:
    (root / "seals/router.json").write_text(text)
    assert tampering.changed(str(root)) == ["seals/router.json cannot be read"]
    # The next change of the router seals what it writes.
    router_files.write(str(root / "router"), FILES, list(FILES))
    assert tampering.changed(str(root)) == []


def test_a_directory_that_replicas_cannot_enter_any_more_is_named(root: Path) -> None:
    give(root / "snapshots", owner=0)
    for name, mode in (("engines", 0o755), ("slots", 0o711)):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)
    assert tampering.changed(str(root)) == ["slots was changed: replicas cannot read it"]
    (root / "slots").chmod(0o755)
    (root / "engines").chmod(0o777)
    assert tampering.changed(str(root)) == ["engines was changed: other users can write to it"]
    (root / "engines").chmod(0o755)
    for mode, words in ((0o750, []), (0o700, ["snapshots was changed: replicas cannot read it"])):
        (root / "snapshots").chmod(mode)
        assert tampering.changed(str(root)) == words


def test_seals_are_roots(root: Path) -> None:
    found = (root / "seals").stat()
    assert (found.st_uid, found.st_mode & 0o022) == (os.geteuid(), 0)


def give(directory: Path, owner: int = 12345) -> None:
    """Make a directory, if there is none, and give it to a service's group and, as root, to `owner`."""
    directory.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(directory, owner, 12345)


def _write(root: str, name: str, seal: object) -> None:
    Path(root, "seals", f"{name}.json").write_text(json.dumps(seal))


def test_a_map_that_no_change_has_written_yet_is_as_its_role_wrote_it(root: Path) -> None:
    keys = root / "router/keys.map"
    keys.write_text("door open\n")
    keys.chmod(0o640)
    seals.write(str(root), "base", {str(keys): [seals.digest(b"door open\n"), "0640"]})
    assert tampering.changed(str(root)) == []
    keys.write_text("somebody 0 0\n")
    assert tampering.changed(str(root)) == ["router/keys.map was changed"]
    # From its first change on, that is what counts, also where it is killed before it has written.
    keys.write_text("door open\n")
    seals.seal_texts(str(root), {"keys.map": "new\n"}, 0o640, also_former=True)
    assert tampering.changed(str(root)) == []
    keys.write_text("new\n")
    seals.seal_texts(str(root), {"keys.map": "new\n"}, 0o640, also_former=False)
    assert tampering.changed(str(root)) == []
    keys.write_text("door open\n")
    assert tampering.changed(str(root)) == ["router/keys.map was changed"]


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [
        ("seals", 0o777, "other users can write to it"),
        ("router", 0o777, "other users can write to it"),
        ("router", 0o700, "the router cannot read it"),
        ("watch", 0o775, "other users can write to it"),
        ("bin/watch", 0o777, "other users can write to it"),
        # Of its own user.
        ("sockets", 0o777, ""),
        ("caches/tiny-blue", 0o700, ""),
    ],
)
def test_directories_in_which_another_user_can_put_files_of_roots_are_named(
    root: Path, name: str, mode: int, words: str
) -> None:
    for each in (
        "watch",
        "bin/watch",
        "sockets",
        "caches/tiny-blue",
    ):
        (root / each).mkdir(parents=True, exist_ok=True)
    give(root / "sockets")
    assert tampering.changed(str(root)) == []
    (root / name).chmod(mode)
    assert tampering.changed(str(root)) == ([f"{name} was changed: {words}"] if words else [])


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other groups")
def test_what_the_router_may_read_belongs_to_its_group(root: Path) -> None:
    router, sockets, keys = root / "router", root / "sockets", root / "router/keys.map"
    for each in (sockets, root / "snapshots"):
        each.mkdir()
    os.chown(sockets, 12345, 12345)
    os.chown(router, 0, 12345)
    router_files.write(str(router), {keys.name: "k\n"}, [keys.name], router_files.PRIVATE)
    for each in (router, root / "snapshots"):
        each.chmod(0o750)
    os.chown(root / "snapshots", 0, 54321)
    assert tampering.changed(str(root)) == []
    os.chown(keys, 0, 100)
    words = "it belongs to group 100 and not to 12345"
    assert tampering.changed(str(root)) == [f"router/keys.map was changed: {words}"]
    # The next change writes it anew, like one with other permissions.
    assert router_files.differs(str(router), keys.name, "k\n")
    os.chown(keys, 0, 12345)
    assert not router_files.differs(str(router), keys.name, "k\n")
    os.chown(router, 0, 100)
    assert tampering.changed(str(root)) == ["router was changed: the router cannot read it"]
    # As `chown -R root:root` leaves them.
    for each in (router, keys, root / "snapshots", sockets):
        os.chown(each, 0, 0)
    assert tampering.changed(str(root)) == [
        "router was changed: the router cannot read it",
        "snapshots was changed: replicas cannot read it",
        "sockets was changed: the router cannot write to it",
    ]


def test_a_snapshot_that_changed_since_it_was_hashed_is_named_without_reading_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = tree_check.digest_of({"w": {"sha256": seals.digest(b"weights")}})
    file = root / f"snapshots/{digest}/w"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    request = {"root": str(root), "digest": digest}
    assert tampering.changed_snapshots(str(root)) == []
    tree_check.check(request, lambda _: None)
    assert tampering.changed_snapshots(str(root)) == []
    # A further name, as one in the store of this machine, changes nothing.
    os.link(file, root / "name")
    assert tampering.changed_snapshots(str(root)) == []
    file.write_bytes(b"Weights")
    with monkeypatch.context() as patched:
        patched.setattr(seals, "summary", lambda _: pytest.fail("it was read"))
        patched.setattr(seals, "read_small", lambda _: pytest.fail("it was read"))
        words = f"snapshots/{digest[:12]}/w is not as it was when it was hashed last"
        assert tampering.changed_snapshots(str(root)) == [words]
    # It stays named once it was hashed again.
    assert tree_check.check(request, lambda _: None)["faults"]
    words = f"snapshots/{digest[:12]} was changed: its files are not those that were pinned"
    assert tampering.changed_snapshots(str(root)) == [words]
    file.write_bytes(b"weights")
    tree_check.check(request, lambda _: None)
    assert tampering.changed_snapshots(str(root)) == []


def test_a_file_that_its_disk_does_not_give_back_was_not_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = seals.open_plain

    def opened(path: str) -> int:
        if path.endswith("backends.cfg"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return int(whole(path))

    monkeypatch.setattr(seals, "open_plain", opened)
    words = "cannot be read: its disk does not give it back"
    assert tampering.changed(str(root)) == [f"router/backends.cfg {words}"]


@pytest.mark.parametrize(
    ("fault", "error"),
    [(errno.EROFS, OSError), (errno.ENOSPC, OSError), (errno.ELOOP, directory.NotSafe)],
)
def test_a_lock_on_a_failed_disk_is_not_taken_for_a_planted_one(
    root: Path, monkeypatch: pytest.MonkeyPatch, fault: int, error: type[Exception]
) -> None:
    whole = os.open

    def opened(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == ".lock":
            raise OSError(fault, os.strerror(fault))
        return whole(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    with (
        directory.Directory(str(root / "router")) as held,
        pytest.raises(error, match=r"Read-only|No space|provision"),
        held.locked(".lock", 1.0),
    ):
        raise AssertionError


def test_a_router_that_has_lost_the_socket_for_large_bodies_is_named(root: Path) -> None:
    words = "sockets/named.sock is gone: the router fails requests with large bodies"
    (root / "converged").write_text("digest\n")
    (root / "sockets").mkdir()
    # A router that was never started has none.
    assert words not in tampering.changed(str(root))
    (root / "control").mkdir(mode=0o700)
    (root / "control/master.sock").touch()
    assert words in tampering.changed(str(root))
    (root / "sockets/named.sock").touch()
    assert words not in tampering.changed(str(root))
