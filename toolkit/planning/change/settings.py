"""The differences between the settings that a host was provisioned with and those of the fleet file, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.plan import Plan, StepKind
from toolkit.domain.excerpt import excerpt
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import is_loopback
from toolkit.planning.change.difference import printable, shown_pair
from toolkit.planning.change.fence import unfenced_host

_SWITCHES = {
    "toolkit_firewall": "firewall",
    "toolkit_swarm_tls": "swarm-tls",
    "router_require_keys": "keys",
    "toolkit_accept_unfenced": "fence",
    "toolkit_interconnect": "",
}
_BINDS = ("router_bind", "router_metrics_bind")
_ORIGINS = "router_cors_origins"
_NOT_KEPT = "other host settings"


def with_settings(
    plans: Mapping[str, Plan],
    wanted: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, HostFacts],
) -> dict[str, Plan]:
    """Return the plans; one that provisions its host says what that changes, by the host's `wanted` settings."""
    found = dict(plans)
    for name, plan in plans.items():
        if wanted.get(name) and any(step.kind is StepKind.PROVISION for step in plan.steps):
            changes = settings_changes(facts[name], wanted[name])
            found[name] = replace(plan, changes=(*plan.changes, *changes))
    return found


def settings_changes(facts: HostFacts, wanted: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return the changes of a host's settings by provisioning; none for a host that was never provisioned.

    A host that an older toolkit provisioned has not kept its settings: those that its router shows are compared.
    """
    if not facts.converged:
        return ()
    before = facts.settings
    if before is None:
        seen = {"router_bind": facts.router.bind, "router_tls": "known" if facts.router.tls else ""}
        known = (
            each for each in _changes(facts, seen, wanted) if each.subject in ("router_bind", "TLS")
        )
        return (
            *known,
            Change(_NOT_KEPT, "", "not compared: an older toolkit provisioned this host"),
        )
    return tuple(_changes(facts, before, wanted))


def _changes(
    facts: HostFacts, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Change]:
    yield from _tls(str(before.get("router_tls") or ""), str(after.get("router_tls") or ""))
    for name in dict.fromkeys((*after, *sorted(before))):
        old, new = before.get(name), after.get(name)
        if name == "router_tls" or old == new:
            continue
        if name in _SWITCHES:
            if bool(old) != bool(new):
                yield Change(name, _switch(old), _switch(new), _turned_off(facts, name, bool(new)))
        else:
            words = shown_pair("", _words(old), _words(new))
            yield Change(name, *words, _opened(facts, name, old, new, after))


def _tls(before: str, after: str) -> Iterator[Change]:
    if before and not after:
        yield Change("TLS", "https", "http, not encrypted", "tls")
    elif after and not before:
        yield Change("TLS", "http, not encrypted", "https")
    elif before != after and before != "known":
        yield Change("certificate", f"sha256 {excerpt(printable(before))}", f"sha256 {after}")


def _turned_off(facts: HostFacts, name: str, on: bool) -> str:
    if name == "toolkit_accept_unfenced":
        return _SWITCHES[name] if on and unfenced_host(facts) else ""
    if name == "router_require_keys" and facts.router.keys:
        # A router with keys asks for one, whatever this setting says.
        return ""
    return "" if on else _SWITCHES[name]


def _opened(facts: HostFacts, name: str, old: Any, new: Any, after: Mapping[str, Any]) -> str:
    """Return the protection that a setting ends.

    A bind leaves loopback, and what listens there asks for no key; or the pages of every origin are let in.
    """
    if name == _ORIGINS:
        return "origins" if "*" in (new or ()) and "*" not in (old or ()) else ""
    if name not in _BINDS or not _inward(old) or _inward(new):
        return ""
    asks = bool(facts.router.keys or after.get("router_require_keys"))
    return "" if asks and name == "router_bind" else "loopback"


def _inward(bind: Any) -> bool:
    return is_loopback(str(bind).rpartition(":")[0])


def _switch(value: Any) -> str:
    return "on" if value else "off"


def _words(value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value)
