"""What the hosts of a fleet keep in files: findings of guards, the sleep in their routes, bits of models."""

from __future__ import annotations

import json
from typing import Any

from tests.fleet.machine import Machine
from tests.system.stub_site import StubSite

# Whoever hides a change sets the times of the file back.
_FLIP = """
import os, sys
seen = os.stat(sys.argv[1])
with open(sys.argv[1], "r+b") as file:
    byte = file.read(1)[0]
    file.seek(0)
    file.write(bytes([byte ^ 1]))
os.utime(sys.argv[1], ns=(seen.st_atime_ns, seen.st_mtime_ns))
"""


def verdict_on(site: StubSite, host: str) -> Any:
    """Return the verdict that the guard of a host has kept for the next command; nothing before it has one."""
    kept = _guard_file(site, host, "tiny.found.json")
    return kept.get("verdict") if kept.get("settled") else None


def phase_on(site: StubSite, host: str) -> tuple[str, str]:
    """Return which version the guard of a host watches, and in which phase."""
    order = _guard_file(site, host, "tiny.json")
    return order.get("version", ""), order.get("phase", "")


def sleep_of_all(site: StubSite) -> str:
    """Return the id of the sleep that the routers of all hosts have in their own routes; empty where they differ."""
    texts = [each.run("cat", "/var/lib/toolkit/router/routes.json") for each in site.lab.machines]
    found = {json.loads(text)["routes"][0].get("sleep", {}).get("id", "") for text in texts}
    return "" if len(found) > 1 else found.pop()


def flip_a_bit(machine: Machine, path: str) -> None:
    """Change the first byte of a file on a host by one bit, and none of the file's times."""
    machine.run("/usr/bin/python3", "-c", _FLIP, path)


def _guard_file(site: StubSite, host: str, name: str) -> dict[str, Any]:
    """Return what a file of the host's guard says; nothing where there is none yet."""
    text = site.lab[host].run("cat", f"/var/lib/toolkit/guard/{name}", check=False)
    found: dict[str, Any] = json.loads(text or "{}")
    return found
