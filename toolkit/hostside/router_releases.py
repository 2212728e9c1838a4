"""The release in each slot of this host, for the router's log and the headers of its answers.

The slots' manifests are the truth. `versions.map` and the maps of the running workers follow them.
"""

from __future__ import annotations

import contextlib
import os
import re

import hang
import router_files
import router_socket
import slot_manifest

MAP = "versions.map"


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
    """
    entries = {}
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
        except (ValueError, KeyError, TypeError):
            continue  # another process empties this slot
    return entries


def _adapters(release: dict[str, object]) -> list[str]:
    """Return the names of the release's LoRA adapters that can stand in a map."""
    found = release.get("adapters", [])
    names = [str(each["name"]) for each in found] if isinstance(found, list) else []
    return [name for name in names if re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z", name)]
