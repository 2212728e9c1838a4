"""The module that writes a role's files: only what differs, whole or not at all, and never through a link."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.adapters.own_modules import own_module

ME = (os.geteuid(), os.getegid())


@pytest.fixture(scope="module")
def text_files() -> Any:
    return own_module("text_files")


def module(*, check: bool = False, accepts: bool = True) -> Any:
    def fail_json(msg: str, **_: object) -> None:
        raise SystemExit(msg)

    return SimpleNamespace(
        params={"owner": None},
        check_mode=check,
        run_command=lambda command: (0 if accepts else 1, "", "line 1: no such word\n"),
        fail_json=fail_json,
    )


def wanted(
    path: Path,
    content: str = "new\n",
    mode: str = "0644",
    validate: str = "",
    *,
    keep: bool = False,
) -> Any:
    file = {"path": str(path), "content": content, "mode": mode, "validate": validate}
    return {**file, "keep": keep}


def test_a_file_is_written_with_its_directory_and_then_left_alone(
    text_files: Any, tmp_path: Path
) -> None:
    file = tmp_path / "sub" / "file"
    assert text_files.converge(module(), wanted(file, mode="0600"), ME)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new\n", 0o600)
    before = file.stat()
    assert not text_files.converge(module(), wanted(file, mode="0600"), ME)
    assert file.stat() == before
    assert text_files.converge(module(), wanted(file, mode="0644"), ME)
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in file.parent.iterdir()] == ["file"]


def test_a_directory_in_the_way_is_named(text_files: Any, tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(SystemExit, match="file is a directory, where a file belongs"):
        text_files.converge(module(), wanted(tmp_path / "file"), ME)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_to_be_kept_keeps_its_text_and_gets_its_mode(
    text_files: Any, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text("theirs\n")
    assert text_files.converge(module(), wanted(file, mode="0600", keep=True), ME)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("theirs\n", 0o600)
    assert not text_files.converge(module(), wanted(file, mode="0600", keep=True), ME)
    assert text_files.converge(module(), wanted(tmp_path / "absent", keep=True), ME)
    assert (tmp_path / "absent").read_text() == "new\n"


def test_a_file_is_left_alone_where_another_exists(text_files: Any, tmp_path: Path) -> None:
    file, other = tmp_path / "models.map", tmp_path / "routes.json"
    each = {**wanted(file), "unless": str(other)}
    assert text_files.converge(module(check=True), each, ME)
    other.write_text("{}")
    assert not text_files.converge(module(), each, ME)
    assert not file.exists()
    other.unlink()
    assert text_files.converge(module(), each, ME)
    assert file.read_text() == "new\n"


def test_what_is_not_accepted_changes_nothing_and_is_told(text_files: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old\n")
    with pytest.raises(SystemExit, match="file is not accepted: line 1: no such word"):
        text_files.converge(module(accepts=False), wanted(file, validate="check %s"), ME)
    assert file.read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("keep", [False, True])
def test_a_link_is_replaced_and_what_it_leads_to_stays(
    text_files: Any, tmp_path: Path, keep: bool
) -> None:
    secret, link = tmp_path / "secret", tmp_path / "link"
    secret.write_text("theirs\n")
    secret.chmod(0o600)
    link.symlink_to(secret)
    assert text_files.converge(module(), wanted(link, keep=keep), ME)
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("theirs\n", 0o600)
    assert (link.is_symlink(), link.read_text()) == (False, "new\n")


def test_check_mode_says_so_and_writes_nothing_even_for_a_user_who_is_not_there_yet(
    text_files: Any, tmp_path: Path
) -> None:
    dry = module(check=True)
    dry.params["owner"] = "nobody-of-this-name"
    assert text_files.ids(dry) is None
    assert text_files.converge(dry, wanted(tmp_path / "file"), None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SystemExit, match="there is no user nobody-of-this-name"):
        text_files.ids(SimpleNamespace(**{**vars(dry), "check_mode": False}))


def test_the_digests_of_what_was_written_are_kept_for_root_alone(
    text_files: Any, tmp_path: Path
) -> None:
    file, seal = wanted(tmp_path / "file"), tmp_path / "seals/base.json"
    certificate = str(tmp_path / "tls.pem")
    theirs = wanted(tmp_path / "keys", keep=True)
    sealing = text_files.sealing(str(seal), [theirs, file], {certificate: "0" * 64})
    assert text_files.converge(module(), sealing, ME)
    assert not text_files.converge(module(), sealing, ME)
    digest = hashlib.sha256(b"new\n").hexdigest()
    assert json.loads(seal.read_text()) == {
        str(tmp_path / "file"): [digest, "0644"],
        # As it is before its first change, which has a seal of its own.
        str(tmp_path / "keys"): [digest, "0644"],
        certificate: ["0" * 64],
    }
    assert seal.stat().st_mode & 0o777 == 0o600


def test_further_files_are_sealed_as_they_are(text_files: Any, tmp_path: Path) -> None:
    there = tmp_path / "watch.json"
    there.write_text("{}")
    there.chmod(0o600)
    (tmp_path / "link").symlink_to(there)
    further = [str(there), str(tmp_path / "absent"), str(tmp_path / "link")]
    sealing = text_files.sealing(str(tmp_path / "seal"), [], {}, further)
    digest = hashlib.sha256(b"{}").hexdigest()
    assert json.loads(sealing["content"]) == {str(there): [digest, "0600"]}


UNIT_FILE = "/etc/systemd/system/some.service"


@pytest.mark.parametrize(
    ("state", "restart", "changed", "done", "told"),
    [
        # nothing to do
        ("active enabled", False, [], [], ""),
        ("activating enabled", False, ["/other"], [], ""),
        ("active static", False, [], [], ""),
        # the first start, for which systemd reads its files once
        (
            "inactive disabled",
            False,
            [UNIT_FILE],
            ["enable", "start"],
            "enable --no-reload some.service, daemon-reload, start some.service",
        ),
        ("failed enabled", False, [], ["start"], "start some.service"),
        ("inactive ", False, [], ["enable", "start"], "enable some.service, start some.service"),
        # a change takes effect at a restart, where that is asked for
        ("active enabled", False, [UNIT_FILE], [], "daemon-reload"),
        ("active enabled", False, ["/run"], ["restart"], "restart some.service"),
        (
            "failed disabled",
            True,
            [],
            ["enable", "restart"],
            "enable some.service, restart some.service",
        ),
        (
            "active disabled",
            True,
            [UNIT_FILE],
            ["enable", "restart"],
            "enable --no-reload some.service, daemon-reload, restart some.service",
        ),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_the_unit_of_the_files_is_brought_to_run(
    text_files: Any,
    state: str,
    restart: bool,
    changed: list[str],
    done: list[str],
    told: str,
    check: bool,
) -> None:
    active, _, enabled = state.partition(" ")
    said: list[str] = []

    def run_command(words: list[str]) -> tuple[int, str, str]:
        if words[1] == "show":
            return 0, f"ActiveState={active}\nUnitFileState={enabled}\n", ""
        said.append(" ".join(words[1:]))
        return 0, "", ""

    asked = SimpleNamespace(check_mode=check, run_command=run_command)
    unit = {"name": "some.service", "restart": restart, "restart_for": ["/run"]}
    if check:
        # What a unit would do that is not written yet, nobody can ask.
        assert text_files.run_unit(asked, unit, changed) == ([] if UNIT_FILE in changed else done)
        assert said == []
    else:
        assert text_files.run_unit(asked, unit, changed) == done
        assert ", ".join(said) == told


def test_a_unit_that_does_not_start_is_told_in_systemds_words(text_files: Any) -> None:
    def run_command(words: list[str]) -> tuple[int, str, str]:
        return (1, "", "Job failed.\n") if words[1] == "start" else (0, "ActiveState=failed", "")

    def fail_json(msg: str, **_: object) -> None:
        raise SystemExit(msg)

    asked = SimpleNamespace(check_mode=False, run_command=run_command, fail_json=fail_json)
    unit = {"name": "some.service", "restart": False, "restart_for": []}
    with pytest.raises(SystemExit, match=r"systemctl start some.service: Job failed\."):
        text_files.run_unit(asked, unit, [])
