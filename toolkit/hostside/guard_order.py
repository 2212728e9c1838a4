"""The order to the guard of a model on this host, its findings, and the wish of a person.

Files of each model, for root alone, so that commands and the watch never write the same one:

- MODEL.json: the order of the command that changes the release. `number` counts its phases, `token` is that of the
  deployment lock, on which a canary's share depends, `process` the identity of the replica's process at the beginning,
  `took_over` when a standby of the model had taken over before.
- MODEL%copy: the same, for a guard whose order a disk or an editor has damaged: its release stays watched.
- MODEL.found.json: the watch's figures, withdrawal and verdict, with the `rollout` and `number` they belong to. A
  verdict is shown once it is `settled`: once the target is withdrawn where it must be.
- MODEL.wish.json: `promote` or `abort`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import bell
import deployment_lock
import processes
import router_files
from directory import Directory, make_own, read_text
from documents import mapping
from guard_names import COPY, FOUND, GUARD, ORDER, WISH, name_of
from guard_state import are_figures, is_number, is_verdict
from wire import Document

SHARE, BAKE = "share", "bake"
_ROOT_ONLY = 0o600
# The lock of those who write a wish, which they hold for milliseconds, and the seconds to wait for it.
_WISHES, _PATIENCE = ".wishes", 5.0
_OF_ORDER = {"rollout", "model", "slot", "former", "phase", "number", "token"}
_WORDS_OF_ORDER = ("rollout", "model", "slot", "former", "phase")
# Of an order too, a value of another kind makes it one that cannot be read.
_MORE_WORDS = ("token", "version", "unsure", "process")
_NUMBERS = (
    "number",
    "release",
    "seconds",
    "requests",
    "share",
    "patience",
    "hosts",
    "since",
    "took_over",
)
# The fields of findings and wishes, and the test of each: a value that fails its test makes the whole file unreadable.
_KINDS: dict[str, Callable[[Any], bool]] = {
    "verdict": lambda value: value is None or is_verdict(value),
    "figures": are_figures,
    "state": lambda value: isinstance(value, dict),
    **dict.fromkeys(
        ("withdrawn", "words", "wish", "actor", "rollout", "phase"),
        lambda value: isinstance(value, str),
    ),
    "watched": is_number,
    **dict.fromkeys(("number", "requests", "probes"), lambda value: type(value) is int),
    **dict.fromkeys(("looked_at", "withdrawn_at"), lambda value: value is None or is_number(value)),
}
# The characters of a model's name, which is a part of the names of files.
_LONGEST_NAME = 255
LEASE = "the lease ended: the command that held the deployment lock is gone"
EMPTIED = "its slot was emptied or has another release"


class NoGuard(Exception):
    """No guard of the model can go on here."""

    hint = "toolkit status"


def begin(root: str, order: Document, holder: str) -> Document:
    """Keep the order of a new guard for the holder of the deployment lock, whose token is `holder`; return {}."""
    deployment_lock.require(root, holder)
    model = order["model"]
    # The replica has been checked. Another process than this one, from here on, is a start that no command asked for.
    process = processes.started(processes.state(root, f"{model}-{order['slot']}")["pid"])
    kept = {**order, "process": process, "token": holder, "number": 1, "since": time.time()}
    kept["took_over"] = took_over(root, model)
    with _files(root) as opened:
        for kind in (FOUND, WISH, COPY):
            opened.remove(name_of(model, kind))
        _write(opened, model, kept)
    bell.ring(root)
    return {}


def enter(root: str, model: str, phase: Document, holder: str) -> Document:
    """Go on with the next phase: `phase` has `phase`, `seconds`, `requests` and `share`; return {}.

    The phase depends on the lock of its own command. Raises NoGuard where no guard stands, where its verdict takes the
    target's traffic away, and where a person has aborted the rollout.
    """
    deployment_lock.require(root, holder)
    order = read(root, model)
    if order is None:
        raise NoGuard(f"no guard of {model} watches here")
    seen = found(root, order)
    if seen.get("withdrawn") or must_go(order, seen):
        why = seen.get("withdrawn") or seen["verdict"].get("reason")
        raise NoGuard(f"the guard of {model} has withdrawn {order['slot']}: {why}")
    wanted = wished(root, order)
    if wanted.get("wish") == "abort":
        raise NoGuard(f"{order['slot']} of {model} was aborted by {wanted.get('actor', '')}")
    with _files(root) as opened:
        number = order["number"] + 1
        after = {**order, **phase, "token": holder, "number": number, "since": time.time()}
        _write(opened, model, after)
    bell.ring(root)
    return {}


def took_over(root: str, model: str) -> float:
    """Return when a standby of the model has taken over by itself, in seconds since the epoch; 0 where none has."""
    routes = router_files.routes(os.path.join(root, "router")).get("routes", ())
    return max(
        (each.get("took_over", 0.0) for each in routes if each["model"] == model), default=0.0
    )


def must_go(order: Document, seen: Document) -> bool:
    """Whether the verdict in what a guard found takes the target's traffic away."""
    told = seen.get("verdict") or {}
    verdict, reason = told.get("verdict"), told.get("reason")
    returns = order.get("unsure") == "return" or reason == LEASE
    return verdict == "failed" or (verdict == "could not tell" and returns and reason != EMPTIED)


def wish(root: str, model: str, wish: str, actor: str) -> Document:
    """Keep a person's wish, which needs no lock; return {"taken"}: false where no guard watches any more.

    A guard that has ended the bake, or takes the target's traffic away, hears nobody. Nobody promotes what another
    person has aborted. Raises ValueError where the wish is neither `promote` nor `abort`.
    """
    if wish not in ("promote", "abort"):
        raise ValueError(f"no such wish: {wish}")
    order = read(root, model)
    if order is None:
        return {"taken": False}
    kept = {name: order[name] for name in ("rollout", "number", "phase")}
    with _files(root) as opened, opened.locked(_WISHES, _PATIENCE):
        aborted = wished(root, order).get("wish") == "abort"
        if _hears_nobody(root, order) or (aborted and wish == "promote"):
            return {"taken": False}
        text = json.dumps({"wish": wish, "actor": actor, **kept})
        opened.write(name_of(model, WISH), text + "\n", _ROOT_ONLY)
    bell.ring(root)
    return {"taken": True}


def _hears_nobody(root: str, order: Document) -> bool:
    """Whether the guard has come to a verdict that no person changes."""
    seen = found(root, order)
    ended = order["phase"] == BAKE and seen.get("verdict")
    return bool(seen.get("withdrawn") or must_go(order, seen) or ended)


def end(root: str, model: str, rollout: str) -> Document:
    """Forget the guard of this rollout, and an order that cannot be read; return {}."""
    order = read(root, model)
    if order is None or order["rollout"] == rollout:
        with _files(root) as opened:
            # The order first: without it, its copy is none.
            for kind in (ORDER, FOUND, WISH, COPY):
                opened.remove(name_of(model, kind))
            opened.sync()
    return {}


def damaged(root: str) -> list[str]:
    """Return the paths, below `root`, of files that cannot be read."""
    return [os.path.join(GUARD, name) for name in _names(root) if _is_damaged(root, name)]


def repair(root: str) -> Document:
    """Write damaged orders anew from their copies; forget those without one, and other files that cannot be read.

    Return {"lost": [path...]} of the orders that were forgotten, below `root`: their releases are watched no more, and
    their deployments say so.
    """
    lost = []
    with _files(root) as opened:
        for name in _names(root):
            if not _is_damaged(root, name):
                continue
            order = _order_in(root, name) if _is_order(name) else None
            if order:
                opened.write(name, json.dumps(order) + "\n", _ROOT_ONLY)
                continue
            if _is_order(name):
                _leave_to_a_person(root, name)
                lost.append(os.path.join(GUARD, name))
            opened.remove(name)
        opened.sync()
    return {"lost": lost}


def _leave_to_a_person(root: str, name: str) -> None:
    """Note in the deployment whose guard's order is lost that nothing judges its release any more."""
    # Here and not above: that module asks this one.
    import open_deployment

    for each in open_deployment.every(root):
        if name_of(each.get("model", ""), ORDER) == name:
            open_deployment.leave(root, each["rollout"])


def is_lost(root: str, model: str) -> bool:
    """Whether the order of a model's guard is there, and neither it nor its copy can be read."""
    return _is_damaged(root, name_of(model, ORDER)) and read(root, model) is None


def orders(root: str) -> list[Document]:
    """Return the orders of all guards of this host."""
    seen = (_order_in(root, each) for each in _names(root) if _is_order(each))
    return [each for each in seen if each is not None]


def read(root: str, model: str) -> Document | None:
    """Return the order of a model's guard; None where there is none, or no sound one."""
    return _order_in(root, name_of(model, ORDER))


def found(root: str, order: Document) -> Document:
    """Return the findings of this order's guard in its phase; an empty document before its first look.

    A verdict of an earlier phase that takes the traffic away counts in the phase that a command has begun meanwhile.
    """
    seen = _read(root, order["model"], FOUND)
    if seen.get("rollout") != order["rollout"]:
        return {}
    lasts = seen.get("withdrawn") or must_go(order, seen)
    return seen if lasts or seen.get("number") == order["number"] else {}


def found_is_lost(root: str, model: str) -> bool:
    """Whether the findings of the guard of `model` are gone, or cannot be read."""
    return not _read(root, model, FOUND)


def learned(root: str, order: Document) -> Document:
    """Return the state of the guard of this rollout, in whatever phase it was; an empty document where none has one."""
    seen = _read(root, order["model"], FOUND)
    state = seen.get("state") if seen.get("rollout") == order["rollout"] else None
    return state if isinstance(state, dict) else {}


def wished(root: str, order: Document) -> Document:
    """Return the wish for this order's phase, or to abort its rollout; an empty document where nobody has one.

    A person who decides while a command begins the next phase has been told that it is heard: an abort counts in all
    phases, and a promotion in all shares of the canary.
    """
    seen = _read(root, order["model"], WISH)
    of_phase = seen.get("number") == order["number"]
    of_canary = seen.get("phase") == order["phase"] == SHARE
    lasts = of_phase or of_canary or seen.get("wish") == "abort"
    return seen if lasts and seen.get("rollout") == order["rollout"] else {}


def keep(root: str, order: Document, seen: Document, *, durable: bool) -> None:
    """Write the guard's findings; with `durable` they survive a power failure."""
    about = {"rollout": order["rollout"], "number": order["number"]}
    with _files(root) as opened:
        text = json.dumps({**seen, **about}) + "\n"
        opened.write(name_of(order["model"], FOUND), text, _ROOT_ONLY, durable=durable)
        if durable:
            opened.sync()


def facts(root: str) -> list[Document]:
    """Return, for each guard, its order without probes, calls and token, and what it has found.

    Its release `must_go` where a verdict that is shown takes the target's traffic away.
    """
    seen = []
    for order in orders(root):
        hidden = ("probes", "token", "process", "adapters", "took_over")
        shown = {key: value for key, value in order.items() if key not in hidden}
        wish = wished(root, order).get("wish", "")
        known = found(root, order)
        goes = bool(known.get("settled")) and must_go(order, known)
        seen.append({"order": shown, "wish": wish, "must_go": goes, **published(known)})
    return seen


def published(seen: Document) -> Document:
    """Return the part of what the guard found that commands show."""
    return {
        "looked_at": seen.get("looked_at"),
        "watched": seen.get("watched", 0.0),
        "requests": seen.get("requests", 0),
        "probes": seen.get("probes", 0),
        "figures": seen.get("figures", []),
        "verdict": seen.get("verdict") if seen.get("settled") else None,
        "withdrawn": seen.get("withdrawn", ""),
        "withdrawn_at": seen.get("withdrawn_at"),
    }


def _names(root: str) -> list[str]:
    """Return the names of all files of guards; those with a leading dot are still being written."""
    try:
        names = sorted(os.listdir(os.path.join(root, GUARD)))
    except OSError:
        return []
    return [each for each in names if not each.startswith(".")]


def _is_order(name: str) -> bool:
    return name.endswith(ORDER) and not name.endswith((FOUND, WISH))


def _is_damaged(root: str, name: str) -> bool:
    text = read_text(os.path.join(root, GUARD, name))
    if text is None or name.endswith(COPY):
        # Of a copy nothing is missed while its order is there.
        return False
    return _sound(mapping(text)) is None if _is_order(name) else not _document(root, name)


def _order_in(root: str, name: str) -> Document | None:
    """Return the order in a file, or in its copy where that cannot be read."""
    text = read_text(os.path.join(root, GUARD, name))
    if text is None:
        return None
    copy = os.path.join(root, GUARD, name[: -len(ORDER)] + COPY)
    return _sound(mapping(text)) or _sound(mapping(read_text(copy)))


def _files(root: str) -> Directory:
    return Directory(make_own(root, GUARD))


def _write(opened: Directory, model: str, order: Document) -> None:
    text = json.dumps(order) + "\n"
    opened.write(name_of(model, ORDER), text, _ROOT_ONLY)
    opened.write(name_of(model, COPY), text, _ROOT_ONLY)
    opened.sync()


def _read(root: str, model: str, kind: str) -> Document:
    return _document(root, name_of(model, kind))


def _document(root: str, name: str) -> Document:
    """Return the watch's findings, or a wish; an empty document where there is none that can be read."""
    found = mapping(read_text(os.path.join(root, GUARD, name)))
    sound = all(_KINDS[each](found[each]) for each in found.keys() & _KINDS.keys())
    return found if sound else {}


def _sound(order: Document) -> Document | None:
    words = all(isinstance(order.get(name), str) for name in _WORDS_OF_ORDER)
    words = words and len(order["model"]) <= _LONGEST_NAME
    known = words and order.keys() >= _OF_ORDER and order["phase"] in (SHARE, BAKE)
    return order if known and _is_of_kinds(order) else None


def _is_of_kinds(order: Document) -> bool:
    """Whether a guard can go by all values of an order."""
    tolerance, probes = order.get("tolerance", {}), order.get("probes", [])
    return (
        all(isinstance(order.get(name, ""), str) for name in _MORE_WORDS)
        and all(is_number(order.get(name, 0)) for name in _NUMBERS)
        and isinstance(tolerance, dict)
        and all(map(is_number, tolerance.values()))
        and isinstance(probes, list)
        and all(isinstance(each, dict) for each in probes)
        and isinstance(order.get("adapters") or {}, dict)
    )
