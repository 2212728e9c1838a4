"""Whether a host's perimeter is as the fleet file says: what replicas reached, and who listens where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from toolkit.domain.hosts.facts import HostFacts, ProcessState
from toolkit.domain.hosts.fleet import Host, is_loopback
from toolkit.domain.hosts.perimeter import HELD, Listener, Perimeter, ReplicaTries

_ALL = ("", "*", "0.0.0.0", "::")  # noqa: S104 - what to look for, nothing to listen at
# The first port at which engines on several hosts find each other, see `toolkit_interconnect`.
_FIRST_BETWEEN_HOSTS = 28000


@dataclass(frozen=True, slots=True)
class SeenListener:
    """A listener, what it is, and whether it should not be there."""

    listener: Listener
    is_what: str
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class JudgedPerimeter:
    """A host's perimeter with what is wrong with it in words, each a `finding`."""

    perimeter: Perimeter
    listeners: tuple[SeenListener, ...]
    findings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the document that `--json` prints; the audit log has its digest."""
        return {
            "findings": list(self.findings),
            "firewall": self.perimeter.firewall,
            "replicas": [
                {**asdict(each), "tries": [asdict(one) for one in each.tries]}
                for each in self.perimeter.replicas
            ],
            "listeners": [
                {**asdict(each.listener), "is": each.is_what, "wrong": each.wrong}
                for each in self.listeners
            ],
        }


def judge(host: Host, facts: HostFacts, perimeter: Perimeter) -> JudgedPerimeter:
    """Return the verdict on a host; without findings its perimeter is as the fleet file says."""
    seen = tuple(_seen(host, facts, perimeter, each) for each in perimeter.listeners)
    findings = [words for each in perimeter.replicas for words in _reached(each)]
    tried = {(each.model, each.slot) for each in perimeter.replicas}
    findings += [
        f"{each.model}-{each.slot} runs, and nothing was tried from where it is"
        for each in facts.slots
        # A replica that rests has no engine; without systemd, root waits in its place.
        if each.process is ProcessState.RUNNING
        and not each.rests
        and (each.model, each.slot) not in tried
    ]
    findings += [
        f"{each.listener.program or 'a program'} of {each.listener.user} listens at "
        f"{each.listener.place}: {each.is_what}"
        for each in seen
        if each.wrong
    ]
    if facts.router.running and not any(
        _at(host.router_bind, each) for each in perimeter.listeners
    ):
        findings.append(f"nothing listens at {host.router_bind}, where the router belongs")
    if host.settings.get("toolkit_firewall") and not perimeter.firewall:
        findings.append("the firewall of the fleet file is not loaded")
    return JudgedPerimeter(perimeter, seen, tuple(findings))


def _reached(replica: ReplicaTries) -> Iterable[str]:
    if replica.fault:
        yield f"nothing could be tried from where {replica.program} is: {replica.fault}"
        return
    for each in replica.tries:
        if each.outcome == "through":
            yield f"{replica.program} reaches {each.what}: {each.to}"
    if not any(each.outcome in (*HELD, "through") for each in replica.tries):
        yield f"nothing was refused to {replica.program}, so nothing shows that its fence stands"


def _seen(host: Host, facts: HostFacts, perimeter: Perimeter, listener: Listener) -> SeenListener:
    """Return a listener with its role and whether it should be there."""
    replicas = {
        host.slot_user(f"{each.model}-{each.slot}"): f"{each.model}-{each.slot}"
        for each in facts.slots
    }
    spans = {
        f"{each.model}-{each.slot}" for each in facts.slots if each.release and each.release.span
    }
    program = replicas.get(listener.user)
    if program:
        among = program in spans and listener.port >= _FIRST_BETWEEN_HOSTS
        words = f"replica {program}" + (", for its other hosts" if among else "")
        wrong = not (_is_inner(listener) or among or program in spans)
        return SeenListener(
            listener, f"{words}, which belongs on loopback" if wrong else words, wrong
        )
    for name, bind in _binds(host):
        if listener.protocol == "tcp" and _at(bind, listener):
            return SeenListener(listener, name)
    if listener.user == host.user:
        where = "" if _is_inner(listener) else ", where the fleet file has nothing"
        return SeenListener(listener, f"the router{where}", bool(where))
    return _of_others(host, perimeter, listener)


def _of_others(host: Host, perimeter: Perimeter, listener: Listener) -> SeenListener:
    if _is_inner(listener):
        return SeenListener(listener, "loopback; replicas reach it")
    if (
        listener.user == "root"
        and listener.program in ("sshd", "systemd")
        and _is_ssh(host, listener)
    ):
        return SeenListener(listener, "ssh")
    if _allowed(host.settings.get("toolkit_firewall_allow", ()), listener):
        return SeenListener(listener, "toolkit_firewall_allow")
    if host.settings.get("toolkit_firewall") and perimeter.firewall:
        return SeenListener(listener, "closed by the firewall")
    # Without a firewall, half of all programs on a machine have a socket that takes packets: time, names, leases.
    if listener.protocol == "udp":
        return SeenListener(listener, "udp, of another program")
    return SeenListener(listener, "the fleet file does not name it", wrong=True)


def _binds(host: Host) -> list[tuple[str, str]]:
    found = [("router", host.router_bind), ("metrics", host.router_metrics_bind)]
    if host.relay_bind:
        swarm = f"{host.relay_address}:{host.relay_port + 1}"
        found += [("relay", host.relay_bind), ("weights on their way", swarm)]
    return found


def _at(bind: str, listener: Listener) -> bool:
    """Whether a listener is at `bind`, ADDRESS:PORT: no wider, and no other."""
    address, _, port = bind.rpartition(":")
    address = "127.0.0.1" if address == "localhost" else address.strip("[]")
    return port == str(listener.port) and (address in _ALL or address == listener.address)


def _is_inner(listener: Listener) -> bool:
    return listener.address == "::1" or is_loopback(listener.address)


def _is_ssh(host: Host, listener: Listener) -> bool:
    """Whether it is where the toolkit logs in, as far as the fleet file tells: a `Host` of ssh's may have another."""
    ports = [re.fullmatch(r"Port=([0-9]+)", each) for each in host.ssh_options]
    named = [found[1] for found in ports if found]
    return listener.protocol == "tcp" and (not named or str(listener.port) in named)


def _allowed(openings: Iterable[Mapping[str, Any]], listener: Listener) -> bool:
    return any(
        (each["port"], each.get("protocol", "tcp")) == (listener.port, listener.protocol)
        for each in openings
    )
