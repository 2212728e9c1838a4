"""Bring one tree to one host by rsync, over the shared SSH connection."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from typing import IO

from toolkit.adapters.distribution.delivery import Delivery, Need
from toolkit.adapters.distribution.port import Progress
from toolkit.adapters.hosts.become import as_root
from toolkit.adapters.hosts.client import SILENT_SECONDS
from toolkit.adapters.hosts.dialog import running
from toolkit.adapters.hosts.ssh import master_options
from toolkit.adapters.hosts.ssh_faults import host_error

_DONE = re.compile(rb"\s*(\d+)\s+\d+%")
# rsync would outlive a killed command, because it continues without a reader of its output.
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


def can_rsync(need: Need) -> bool:
    """Whether the host and this machine have rsync, and sudo there needs no password, which rsync could not give."""
    if need.host.become_password:
        return False
    here = [shutil.which(each) for each in ("rsync", _DIES_WITH_US[0])]
    return need.rsync and None not in here


def send_by_rsync(delivery: Delivery, need: Need, limit: int) -> None:
    """Send the files of `need` and make the host publish the tree; `limit` is in bytes a second, 0 for none.

    rsync keeps the right blocks of files that an interrupted run left. Raises HostError.
    """
    if need.pieces:
        delivery.drop_pieces(need.host)
    with running(_command(delivery, need, limit), delivery.clients.stop) as dialog:
        try:
            dialog.write(b"\0".join(file.path.encode() for file in need.files))
            dialog.close()
            for done in _progress(dialog.pipe):
                delivery.report(Progress(need.host.name, min(done, need.size), need.size))
        except BaseException:
            dialog.kill()
            raise
        words = dialog.words()
        if code := dialog.process.wait():
            raise host_error(need.host, words, code)
    # rsync may not report the last bytes.
    delivery.report(Progress(need.host.name, need.size, need.size))
    delivery.finish(need.host)


def _command(delivery: Delivery, need: Need, limit: int) -> list[str]:
    host = need.host
    return [
        *_DIES_WITH_US,
        "rsync",
        "--from0", "--files-from=-",
        # Dates prove nothing about a file whose digest is not checked yet.
        "--ignore-times", "--inplace", "--copy-links",
        "--info=progress2", "--no-human-readable", "--outbuf=L", "--no-inc-recursive",
        f"--timeout={SILENT_SECONDS:.0f}",
        *([f"--bwlimit={max(1, limit // 1024)}"] if limit else []),
        "--rsh", shlex.join(["ssh", *master_options(host, delivery.clients.scratch)]),
        "--rsync-path", as_root(host, ["rsync"]),
        f"{delivery.tree.source}/",
        f"{_bracketed(host.address)}:{need.incoming}/",
    ]  # fmt: skip


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _progress(output: IO[bytes]) -> Iterator[int]:
    """Yield the number of bytes sent, from progress lines that end with CR or LF."""
    line = b""
    while byte := output.read(1):
        if byte not in b"\r\n":
            line += byte
            continue
        if match := _DONE.match(line):
            yield int(match[1])
        line = b""
