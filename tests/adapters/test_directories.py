"""The module that makes a role's directories: one that was in a service user's hands is cleared of links."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapters.own_modules import own_module

ME = (os.geteuid(), os.getegid())
NOBODY = 65534


@pytest.fixture(scope="module")
def directories() -> Any:
    return own_module("directories")


def test_a_directory_is_made_with_its_permissions_whatever_the_umask(
    directories: Any, tmp_path: Path
) -> None:
    former = os.umask(0o077)
    try:
        directories.converge(str(tmp_path / "above/new"), ME, 0o750)
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "above").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "above/new").stat().st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner's directory needs root")
def test_a_service_users_directory_loses_what_leads_elsewhere(
    directories: Any, tmp_path: Path
) -> None:
    outside, taken = tmp_path / "outside", tmp_path / "router"
    outside.mkdir()
    (outside / "secret").write_text("theirs\n")
    (outside / "secret").chmod(0o600)
    taken.mkdir()
    (taken / "keys.map").write_text("door open\n")
    (taken / "link").symlink_to(outside / "secret")
    (taken / "hard").hardlink_to(outside / "secret")
    (taken / "folder").mkdir()
    (taken / "folder" / "link").symlink_to(outside)
    os.mkfifo(taken / "pipe")
    for each in (taken, taken / "keys.map"):
        os.chown(each, NOBODY, NOBODY)
    (taken / "keys.map").chmod(0o4666)

    directories.converge(str(taken), (0, NOBODY), 0o750)

    assert [each.name for each in taken.iterdir()] == ["keys.map"]
    kept, secret = (taken / "keys.map").stat(), (outside / "secret").stat()
    assert (kept.st_uid, kept.st_gid, stat.S_IMODE(kept.st_mode)) == (0, NOBODY, 0o644)
    assert (secret.st_uid, stat.S_IMODE(secret.st_mode)) == (0, 0o600)
    assert (taken.stat().st_uid, stat.S_IMODE(taken.stat().st_mode)) == (0, 0o750)


def test_a_link_in_place_of_a_directory_is_refused(directories: Any, tmp_path: Path) -> None:
    (tmp_path / "router").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        directories.converge(str(tmp_path / "router"), ME, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner's directory needs root")
def test_a_replicas_home_keeps_what_it_has_under_another_owner(
    directories: Any, tmp_path: Path
) -> None:
    home = tmp_path / "tiny-blue"
    (home / "use").mkdir(parents=True)
    (home / "use" / "run.jsonl").write_text("{}\n")
    os.chown(home, NOBODY, NOBODY)
    directories.converge(str(home), (NOBODY - 1, NOBODY - 1), 0o700, take_over=False)
    assert (home / "use" / "run.jsonl").read_text() == "{}\n"
    assert (home.stat().st_uid, stat.S_IMODE(home.stat().st_mode)) == (NOBODY - 1, 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner's directory needs root")
def test_a_replicas_home_loses_what_it_cannot_write_to_but_its_records(
    directories: Any, tmp_path: Path
) -> None:
    """As `chown -R root:root` leaves it, with what the replica may have planted before."""
    outside, home = tmp_path / "outside", tmp_path / "tiny-blue"
    outside.mkdir()
    (outside / "theirs").write_text("theirs\n")
    for name in ("use", ".cache/vllm", "own"):
        (home / name).mkdir(parents=True)
    (home / "use/run.jsonl").write_text("{}\n")
    (home / ".cache/link").symlink_to(outside)
    (home / "link").symlink_to(outside)
    (home / "hard").hardlink_to(outside / "theirs")
    os.chown(home / "own", NOBODY, NOBODY)

    assert sorted(directories.of_others(str(home), NOBODY)) == [".cache", "hard", "link", "use"]
    directories.converge(str(home), (NOBODY, NOBODY), 0o700, take_over=False, own_entries=True)

    assert sorted(each.name for each in home.iterdir()) == ["own", "use"]
    assert {each.stat().st_uid for each in (home, home / "use", home / "own")} == {NOBODY}
    assert (home / "use/run.jsonl").read_text() == "{}\n"
    kept = (outside / "theirs").stat()
    assert (kept.st_uid, kept.st_nlink, outside.stat().st_uid) == (0, 1, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner's directory needs root")
def test_a_link_in_place_of_the_records_is_removed(directories: Any, tmp_path: Path) -> None:
    outside, home = tmp_path / "outside", tmp_path / "tiny-blue"
    outside.mkdir()
    home.mkdir()
    (home / "use").symlink_to(outside)
    directories.converge(str(home), (NOBODY, NOBODY), 0o700, take_over=False, own_entries=True)
    assert list(home.iterdir()) == []
    assert (outside.stat().st_uid, stat.S_IMODE(outside.stat().st_mode)) == (0, 0o755)


MADE = (
    "useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin"
    " --comment Self-hosted models"
)


@pytest.mark.parametrize(
    ("users", "groups", "own", "said"),
    [
        ({}, {"models": []}, [], [f"{MADE} --user-group toolkit"]),
        # A group without its user.
        ({}, {"toolkit": [], "models": []}, [], [f"{MADE} --gid toolkit toolkit"]),
        ({"toolkit": "/bin/sh"}, {"models": []}, [], ["usermod --shell /usr/sbin/nologin toolkit"]),
        ({"toolkit": "/usr/sbin/nologin"}, {}, [], ["groupadd --system models"]),
        ({"toolkit": "/usr/sbin/nologin"}, {"models": []}, [], []),
        # A user that shares a group.
        (
            {},
            {"models": []},
            ["shared"],
            ["groupadd --system shared", f"{MADE} --groups shared --user-group toolkit"],
        ),
        (
            {"toolkit": "/usr/sbin/nologin"},
            {"models": [], "shared": ["ann"]},
            ["shared"],
            ["usermod --append --groups shared toolkit"],
        ),
        (
            {"toolkit": "/usr/sbin/nologin"},
            {"models": []},
            ["shared"],
            ["groupadd --system shared", "usermod --append --groups shared toolkit"],
        ),
        (
            {"toolkit": "/usr/sbin/nologin"},
            {"models": [], "shared": ["toolkit"]},
            ["shared"],
            [],
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_accounts_are_made_where_they_are_absent_and_no_service_user_keeps_a_shell(
    directories: Any,
    monkeypatch: pytest.MonkeyPatch,
    users: dict[str, str],
    groups: dict[str, list[str]],
    own: list[str],
    said: list[str],
    check: bool,
) -> None:
    def user(name: str) -> Any:
        return SimpleNamespace(pw_shell=users[name])

    def group(name: str) -> Any:
        return SimpleNamespace(gr_mem=groups[name])

    monkeypatch.setattr(directories, "pwd", SimpleNamespace(getpwnam=user))
    monkeypatch.setattr(directories, "grp", SimpleNamespace(getgrnam=group))
    monkeypatch.setenv("PATH", "/usr/bin")
    ran: list[str] = []

    def run_command(words: list[str], check_rc: bool) -> None:
        assert check_rc
        ran.append(" ".join(words))
        if words[0] == "groupadd":
            monkeypatch.setitem(groups, words[-1], [])

    module = SimpleNamespace(check_mode=check, run_command=run_command)
    wanted = {"name": "toolkit", "comment": "Self-hosted models", "groups": own}
    assert len([*directories.accounts(module, wanted, ["models"])]) == len(said)
    assert ran == ([] if check else said)
