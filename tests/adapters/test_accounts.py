"""Tests with a host that is this machine leave none of its users and rules behind."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from tests.adapters.accounts import accounts_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes users and rules")

NAME = f"lab-{os.getpid()}"
TABLE = f"lab_{os.getpid()}_tiny_blue"
OTHERS = f"lab_{os.getpid()}9"


def run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def tables() -> list[str]:
    return run("/usr/sbin/nft", "list", "tables").split()


@pytest.fixture(autouse=True)
def _left() -> object:
    """What a run that was killed has left, and what is another's."""
    run("useradd", "--system", "--no-create-home", NAME)
    run("useradd", "--system", "--no-create-home", f"{NAME}-tiny-blue")
    run("groupadd", "--system", f"{NAME}-models")
    for each in (TABLE, OTHERS):
        run("/usr/sbin/nft", "add", "table", "inet", each)
    yield
    run("/usr/sbin/nft", "delete", "table", "inet", OTHERS)


def test_the_last_run_removes_users_and_rules_of_all_runs() -> None:
    with accounts_of(NAME):
        with accounts_of(NAME):
            pass
        # The other run goes on.
        assert TABLE in tables()
        assert pwd.getpwnam(f"{NAME}-tiny-blue")
    assert TABLE not in tables()
    assert OTHERS in tables()
    assert not [each for each in pwd.getpwall() if each.pw_name.startswith(NAME)]
    assert NAME not in Path("/etc/group").read_text()
    assert not Path(f"/var/tmp/{NAME}.lock").exists()


def test_a_run_that_fails_removes_them_too() -> None:
    with pytest.raises(ZeroDivisionError), accounts_of(NAME):
        1 / 0  # noqa: B018
    assert TABLE not in tables()
