"""Follow the guard of a model until the verdict on its phase."""

from __future__ import annotations

import time

import guard_order
from wire import Document, Report

TICK = 0.1
# A watch that starts anew needs a moment until it has seen the order.
_SILENCE = 30.0


def follow(request: Document, report: Report) -> Document:
    """Report once a second what the guard has found, and return the verdict on the phase at hand.

    Reports {"phase", "seconds_left", "requests", "probes", "figures", "words"}. Where no watch runs, or one of an older
    toolkit, nobody can tell, and the verdict says that. Raises NoGuard where none stands any more.
    """
    root, model = request["root"], request["model"]
    reported, heard, looked = 0.0, time.monotonic(), None
    while True:
        order = guard_order.read(root, model)
        if order is None:
            raise guard_order.NoGuard(f"no guard of {model} watches here")
        seen, now = guard_order.found(root, order), time.monotonic()
        verdict: Document | None = guard_order.published(seen)["verdict"]
        if verdict and not _is_aborted(root, order, verdict):
            return verdict
        # The watch looks each second, by whatever its clock says.
        if seen.get("looked_at") != looked:
            heard, looked = now, seen.get("looked_at")
        if now - heard > request.get("silence", _SILENCE):
            return unwatched(order)
        if now - reported >= 1:
            reported = now
            report(_event(order, seen))
        time.sleep(TICK)


def _is_aborted(root: str, order: Document, verdict: Document) -> bool:
    """Whether a person has aborted a share that has passed, and the guard has not looked since."""
    passed = order["phase"] == guard_order.SHARE and verdict["verdict"] == "passed"
    return passed and guard_order.wished(root, order).get("wish") == "abort"


def gate(order: Document) -> str:
    """Return the name of the gate that the phase of an order is."""
    return "bake" if order["phase"] == guard_order.BAKE else "canary"


def unwatched(order: Document) -> Document:
    """Return the verdict on a phase that nobody watches, or of which a full disk keeps what was found."""
    why = "does not run, knows no guards, or finds no room on the disk"
    reason = f"the watch of this host {why}: toolkit provision; df -h there"
    return {"gate": gate(order), "verdict": "could not tell", "reason": reason, "figures": []}


def _event(order: Document, seen: Document) -> Document:
    return {
        "phase": order["phase"],
        "seconds_left": max(0.0, order["seconds"] - seen.get("watched", 0.0)),
        "requests": seen.get("requests", 0),
        "probes": seen.get("probes", 0),
        "figures": seen.get("figures", []),
        "words": seen.get("words", ""),
    }
