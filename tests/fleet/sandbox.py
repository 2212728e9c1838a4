"""What a process beside the one that serves, in the very same sandbox, can reach."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.fleet.machine import Machine

PROBE = Path(__file__).with_name("probe.py")
# A sandbox sees neither the host's /run nor its /var.
ON_HOST = "/opt/toolkit-probe.py"


def reached_from_outside(machine: Machine, words: Sequence[str]) -> dict[str, str]:
    """Return what `probe.py` finds as root on the host, in no sandbox at all."""
    out = "/run/toolkit-probe.json"
    _put(machine, ON_HOST, PROBE.read_text())
    machine.run("/usr/bin/python3", "-I", ON_HOST, out, *words)
    return _take(machine, out)


def reached_inside(
    machine: Machine, unit: str, writable: str, words: Sequence[str]
) -> dict[str, str]:
    """Return what `probe.py` finds in the sandbox of a running unit.

    systemd itself runs it, as the unit's way to reload: as the unit's user, in its cgroup, behind the same filters,
    rights and mounts as its main process, which goes on. `writable` is a directory that the unit may write to.
    """
    out, drop_in = f"{writable}/probe.json", f"/run/systemd/system/{unit}.d"
    _put(machine, ON_HOST, PROBE.read_text())
    command = " ".join(["/usr/bin/python3", "-I", ON_HOST, out, *words])
    _put(machine, f"{drop_in}/probe.conf", f"[Service]\nExecReload={command}\n")
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "reload", unit)
        return _take(machine, out)
    finally:
        machine.run("rm", "-r", drop_in)
        machine.run("systemctl", "daemon-reload")


def _put(machine: Machine, path: str, text: str) -> None:
    script = 'umask 022; mkdir -p "${1%/*}"; printf %s "$2" >"$1"'
    machine.run("sh", "-c", script, "sh", path, text)


def _take(machine: Machine, path: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(machine.run("cat", path))
    machine.run("rm", path)
    return found
