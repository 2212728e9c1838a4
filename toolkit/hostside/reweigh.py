"""Change the weights and shares of this host's routes, where no command does so.

No reload is needed: files and running workers differ in weights and maps alone.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
from collections.abc import Callable

import holds
import router
import router_files
import routes_file
import sleeping
from router_socket import RouterDown
from wire import Document

_SERVER = re.compile(r"(    server (\S+) \S+ weight )\d+")
# Seconds until workers get commands again that they did not carry out.
AGAIN = 2.0
# Directory of a toolkit whose workers may lag behind its files -> the time at which they are told again.
_untold: dict[str, float] = {}


def reweigh(root: str, edit: Callable[[Document], Document], *, urgent: bool = False) -> None:
    """Write `edit` of the present routes, and tell the workers; a router that is down reads the files when it starts.

    Where `edit` returns the routes that it was given, the workers are told these: a run that was killed between files
    and commands leaves workers that do not know them. Raises RouterError, and OSError where the disk takes no files.
    The workers are told an `urgent` edit all the same, and know it for as long as they run; the caller tries again.
    """
    directory = os.path.join(root, "router")
    with router_files.alone(directory):
        former = {
            name: router_files.read(os.path.join(directory, name)) or ""
            for name in router_files.FILES
        }
        present = routes_file.parsed(former["routes.json"])
        routes = edit(present)
        if routes != present:
            files = {**former, **_files(former, routes)}
            changed = [name for name in router_files.FILES if files[name] != former[name]]
            try:
                router_files.write(directory, files, changed)
            except OSError:
                if urgent:
                    # Nobody may tell the workers again what the files say.
                    _untold.pop(root, None)
                    router.tell(directory, routes)
                raise
        doubt(root, time.monotonic() + AGAIN)
        # A router that is down has no doubt left: it will start from the files.
        with contextlib.suppress(RouterDown):
            router.tell(directory, routes)
        _untold.pop(root, None)


def doubt(root: str, due: float = 0.0) -> None:
    """Let `tell_again` tell the workers what their files say, from the time `due` of the monotonic clock on."""
    _untold[root] = due


def tell_again(root: str) -> list[str]:
    """Tell the workers what their files say, where that is in doubt and due. Raises RouterError.

    The files are right then, so nobody else would: requests could wait for ever for a hold that has ended.
    """
    if time.monotonic() < _untold.get(root, math.inf):
        return []
    if router_files.routes(os.path.join(root, "router")).get("routes"):
        reweigh(root, lambda present: present)
    else:
        # No routes, or damaged ones, which a command repairs.
        _untold.pop(root, None)
    return []


def _files(former: dict[str, str], routes: Document) -> dict[str, str]:
    """Return the files that follow from `routes`, which differ from the former ones in weights and shares alone."""
    weights, backend, lines = routes_file.all_weights(routes), "", []
    for line in former["backends.cfg"].splitlines(True):
        if line.startswith("backend "):
            backend = line.split()[1]
        model = routes_file.model(backend) if backend.startswith(routes_file.PREFIX) else ""
        found = _SERVER.match(line)
        if found and found.group(2) in weights.get(model, {}):
            line = f"{found.group(1)}{weights[model][found.group(2)]}{line[found.end() :]}"
        lines.append(line)
    return {
        "backends.cfg": "".join(lines),
        "slots.map": _map(routes_file.main_slots(routes)),
        "shares.map": _map(routes_file.shares(routes)),
        "holds.map": _map(holds.of_routes(routes)),
        "asleep.map": _map(sleeping.entries(routes)),
        "relay.map": _map(routes_file.relays(routes)),
        "routes.json": json.dumps(routes, indent=2) + "\n",
    }


def _map(entries: dict[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in entries.items())
