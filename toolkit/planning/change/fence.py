"""The fences of replicas on a host, the gaps between them, and whether these are accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from toolkit.domain.deployment.plan import Plan, StepKind
from toolkit.domain.hosts.facts import FENCES, HostFacts, ProcessState
from toolkit.domain.hosts.fleet import Host, is_loopback
from toolkit.errors import RefusedError

# For each fence, what a replica without it can do.
_OPEN = {
    "user": "act as the router's user",
    "rights": "gain rights",
    "files": "read what all users of the host may read",
    "processes": "see the host's other processes",
    "network": "reach other hosts",
    "calls": "make any system call",
}
SETTING = "toolkit_accept_unfenced"


def left_open(fences: Collection[str]) -> str:
    """Return in words what a replica with these fences can do; empty where it has all of them."""
    words = [_OPEN[name] for name in FENCES if name not in fences]
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def unfenced_replicas(facts: HostFacts) -> tuple[str, ...]:
    """Return in words what each running replica can do for want of a fence that the host would give it."""
    lacking = set(FENCES) - set(facts.fences)
    return tuple(
        f"{slot.model} {slot.slot} is not fenced: it can {words}"
        for slot in facts.slots
        if slot.process is ProcessState.RUNNING and (words := left_open({*slot.fences, *lacking}))
    )


def unfenced_host(facts: HostFacts) -> str:
    """Return, in words, the acts of replicas that the host cannot prevent; empty where it fences them entirely."""
    words = left_open(facts.fences)
    return f"it cannot fence replicas entirely: they can {words}" if words else ""


def fence_remarks(facts: HostFacts) -> tuple[str, ...]:
    """Return, in words, the fences that the host and its running replicas lack."""
    return (*filter(None, [unfenced_host(facts)]), *unfenced_replicas(facts))


def require_fenced(host: Host, facts: HostFacts) -> None:
    """Raise RefusedError where clients of other machines would use replicas that the host cannot fence.

    The setting `toolkit_accept_unfenced` of the fleet file accepts that.
    """
    words, binds = unfenced_host(facts), open_binds(host)
    if words and binds and not host.accept_unfenced:
        raise RefusedError(
            f"{host.name}: {words}; and its router would listen at {', '.join(binds)}",
            hint=f"bind it to loopback, give the host systemd or what a fence needs (toolkit hosts), "
            f"or accept it: {SETTING}: true in the fleet file",
        )


def require_fenced_to_open(host: Host, facts: HostFacts) -> None:
    """Raise RefusedError where provisioning would let other machines reach unfenced replicas for the first time.

    A host that other machines reach already, or that has no replicas yet, is provisioned as it is. One that an older
    toolkit provisioned has not kept its settings: its relay counts as one that was there.
    """
    before = facts.settings or {"router_bind": facts.router.bind, "relay": host.relay_bind}
    reached = _outward(str(before.get(name) or "") for name in ("router_bind", "relay"))
    if facts.converged and facts.slots and not reached:
        require_fenced(host, facts)


def fenced(
    plans: Mapping[str, Plan], hosts: Iterable[Host], facts: Mapping[str, HostFacts]
) -> dict[str, Plan]:
    """Return the plans, with a note in those that start a replica which the host cannot fence entirely.

    Raises RefusedError as `require_fenced` does for them, and as `require_fenced_to_open` for those that provision.
    A plan that does neither, such as a switch to a standby, leaves things as they are.
    """
    found = dict(plans)
    for host in hosts:
        plan = plans.get(host.name)
        if plan is None:
            continue
        if plan.has(StepKind.PROVISION):
            require_fenced_to_open(host, facts[host.name])
        if not plan.has(StepKind.START):
            continue
        require_fenced(host, facts[host.name])
        if words := unfenced_host(facts[host.name]):
            found[host.name] = replace(plan, notes=(*plan.notes, words))
    return found


def open_binds(host: Host) -> tuple[str, ...]:
    """Return the addresses beyond loopback at which the host's router takes requests."""
    return _outward(_binds(host))


def _outward(binds: Iterable[str]) -> tuple[str, ...]:
    return tuple(each for each in binds if each and not is_loopback(each.rpartition(":")[0]))


def _binds(host: Host) -> Iterable[str]:
    return (host.router_bind, *([host.relay_bind] if host.relay_bind else []))
