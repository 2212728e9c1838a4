"""What the router tells of each slot of this host: its release, in logs and answers, and to other hosts its last wake.

The slots' manifests and the watch's notes are the truth. `versions.map` and the maps of running workers follow them.
"""

from __future__ import annotations

import contextlib
import os
import re

import hang
import resting
import router_files
import router_socket
import slot_manifest

MAP = "versions.map"
# TARGET/MODEL and this -> the name of the sleep, see healths.lua.
WOKEN = "/woken"


def follow(root: str) -> None:
    """Bring the file and every worker that has the map to the manifests; the caller holds the router's lock."""
    directory = os.path.join(root, "router")
    entries = _entries(root)
    text = "".join(f"{key} {value}\n" for key, value in sorted(entries.items()))
    if router_files.differs(directory, MAP, text):
        router_files.write(directory, {MAP: text}, [MAP], router_files.PRIVATE)
    _tell(directory, entries)


def tell(root: str) -> None:
    """Let the running workers know the releases and hangs of today, where the router answers; the file stays.

    Routers of other hosts may send requests to a new replica before the routes change here, and its label must be known
    by then. Clients of a replica that hangs are told so at its end.
    """
    with contextlib.suppress(router_socket.RouterError):
        _tell(os.path.join(root, "router"), _entries(root))


def woken_elsewhere(root: str) -> dict[str, str]:
    """Return {MODEL/TARGET: the name of the model's last sleep that has ended on the host of the target}.

    That is what the other hosts say to the newest worker; nothing without a router.
    """
    directory = os.path.join(root, "router")
    try:
        pid = router_socket.processes(directory)["current"][-1:]
        name = os.path.join(directory, "releases.map")
        told = router_socket.read_map(directory, pid[0], name) if pid else None
    except router_socket.RouterError:
        return {}
    return {key[: -len(WOKEN)]: value for key, value in (told or {}).items() if key.endswith(WOKEN)}


def _tell(directory: str, entries: dict[str, str]) -> None:
    try:
        processes = router_socket.processes(directory)
    except router_socket.RouterDown:
        return
    # The map only labels requests: a worker that refuses it goes on serving.
    for pid in processes["current"] + processes["old"]:
        with contextlib.suppress(router_socket.RouterError):
            router_socket.set_map(directory, pid, MAP, entries)


def _entries(root: str) -> dict[str, str]:
    """Return {MODEL/TARGET: VERSION|RELEASE}, TARGET being the slot with this host's name in routes in front.

    An adapter is a model there. In a fleet the slot alone is a key too, which bases of a former toolkit look up.
    {TARGET/MODEL/hung: the time of the last hang there, in whole seconds}: what was asked before then was lost with it.
    {TARGET/MODEL/woken: the name of the model's last sleep that has ended here}.
    """
    entries, woken = {}, resting.woken(root)
    at = router_files.routes(os.path.join(root, "router")).get("at", "")
    for program, manifest in slot_manifest.each(root):
        try:
            hung = int(hang.recorded(root, program).get("at", 0))
            release = manifest["release"]
            # The text goes into a map, a header and the log's JSON.
            version = re.sub("[^A-Za-z0-9._+-]", "_", release["version"])
            for name in {manifest["slot"], f"{at}.{manifest['slot']}".lstrip(".")}:
                for model in (manifest["model"], *_adapters(release)):
                    entries[f"{model}/{name}"] = f"{version}|{int(release['number'])}"
                    if hung:
                        entries[f"{name}/{model}/hung"] = str(hung)
                # It goes into a map and to other hosts: a name as `Sleep` has it.
                if re.fullmatch("[0-9a-f]{1,32}", ended := str(woken.get(manifest["model"], ""))):
                    entries[f"{name}/{manifest['model']}{WOKEN}"] = ended
        except (ValueError, KeyError, TypeError):
            continue  # another process empties this slot
    return entries


def _adapters(release: dict[str, object]) -> list[str]:
    """Return the names of the release's LoRA adapters that can stand in a map."""
    found = release.get("adapters", [])
    names = [str(each["name"]) for each in found] if isinstance(found, list) else []
    return [name for name in names if re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z", name)]
