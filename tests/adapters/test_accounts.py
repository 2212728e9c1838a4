"""Tests with a host that is this machine leave none of its users and rules behind."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.accounts import accounts_of, remove_accounts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users and rules")

PREFIX = f"lab{os.getpid()}"
NAME = f"{PREFIX}-{os.getpid()}"
# No process has such a number.
KILLED = f"{PREFIX}-{2**22 + 1}"
OTHERS = f"{PREFIX}-1"


def run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def tables() -> list[str]:
    return run("/usr/sbin/nft", "list", "tables").split()


def table(name: str) -> str:
    return f"{name.replace('-', '_')}_tiny_blue"


@pytest.fixture(autouse=True)
def _left() -> Iterator[None]:
    """What a run that was killed has left, and what is another's that goes on."""
    for name in (KILLED, OTHERS):
        run("useradd", "--system", "--no-create-home", name)
        run("useradd", "--system", "--no-create-home", f"{name}-tiny-blue")
        run("groupadd", "--system", f"{name}-models")
        run("/usr/sbin/nft", "add", "table", "inet", table(name))
    yield
    remove_accounts(OTHERS)


def test_a_run_removes_users_and_rules_of_killed_runs_and_its_own_alone() -> None:
    with accounts_of(PREFIX) as name:
        assert name == NAME
        assert table(KILLED) not in tables()
        assert not [each for each in pwd.getpwall() if each.pw_name.startswith(KILLED)]
        assert f"{KILLED}-models" not in Path("/etc/group").read_text()
        run("useradd", "--system", "--no-create-home", f"{NAME}-tiny-blue")
        run("/usr/sbin/nft", "add", "table", "inet", table(NAME))
    assert table(NAME) not in tables()
    assert not [each for each in pwd.getpwall() if each.pw_name.startswith(NAME)]
    # The other run goes on.
    assert table(OTHERS) in tables()
    assert pwd.getpwnam(f"{OTHERS}-tiny-blue")


def test_a_run_that_fails_removes_them_too() -> None:
    with pytest.raises(ZeroDivisionError), accounts_of(PREFIX):
        run("/usr/sbin/nft", "add", "table", "inet", table(NAME))
        1 / 0  # noqa: B018
    assert table(NAME) not in tables()
