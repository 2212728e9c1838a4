"""Users and rules of packets of a host that is this very machine: they outlive its directory, and a test that fails."""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NFT = "/usr/sbin/nft"


@contextmanager
def accounts_of(prefix: str) -> Iterator[str]:
    """Yield a user's name for a host of this run, PREFIX-PID; remove, at the end, what it has brought to this machine.

    Users and tables of packets are the machine's, so two runs with one name would end each other's replicas. What runs
    that were killed have left is removed first.
    """
    for left in _runs(prefix):
        if not Path(f"/proc/{left}").exists():
            remove_accounts(f"{prefix}-{left}")
    name = f"{prefix}-{os.getpid()}"
    try:
        yield name
    finally:
        remove_accounts(name)


def _runs(prefix: str) -> set[str]:
    """Return the processes whose runs have users, groups or tables of packets with names of the prefix."""
    named = [each.pw_name for each in pwd.getpwall()] + [each.gr_name for each in grp.getgrall()]
    named += [each.replace("_", "-") for each in _tables()]
    runs = re.compile(rf"{re.escape(prefix)}-([0-9]+)(?:-|\Z)")
    return {found[1] for each in named if (found := runs.match(each))}


def remove_accounts(name: str) -> None:
    """Remove the tables of packets, users and groups of a host's user `name`; users with processes stay."""
    table = name.replace("-", "_")
    for each in _tables():
        if each == table or each.startswith(f"{table}_"):
            _said(_NFT, "delete", "table", "inet", each)
    for each in (each.pw_name for each in pwd.getpwall()):
        if _is_of(each, name):
            _said("userdel", each)
    for each in (each.gr_name for each in grp.getgrall()):
        if _is_of(each, name):
            _said("groupdel", each)


def _tables() -> list[str]:
    listed = _said(_NFT, "list", "tables").splitlines()
    return [line.removeprefix("table inet ") for line in listed if line.startswith("table inet ")]


def _is_of(account: str, name: str) -> bool:
    return account == name or account.startswith(f"{name}-")


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
