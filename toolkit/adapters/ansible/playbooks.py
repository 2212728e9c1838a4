"""The playbooks of the toolkit."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from toolkit.adapters.ansible.certificate import provisioned_settings
from toolkit.adapters.hosts.ssh import HOSTSIDE
from toolkit.domain.accelerator import DRIVERS
from toolkit.domain.hosts.fleet import Host

_PACKAGE = Path(__file__).parents[2]


def playbook_directory() -> Path:
    """Return the directory of the playbooks: inside the installed package, or beside it in a checkout."""
    shipped = _PACKAGE / "_shipped" / "playbooks"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "playbooks"


def provision_digest(host: Host) -> str:
    """Return the sha256 hex over all that decides what a provisioned host looks like.

    That is the playbook, its roles and modules, and the host's own settings. It is written to the host as
    the last task of provisioning, so that a later run knows in milliseconds that there is nothing to converge.
    Raises InputError where the host's certificate cannot serve.
    """
    settings = json.dumps(provisioned_settings(host), sort_keys=True)
    return hashlib.sha256((_roles_digest() + settings).encode()).hexdigest()


@functools.cache
def _roles_digest() -> str:
    top = playbook_directory()
    summary = hashlib.sha256()
    parts = [top / "provision.yml", top / "library", *(top / "roles" / name for name in _ROLES)]
    for part in parts:
        for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if file.is_file() and "__pycache__" not in file.parts:
                summary.update(f"{file.relative_to(top)}\0".encode() + file.read_bytes())
    for file in sorted(HOSTSIDE.glob("*.py")):  # the watch runs from a copy of them
        summary.update(f"{file.name}\0".encode() + file.read_bytes())
    return summary.hexdigest()


_ROLES = (
    "packages",
    "host_base",
    "settings",
    *(driver.role for driver in DRIVERS),
    "exporters",
    "router",
    "watch",
    "firewall",
)
