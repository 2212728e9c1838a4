"""The router's map of models whose requests wait: its content for routes and in workers that run, see hold.lua."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The content of routes.json.
Routes = dict[str, Any]

# Milliseconds after which hold.lua has let go all requests of a hold, with some to spare.
_REPLAYED = 30_000
# Before the seconds of a hold: requests wait only while no replica is up.
ARMED = "a"


def of_routes(routes: Routes) -> dict[str, str]:
    """Return {model or adapter whose requests wait: for how many seconds}: the content of holds.map.

    With `a` in front they wait only while no replica is up: a target has a weight.
    """
    found: dict[str, str] = {}
    for route in routes.get("routes", []):
        found.update((name, str(each)) for name, each in route.get("waiting", {}).items() if each)
        if seconds := route.get("hold", 0):
            armed = ARMED if any(each["weight"] for each in route["targets"]) else ""
            names = (route["model"], *route.get("adapters", []))
            found.update(dict.fromkeys(names, f"{armed}{seconds}"))
    return found


def held(wanted: Mapping[str, str], now: float, known: Mapping[str, str]) -> dict[str, str]:
    """Return the content of holds.map in running workers, for the models in `wanted`, see `of_routes`.

    `known` is what they have so far, and `now` is in seconds since the epoch. See hold.lua: it replays the time of a
    hold that ended, and that takes a few seconds.
    """
    found, at = {}, int(now * 1000)
    for name_of_model in {*wanted, *known}:
        before = known.get(name_of_model, "")
        if after := _held(wanted.get(name_of_model, ""), at, before):
            found[name_of_model] = after
    return found


def _held(wanted: str, at: int, known: str) -> str:
    """Return what holds.map has of one model, empty for none; `at` is in milliseconds since the epoch."""
    patience, since, ended = (known + "::").split(":")[:3]
    armed, waits = patience.startswith(ARMED), patience not in ("", "0")
    if wanted and not wanted.startswith(ARMED):
        return f"{wanted}:{since if waits and since and not ended else at}:"
    if waits and not armed:
        # After a start from the files: no request waits for longer than its patience.
        since, ended = since or str(at - int(patience) * 1000), str(at)
    if wanted:
        # From now on the workers see themselves since when requests wait, and until when they did.
        return f"{wanted}:{since}:{ended}"
    if ended:
        return f"0:{since}:{ended}" if int(ended) + _REPLAYED > at else ""
    return f"0:{since}:{at}" if waits and since else ""
