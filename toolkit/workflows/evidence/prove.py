"""Go from an answer back to its release, hash that release's files on their hosts, and write down what says so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.adapters.audit.log import AuditLog, machine_of
from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.domain.clients.evidence import Answered, Claim
from toolkit.domain.deployment.release import Release
from toolkit.domain.hosts.facts import FleetFacts, HostFacts
from toolkit.domain.trail.audit import Head
from toolkit.errors import HostError, InputError, IntegrityError
from toolkit.planning.evidence.decision import LicenceDecision
from toolkit.planning.evidence.proof import (
    HostProof,
    ProofFacts,
    agreed,
    chosen_release,
    content_of,
    evidence,
    first_line,
    hosts_of,
)
from toolkit.planning.upkeep.audit import examine
from toolkit.workflows.fleet.look import each_at_once, look
from toolkit.workflows.tools import Say

# Records a content's digest in the audit log and returns the log's new head.
Record = Callable[[Mapping[str, Any]], Head]


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """The subject of a proof: an answer by its `claim`, or the serving release of `model` (empty: the log has it)."""

    claim: Claim
    model: str


@dataclass(frozen=True, slots=True)
class ProofSources:
    """The sources of evidence besides hosts, and who vouches for it.

    `decide` judges a release's licence; `record` adds the line to the audit log that names a content. `toolkit` is this
    toolkit's version; `clock` returns seconds since the epoch.
    """

    history: History
    log: AuditLog
    decide: Callable[[Release], LicenceDecision]
    record: Record
    toolkit: str
    clock: Callable[[], float]
    say: Say


@dataclass(frozen=True, slots=True)
class Proved:
    """The document, its release, the names of the hosts that hashed files, and the head that vouches for it."""

    document: Mapping[str, Any]
    release: Release
    hosts: tuple[str, ...]
    head: Head
    answered: Answered | None


def prove(request: ProofRequest, hosts: Sequence[HostPort], sources: ProofSources) -> Proved:
    """Return the evidence; the hosts that hashed files keep the head of its last line.

    Raises InputError where the answer's release cannot be told, IntegrityError
    where the log of this ops machine is not as it was written, and HostError where a host fails.
    """
    log, say = sources.log, sources.say
    _require_whole(log)
    seen = look(hosts)
    answered = _logged(request, hosts, _adapters(request.model, seen, sources.history), say)
    model = request.model or (answered.model if answered else "")
    _require_known(request.claim, answered, model)
    for words in seen.unreachable.values():
        say(f"warning: {words}")
    release = chosen_release(
        seen.facts.values(),
        _recorded(sources.history, model),
        model,
        answered.release if answered else request.claim.release,
        asked=answered.model if answered else model,
        version=answered.version if answered else request.claim.version,
    )
    fleet = [each.host for each in hosts]
    names = hosts_of(release, fleet, seen.facts, request.claim, answered)
    chosen = [each for each in hosts if each.name in names]
    facts = ProofFacts(
        release=release,
        claim=request.claim,
        answered=answered,
        decision=sources.decide(release),
        gates=tuple(sources.history.gates(release.model, release.number)),
        hosts=tuple(
            each_at_once(chosen, lambda host: _hashed(host, seen.facts[host.name], release, say))
        ),
        toolkit=sources.toolkit,
        machine=machine_of(log.home),
        log=_id_of(log),
        at=sources.clock(),
    )
    content = content_of(facts)
    head = sources.record(content)
    lines = examine(*log.read(), ()).lines
    first = first_line(lines, release, head.sequence)
    kept = [each for each in lines if first <= each.sequence <= head.sequence]
    each_at_once(chosen, lambda host: host.keep_head(head))
    return Proved(evidence(content, kept), release, names, head, answered)


def _require_known(claim: Claim, answered: Answered | None, model: str) -> None:
    """Raise InputError where neither a log nor the answer's headers tell its model and its release."""
    if answered is None and claim.request_id and (claim.release is None or not model):
        unknown = "release" if model else "model"
        raise InputError(
            f"no host's log has request {claim.request_id}, so its {unknown} is not known",
            hint="toolkit prove MODEL --answer-headers FILE",
        )


def _require_whole(log: AuditLog) -> None:
    found = examine(*log.read(), ())
    if found.faults:
        raise IntegrityError(
            f"{log.path} is not as it was written, so it vouches for nothing",
            hint="toolkit audit verify",
        )


def _id_of(log: AuditLog) -> str:
    """Return the id of the log; empty where this command writes its first line."""
    return examine(*log.read(), ()).log


def _adapters(model: str, seen: FleetFacts, history: History) -> set[str]:
    """Return the names of all adapters that releases of a model have had."""
    slots = (slot for facts in seen.facts.values() for slot in facts.slots)
    known = [each.release for each in slots if each.release]
    known += [each for each, _ in history.releases(model)] if model else []
    return {adapter.name for each in known if each.model == model for adapter in each.adapters}


def _logged(
    request: ProofRequest, hosts: Sequence[HostPort], adapters: Collection[str], say: Say
) -> Answered | None:
    if not request.claim.request_id:
        return None

    def ask(host: HostPort) -> tuple[Answered, ...]:
        try:
            return host.answered(request.claim.request_id)
        except HostError as error:
            say(f"warning: {error.message}")
            return ()

    lines = [each for of_host in each_at_once(hosts, ask) for each in of_host]
    return agreed(request.claim, lines, request.model, adapters)


def _recorded(history: History, model: str) -> list[Release]:
    """Return the releases of a model; for the name of an adapter those of all models, any of which may have had it."""
    models = history.models()
    names = [model] if model in models else models
    return [each for name in names for each, _ in history.releases(name)]


def _hashed(host: HostPort, facts: HostFacts, release: Release, say: Say) -> HostProof:
    files = {}
    for digest in sorted(release.snapshots):
        say(f"hashing snapshot {digest[:12]} on {host.name}")
        files[digest] = host.hash_files(digest, lambda event: None)
    engine = host.check_engine(release.engine, lambda event: None)
    return HostProof(host.label, facts, files, engine.sealed, engine.faults)
