"""Facts from a host's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, TypeVar

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.bounds import FACT, TEXT
from toolkit.domain.deployment.release import OpenDeployment, Release
from toolkit.domain.excerpt import escaped
from toolkit.domain.gates.verdict import Figure, GateResult, GuardPhase
from toolkit.domain.hosts.facts import (
    RECORD,
    Device,
    GuardFacts,
    HostFacts,
    ProcessState,
    RouterFacts,
    SlotFacts,
    left_record,
)
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.outside import checked, plainly, require_short, whole
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import HostError
from toolkit.hostside.guard_names import order_path
from toolkit.hostside.routes_file import is_whole

T = TypeVar("T")
# The end of the year 9999, the last that a calendar here knows.
_LATEST = 253_402_300_799.0
# Characters of an error's words, which may quote the whole answer.
_MOST_WORDS = 300


def facts_from_json(name: str, data: Mapping[str, Any]) -> HostFacts:
    """Return the facts in the result of the command `observe`; raises HostError where they are none."""
    with understood(name):
        return checked(_facts(name, in_lines(data)), FACT)


# Facts with texts of several lines, such as the prompts of a release, and those that are checked by their form.
_OF_LINES = ("release", "routes", "settings")


def in_lines(value: Any) -> Any:
    """Return the value with escapes for what no line has: commands show these texts within lines of their own."""
    if isinstance(value, str):
        return value if value.isprintable() else escaped(value)
    if isinstance(value, dict):
        return {
            in_lines(key): each if key in _OF_LINES else in_lines(each)
            for key, each in value.items()
        }
    return [in_lines(each) for each in value] if isinstance(value, list) else value


@contextmanager
def understood(name: str) -> Iterator[None]:
    """Raise HostError where the block cannot make sense of an answer of the host `name`."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise HostError(
            f"{name}: its answer is not understood: {plainly(error)[:_MOST_WORDS]}",
            hint="its toolkit files may be damaged; put them there again: toolkit provision",
        ) from error


def _facts(name: str, data: Mapping[str, Any]) -> HostFacts:
    router = data["router"]
    slots, unread = _slots(data["slots"])
    routes = _routes(data["routes"], unread)
    opened, guards = _opened(data["opened"], unread), _guards(data["guards"], unread)
    left = (_opened(each, unread, left_record(each["rollout"])) for each in data["left_to_guards"])
    left_to_guards = tuple(filter(None, left))
    return _made(
        HostFacts,
        data,
        name=name,
        devices=tuple(Device(**device) for device in data["devices"]),
        slots=slots,
        routes=routes,
        router=_made(
            RouterFacts,
            router,
            running=bool(router["running"]),
            silent=bool(router["silent"]),
            bind=router["bind"] or "",
            version=router["version"] or "",
            workers=router["workers"] or 0,
            drift=tuple(router["drift"] or ()),
            address="",
        ),
        opened=opened,
        left_to_guards=left_to_guards,
        damaged=(*data["damaged"], *unread),
        held_by=owner_from_json(data["lock"]["owner"] or {}) if data["lock"]["held"] else None,
        changed_files=tuple(data["changed"]),
        guards=guards,
        settings=dict(data["settings"]) if data["settings"] is not None else None,
    )


def _made(kind: type[T], data: Mapping[str, Any], **others: Any) -> T:
    """Return facts of the `kind`: `others`, and each further field from the value of its name in `data`."""
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name not in others:
            value = data[each.name]
            others[each.name] = tuple(value) if str(each.type).startswith("tuple") else value
    return kind(**others)


def own_routes(routes: Mapping[str, Any], host: Host) -> dict[str, Any]:
    """Return routes in which the targets of `host` have its name of today; the serial rises where one had another.

    The only host of a fleet has no name in routes. It gets one when the fleet grows, and loses it when it shrinks.
    """
    relay = f"{host.relay_address}:{host.relay_port}"
    changed, found = False, []
    for route in routes.get("routes", ()):
        targets = []
        for target in route["targets"]:
            of = target.get("host", "")
            if host.label and not of:
                target = {**target, "host": host.label, "relay": relay}
            elif not host.label and of == host.name:
                target = {key: target[key] for key in target if key not in ("host", "relay")}
            changed = changed or of != target.get("host", "")
            targets.append(target)
        found.append({**route, "targets": targets})
    if not changed:
        return dict(routes)
    return {**routes, "routes": found, "serial": int(routes.get("serial", 0)) + 1}


def owner_from_json(data: Mapping[str, Any]) -> LockOwner:
    """Return the holder of a host's lock, from its lock file; what is odd there counts as unknown."""
    said = (str(data.get(key, "unknown"))[:TEXT] for key in ("actor", "command"))
    actor, command = map(escaped, said)
    pid, since = data.get("pid", 0), data.get("since", 0.0)
    try:
        return LockOwner(actor, command, whole(pid, "pid"), min(max(0.0, float(since)), _LATEST))
    except (ValueError, TypeError, OverflowError):
        return LockOwner(actor, command, 0)


def _slots(data: Sequence[Mapping[str, Any]]) -> tuple[tuple[SlotFacts, ...], list[str]]:
    """Return the slots, and the manifests whose release cannot be read."""
    found, unread = [], []
    for each in data:
        try:
            found.append(_slot(each))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            unread.append(f"slots/{each['model']}-{each['slot']}/manifest.json")
    return tuple(found), unread


def _routes(data: Mapping[str, Any], unread: list[str]) -> Mapping[str, Any]:
    """Return routes, which routers of other hosts may get too; those that are none are added to `unread`.

    The program of a host that was taken over need not have checked them.
    """
    try:
        require_short(data, "routes", FACT)
        if is_whole(data):
            return data
    except ValueError:
        pass
    unread.append("router/routes.json")
    return {}


def _opened(
    data: Mapping[str, Any] | None, unread: list[str], path: str = RECORD
) -> OpenDeployment | None:
    """Return a deployment that has not ended; the `path` of one that cannot be read is added to `unread`."""
    try:
        return checked(OpenDeployment.from_json(data), FACT) if data else None
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        unread.append(path)
        return None


def _guards(data: Sequence[Mapping[str, Any]], unread: list[str]) -> tuple[GuardFacts, ...]:
    """Return the guards; those that cannot be read are added to `unread`."""
    found = []
    for each in data:
        try:
            found.append(checked(_guard(each), FACT))
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
            unread.append(order_path(str(each["order"].get("model"))))
    return tuple(found)


def _slot(data: Mapping[str, Any]) -> SlotFacts:
    return _made(
        SlotFacts,
        data,
        release=_release(data["release"]) if data["release"] else None,
        process=ProcessState(data["process"]),
        hung_at=data["hung"].get("at"),
        hung=data["hung"].get("why", ""),
        # From the routes, see `toolkit.domain.hosts.routed`.
        share=0,
        asleep="",
        serves_awake=False,
        idle=False,
    )


def _release(data: Mapping[str, Any]) -> Release:
    """Return a release whose names can be shown within a line, and written into a file; raises ValueError."""
    found = checked(Release.from_json(data), FACT)
    names = (found.model, found.version, found.source, found.revision, found.snapshot, found.engine)
    if not all(each.isprintable() for each in (*names, *found.aliases, *found.env)):
        raise ValueError("a name is none")
    Accelerator(found.accelerator)
    return found


def _guard(data: Mapping[str, Any]) -> GuardFacts:
    order = data["order"]
    return _made(
        GuardFacts,
        {**order, **data},
        phase=GuardPhase(order["phase"]),
        figures=tuple(Figure(**each) for each in data["figures"]),
        verdict=GateResult.from_json(data["verdict"]) if data["verdict"] else None,
    )
