"""The tree of files that every test host starts from: a small Debian with systemd, made once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path("/var/cache/toolkit-tests")
# Another worker may be making the packages of a walk in the same directory meanwhile, under another lock.
MAKING = ".making-tree-"
# A host has no way out: what our roles would install lies here already, and what a person at a fresh host has.
PACKAGES = (
    "ca-certificates", "curl", "dbus", "haproxy", "iproute2", "libnuma1", "logrotate", "nftables", "openssh-server",
    "procps", "python3", "python3-venv", "sqlite3", "sudo", "systemd", "systemd-sysv",
)  # fmt: skip
# The administrator that the ops machine logs in as: an ordinary user who may become root.
LOGIN = "ops"
FINISH = f"""\
chroot "$1" useradd --create-home --shell /bin/bash {LOGIN}
echo '{LOGIN} ALL=(ALL) NOPASSWD: ALL' > "$1/etc/sudoers.d/{LOGIN}"
rm -f "$1"/etc/ssh/ssh_host_*
chroot "$1" systemctl disable haproxy.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
rm -rf "$1"/var/lib/apt/lists/* "$1"/usr/share/doc/*
"""
RECIPE = (
    "mmdebstrap", "--quiet", "--variant=minbase", "--format=directory", f"--include={','.join(PACKAGES)}",
    "--aptopt=Acquire::Languages none", "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/man/*",
    f"--customize-hook={FINISH}", "bookworm",
)  # fmt: skip


def base_tree() -> Path:
    """Return the tree, made now (half a minute to three, from the package mirror) where no earlier run has left it.

    Raises RuntimeError with mmdebstrap's words.
    """
    name = hashlib.sha256(json.dumps(RECIPE).encode()).hexdigest()[:16]
    final = CACHE / name
    if final.is_dir():
        return final
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not final.is_dir():
            _make(final)
    return final


def _make(final: Path) -> None:
    for litter in CACHE.glob(f"{MAKING}*"):
        shutil.rmtree(litter)
    # mmdebstrap asks for a directory that anybody may pass, which mkdtemp's are not.
    making = Path(tempfile.mkdtemp(prefix=MAKING, dir=CACHE))
    making.chmod(0o755)
    try:
        done = subprocess.run(
            [*RECIPE, str(making / "tree")],
            capture_output=True,
            text=True,
            timeout=900,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        if done.returncode:
            raise RuntimeError(f"mmdebstrap: {done.stderr.strip()[-2000:]}")
        (making / "tree").rename(final)
    finally:
        shutil.rmtree(making)


if __name__ == "__main__" and os.geteuid() == 0:
    base_tree()
