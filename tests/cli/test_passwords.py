"""Passwords that a person types: asked on the terminal, shown nowhere, and refused where there is no terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

PASSWORD = "of-the-vault-7f3a"
TOOLKIT = [sys.executable, "-m", "toolkit.cli.main"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(short_path: Path) -> Path:
    """Return a directory with an inventory whose host's directory is in a vault."""
    (short_path / "password").write_text(PASSWORD)
    root = short_path / "root"
    words = ["encrypt_string", "--vault-password-file", "password", "--name", "toolkit_root"]
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "vault", *words, str(root)],
        cwd=short_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    (short_path / "group_vars").mkdir()
    (short_path / "group_vars" / "all.yml").write_text(done.stdout)
    (short_path / "password").unlink()
    (short_path / "fleet.yaml").write_text("all: {hosts: {box: {ansible_connection: local}}}")
    return short_path


def environment(place: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TOOLKIT_HOME": str(place / "home"),
        "TOOLKIT_FLEET": str(place / "fleet.yaml"),
    }


def typed(place: Path, password: str) -> tuple[int, str]:
    """Type the password where the command asks; return how it ended and all that the terminal shows."""
    with pexpect.spawn(
        TOOLKIT[0],
        [*TOOLKIT[1:], "hosts", "--ask-vault-pass"],
        env=environment(place),
        cwd=str(place),
        timeout=60,
        encoding="utf-8",
    ) as child:
        child.expect_exact("Vault password: ")
        child.sendline(password)
        child.expect(pexpect.EOF)
        shown = child.before
    return child.exitstatus, str(shown)


def test_a_vaults_password_is_asked_for_and_not_shown(place: Path) -> None:
    code, shown = typed(place, PASSWORD)
    assert code == 0 and "box" in shown, shown
    assert PASSWORD not in shown
    kept = [path for path in place.rglob("*") if path.is_file()]
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def test_a_wrong_password_is_told_with_what_to_do(place: Path) -> None:
    code, shown = typed(place, "wrong")
    assert code == 2
    assert "Ansible cannot" in shown and "ANSIBLE_VAULT_PASSWORD_FILE" in shown


@pytest.mark.parametrize(
    ("option", "file"),
    [
        ("--ask-vault-pass", "ANSIBLE_VAULT_PASSWORD_FILE"),
        ("--ask-become-pass", "ANSIBLE_BECOME_PASSWORD_FILE"),
    ],
)
def test_without_a_terminal_the_file_of_the_password_is_named(
    place: Path, option: str, file: str
) -> None:
    if "become" in option:
        (place / "group_vars" / "all.yml").unlink()
    done = subprocess.run(
        [*TOOLKIT, "hosts", option],
        cwd=place,
        env=environment(place),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        start_new_session=True,
    )
    assert done.returncode == 2
    assert "there is no terminal to ask for a password" in done.stderr
    assert f"name a file with it: {file}" in done.stderr
