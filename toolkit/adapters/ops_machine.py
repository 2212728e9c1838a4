"""The abilities of this ops machine: its Ansible, its room for temporary files, and whether it may act as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib import metadata


def ansible_version() -> str:
    """Return the version of ansible-core, empty where it is not installed."""
    try:
        return metadata.version("ansible-core")
    except metadata.PackageNotFoundError:
        return ""


def free_for_temporary() -> int:
    """Return the free bytes where programs put their temporary files."""
    return shutil.disk_usage(tempfile.gettempdir()).free


def is_privileged() -> bool:
    """Whether this user is root, or becomes root without a password."""
    if os.geteuid() == 0:
        return True
    if shutil.which("sudo") is None:
        return False
    return subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
