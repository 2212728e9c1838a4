"""One look at the host: devices, memory, engines, snapshots, slots, router."""

from __future__ import annotations

import os
import sys
import time

import accelerators
import beat
import completion
import damage
import deployment_lock
import disks
import doze
import drift
import engine
import fence
import guard_order
import hang
import host_settings
import listening
import memory
import open_deployment
import processes
import resting
import router_keys
import router_view
import signs
import slot_manifest
import tampering
import unlogged
from directory import read_text
from wire import Document

# A replica that is ready keeps its memory for so long. A change looks twice before it acts, and to tell the memory the
# kernel walks through all pages: 15 to 20 ms for each GB.
_FRESH_SECONDS = 10.0
# Identity of a process -> the time of the look and the bytes.
_memory_of: dict[str, tuple[float, int]] = {}

_OF_ROUTER = ("running", "silent", "bind", "version", "workers", "drift", "crowd")


def observe(root: str, label: str = "") -> Document:
    """Return the facts as a JSON document; missing parts are empty and no error.

    `label` is this host's name in routes, empty for the only host of a fleet.
    """
    manifests = slot_manifest.sound(root)
    routing = router_view.observe(root)
    makers = accelerators.makers()
    accelerator, devices, driver_fault = accelerators.devices(makers)
    # The driver's tool takes longer than an observation, so ask it where a replica is on a device, and once. Where it
    # named no devices, it may hang.
    used = devices and any(each.get("devices") for each in manifests)
    users = accelerators.users() if used else {}
    release, kernel = _os_release(), os.uname()
    disk = disks.of_root(root)
    return {
        "observed_at": time.time(),
        "init": processes.init_system(),
        "os": release.get("PRETTY_NAME") or "{0.sysname} on {0.nodename}".format(kernel),
        "os_id": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "kernel": kernel.release,
        "architecture": kernel.machine,
        "fences": fence.of_host(root),
        "confines": os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        "python": _system_python(),
        "memory": memory.total(),
        "memory_available": memory.available(),
        "disk_free": disk.free,
        "disk_total": disk.total,
        "files_free": disk.files,
        "noexec": disk.noexec,
        "read_only": disk.read_only,
        "tmp_free": disks.free_for_temporary(),
        "cpus": os.cpu_count() or 0,
        "accelerators": makers,
        "devices": devices,
        "driver_fault": driver_fault,
        "engines": engine.engines(root),
        "missing_libraries": engine.missing_libraries(accelerator),
        "snapshots": _listing(os.path.join(root, "snapshots")),
        "converged": (read_text(os.path.join(root, "converged")) or "").strip(),
        "settings": host_settings.read(root),
        "slots": _slots(root, manifests, routing, label, users),
        "routes": routing["routes"],
        "router": {
            **{key: routing.get(key) for key in _OF_ROUTER},
            **router_keys.door(root),
        },
        "changed": [*tampering.changed(root), *tampering.changed_snapshots(root)],
        "watched": beat.is_heard(root),
        "unlogged": unlogged.read(root),
        "guards": guard_order.facts(root),
        "used_ports": listening.ports(),
        "lock": deployment_lock.read(root),
        "opened": open_deployment.read(root)[0],
        "left_to_guards": open_deployment.left(root)[0],
        "damaged": damage.damaged(root, routing),
    }


def _slots(
    root: str, manifests: list[Document], routing: Document, label: str, users: dict[int, int]
) -> list[Document]:
    states = processes.states(root, ["{0[model]}-{0[slot]}".format(each) for each in manifests])
    return [
        _slot(root, each, states[place], routing, label, users)
        for place, each in enumerate(manifests)
    ]


def _slot(
    root: str,
    manifest: Document,
    process: Document,
    routing: Document,
    label: str,
    users: dict[int, int],
) -> Document:
    model, slot, port = manifest["model"], manifest["slot"], manifest["port"]
    path = signs.signs(manifest)["health"]
    servers = routing.get("servers", {}).get(model, {})
    # The router may still know the slot under the name from before the fleet grew or shrank.
    at = routing["routes"].get("at", "")
    names = [f"{host}.{slot}" if host else slot for host in (label, at, "")]
    server: Document = next((servers[name] for name in names if name in servers), {})
    # The router checks each second; where its check passed, do not ask a busy replica again.
    dozing = doze.dozes(root, f"{model}-{slot}")
    healthy = (
        process["state"] == "running"
        and not dozing
        and (server.get("up") or completion.healthy(port, path))
    )
    # Read the tree after the state and right before the fences: the process that starts a replica soon becomes another.
    family, pid = processes.Family(), process["pid"]
    fences = fence.of_process(root, pid, family)
    mine = processes.tree(pid, family) if users else []
    taken = [users[each] for each in mine if each in users]
    return {
        "model": model,
        "slot": slot,
        "port": port,
        "devices": manifest.get("devices", []),
        "release": manifest["release"],
        "process": process["state"],
        "started_at": process["started_at"],
        "healthy": healthy,
        "weight": server.get("weight", 0),
        "sessions": server.get("sessions", 0),
        "memory": _memory(pid, family, ready=healthy),
        "device_memory": sum(taken) if taken else None,
        "drift": [
            *drift.drift(root, manifest, pid, family),
            *(_adapter_drift(root, manifest) if healthy else ()),
        ],
        "fences": fences,
        "hung": hang.recorded(root, f"{model}-{slot}"),
        "rests": resting.rests(root, f"{model}-{slot}"),
        "can_rest": resting.can_rest(root, f"{model}-{slot}"),
        "dozes": dozing,
    }


def _memory(pid: int, family: processes.Family, *, ready: bool) -> int:
    """Return the bytes that a replica's processes use, of a look some seconds ago where it has been ready since."""
    process, now = processes.started(pid), time.monotonic()
    at, known = _memory_of.get(process, (0.0, 0))
    if ready and at and now - at < _FRESH_SECONDS:
        return known
    found = processes.resident(pid, family)
    if ready and process:
        _memory_of[process] = now, found
    return found


def _adapter_drift(root: str, manifest: Document) -> list[str]:
    """Return how its adapters differ from its release, but while they are changed, watched or given back."""
    path, model = signs.signs(manifest)["adapters"], manifest["model"]
    opened = {each.get("model") for each in open_deployment.every(root)}
    if not path or model in opened or guard_order.read(root, model):
        return []
    # Most observations ask no replica, and loading this module takes longer than an observation.
    import loaded_adapters

    return loaded_adapters.drift(manifest, path)


def _os_release() -> dict[str, str]:
    lines = _read("/etc/os-release").splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: value.strip("\"'") for name, value in values.items()}


def _system_python() -> str:
    return "%d.%d" % sys.version_info[:2]


def _listing(path: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path) if not name.startswith("."))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
