"""Users and rules of packets of a host that is this very machine: they outlive its directory, and a test that fails."""

from __future__ import annotations

import fcntl
import grp
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NFT = "/usr/sbin/nft"


@contextmanager
def accounts_of(name: str) -> Iterator[None]:
    """Remove, at the end, what the user `name` of a host has brought to this machine, by killed runs as well.

    Another run of tests may have a host with the same user: then the last of them removes it.
    """
    lock = Path(f"/var/tmp/{name}.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        try:
            yield
        finally:
            if _is_last(file.fileno()):
                remove_accounts(name)
                lock.unlink(missing_ok=True)


def remove_accounts(name: str) -> None:
    """Remove the tables of packets, users and groups of a host's user `name`; users with processes stay."""
    table = name.replace("-", "_")
    listed = _said(_NFT, "list", "tables").splitlines()
    tables = [line.removeprefix("table inet ") for line in listed if line.startswith("table inet ")]
    for each in tables:
        if each == table or each.startswith(f"{table}_"):
            _said(_NFT, "delete", "table", "inet", each)
    for each in (each.pw_name for each in pwd.getpwall()):
        if _is_of(each, name):
            _said("userdel", each)
    for each in (each.gr_name for each in grp.getgrall()):
        if _is_of(each, name):
            _said("groupdel", each)


def _is_last(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_of(account: str, name: str) -> bool:
    return account == name or account.startswith(f"{name}-")


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
