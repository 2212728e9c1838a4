"""Evidence for an answer: from what its headers say back to files, licence, gates and the lines of the audit log.

The document has `content` and `lines`. The last of the lines is this command's own intent, whose `plan` is the digest
of `content`; each line has the digest of the one before. So the head of the log, which the hosts keep and which anybody
may publish, vouches for every byte. `toolkit/check_evidence.py` checks that with nothing but Python.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.domain.clients.evidence import Answered, Claim
from toolkit.domain.deployment.release import Release
from toolkit.domain.gates.verdict import GateRecord
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.domain.trail.audit import Line, release_digest
from toolkit.errors import InputError, IntegrityError
from toolkit.planning.evidence.decision import LicenceDecision

FORMAT = "toolkit evidence 1"


@dataclass(frozen=True, slots=True)
class HostProof:
    """A host with the release's files, as it is now; `label` stands before its slots in the headers of answers.

    `files` is path -> {"size", "sha256"} or {"fault"} of each snapshot, hashed just now, by the snapshot's digest.
    `engine` is how the engine's files compare with their installation, in words; empty where nothing differs, and
    `sealed` whether there was anything to compare with.
    """

    label: str
    facts: HostFacts
    files: Mapping[str, Mapping[str, Mapping[str, Any]]]
    sealed: bool
    engine: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProofFacts:
    """The facts of evidence; `log` is the id of the audit log, `at` in seconds since the epoch."""

    release: Release
    claim: Claim
    answered: Answered | None
    decision: LicenceDecision
    gates: tuple[GateRecord, ...]
    hosts: tuple[HostProof, ...]
    toolkit: str
    machine: str
    log: str
    at: float


def agreed(
    claim: Claim, lines: Sequence[Answered], model: str, adapters: Collection[str] = ()
) -> Answered | None:
    """Return the one request that is meant, among the `lines` of its id; None where no log has it.

    It asked for `model`, which is empty where nobody names one, or for one of its `adapters`.
    Raises InputError where another model answered it, or where several requests have the id and the answer's headers do
    not tell them apart, and IntegrityError where the log has another release than the headers.
    """
    mine = [each for each in lines if not model or each.model in (model, *adapters)]
    if lines and not mine:
        others = ", ".join(sorted({each.model for each in lines}))
        raise InputError(
            f"request {claim.request_id} was answered by {others}, not by {model}",
            hint=f"toolkit prove --request-id {claim.request_id}",
        )
    fitting = [each for each in mine if _fits(claim, each)]
    if mine and not fitting:
        there = ", ".join(f"{each.version} #{each.release} of {each.model}" for each in mine)
        raise IntegrityError(
            f"the headers are not those of request {claim.request_id}: "
            f"they say {claim.version} #{claim.release}, and the router's log says {there}",
            hint="ask whoever gave you the headers",
        )
    origins = {(each.model, each.release, each.slot) for each in fitting}
    if len(origins) > 1:
        there = ", ".join(f"{each.model} #{each.release} at {each.at}" for each in fitting)
        raise InputError(
            f"several requests have the id {claim.request_id}: {there}",
            hint="name the answer too: toolkit prove --answer-headers FILE",
        )
    return fitting[0] if fitting else None


def _fits(claim: Claim, line: Answered) -> bool:
    return (
        claim.version in ("", line.version)
        and claim.release in (None, line.release)
        and claim.slot in ("", line.slot)
    )


def chosen_release(
    facts: Iterable[HostFacts],
    known: Iterable[Release],
    model: str,
    number: int | None,
    *,
    asked: str = "",
    version: str = "",
) -> Release:
    """Return release `number` of a model, or of the model with an adapter of that name; without one, what serves,
    or will when its model wakes.

    `asked` is the name in the request, of the model or of its adapter, and `version` that of the release; both are
    empty where nothing tells them. Raises InputError where there is none, and where several models had the adapter in
    releases of that number, and IntegrityError where a host and the history have different ones.
    """
    slots = [
        (slot, slot.release)
        for each in facts
        for slot in each.slots
        if slot.release and _named(slot.release, model) and _named(slot.release, asked or model)
    ]
    if number is None:
        serving = [release for slot, release in slots if slot.has_part]
        if not serving:
            raise InputError(f"nothing serves {model}", hint="toolkit status")
        number = max(each.number for each in serving)
    found = [release for _, release in slots if release.number == number]
    found += [
        each
        for each in known
        if each.number == number and _named(each, model) and _named(each, asked or model)
    ]
    # Another model may have had the adapter before, in a release of the same number.
    found = [each for each in found if each.version == version] or found
    if len(models := sorted({each.model for each in found})) > 1:
        raise InputError(
            f"{model} is an adapter in releases #{number} of {' and of '.join(models)}",
            hint=f"name the model that answered, with the same options: toolkit prove {models[0]}",
        )
    if not found:
        with_it = f" with the adapter {asked}" if asked not in ("", model) else ""
        raise InputError(
            f"neither the hosts nor this history know release #{number} of {model}{with_it}",
            hint=f"toolkit releases {model}",
        )
    if len({release_digest(each.as_json()) for each in found}) > 1:
        raise IntegrityError(
            f"hosts and history have different releases #{number} of {model}",
            hint=f"toolkit status; toolkit releases {model}",
        )
    return found[0]


def _named(release: Release, model: str) -> bool:
    return model == release.model or model in {each.name for each in release.adapters}


def hosts_of(
    release: Release,
    hosts: Sequence[Host],
    facts: Mapping[str, HostFacts],
    claim: Claim,
    answered: Answered | None,
) -> tuple[str, ...]:
    """Return the names of the hosts to hash files on: the one that answered, else all that run the release.

    A slot names its host, unless that was the only one of its fleet: then its own router logged the request. Where none
    runs the release any more, all that still have its files. Raises InputError where there is none.
    """
    slot = answered.slot if answered else claim.slot
    label, _, _ = slot.rpartition(".")
    alone = answered.host if answered and slot and not label else ""
    there = [
        each
        for each in hosts
        if each.name in facts and label in ("", each.label) and alone in ("", each.name)
    ]
    runs = [
        each.name
        for each in there
        if any(one.release and _same(one.release, release) for one in facts[each.name].slots)
    ]
    holds = [each.name for each in there if release.snapshot in facts[each.name].snapshots]
    if not runs and not holds:
        where = f" on {alone}" if alone else f" on the host of {slot}" if label else ""
        raise InputError(
            f"no files of {release.title} are left{where}, so nothing can be hashed",
            hint=f"toolkit releases {release.model}",
        )
    return tuple(runs or holds)


def _same(one: Release, other: Release) -> bool:
    return (one.model, one.number) == (other.model, other.number)


def content_of(facts: ProofFacts) -> dict[str, Any]:
    """Return the content of the evidence."""
    release = facts.release
    body = release.as_json()
    found: dict[str, Any] = _plain(
        {
            "made_at": facts.at,
            "toolkit": facts.toolkit,
            "machine": facts.machine,
            "log": facts.log,
            "model": release.model,
            "answer": {
                "request_id": facts.claim.request_id,
                "version": facts.claim.version,
                "release": facts.claim.release,
                "slot": facts.claim.slot,
            },
            "logged": facts.answered.as_json() if facts.answered else None,
            "release": body,
            "release_digest": release_digest(body),
            "licence": _licence(facts.decision),
            "gates": [
                each.as_json() for each in facts.gates if each.release == facts.release.number
            ],
            "hosts": [_host(each, release) for each in facts.hosts],
        }
    )
    return found


def first_line(lines: Sequence[Line], release: Release, last: int) -> int:
    """Return the sequence of the first line that names the release, `last` where none does."""
    title = f"{release.model}@{release.version} #{release.number}"
    digest = release_digest(release.as_json())
    for line in lines:
        digests, titles = line.record.get("release_digests"), line.record.get("releases")
        named = isinstance(digests, Mapping) and digest in digests.values()
        if line.sequence <= last and (named or (isinstance(titles, list) and title in titles)):
            return line.sequence
    return last


def evidence(content: Mapping[str, Any], lines: Iterable[Line]) -> dict[str, Any]:
    """Return the document; the last of the `lines` names the digest of `content`."""
    listed = [{name: getattr(line, name) for name in Line.__dataclass_fields__} for line in lines]
    return {"format": FORMAT, "content": content, "lines": listed}


def evidence_text(document: Mapping[str, Any]) -> str:
    """Return the one text of a document: whoever checks it refuses any other."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _licence(decision: LicenceDecision) -> dict[str, Any]:
    version = decision.version
    return {
        "licence": version.licence if version else "",
        "openness": str(version.openness) if version else "",
        "allowed": decision.allowed,
        "reason": decision.reason,
        "registry": decision.registry,
        "lock": decision.lock,
    }


def _host(proof: HostProof, release: Release) -> dict[str, Any]:
    facts = proof.facts
    slots = [each for each in facts.slots if each.release and _same(each.release, release)]
    return {
        "host": facts.name,
        "label": proof.label,
        "observed_at": facts.observed_at,
        "slots": [
            {
                "slot": each.slot,
                "process": str(each.process),
                "started_at": each.started_at,
                "takes_traffic": each.weight > 0,
                "release_digest": release_digest(each.release.as_json()) if each.release else "",
                "differs": list(each.drift),
                "fences": list(each.fences),
            }
            for each in slots
        ],
        "changed_files": list(facts.changed_files),
        "engine": {"id": release.engine, "compared": proof.sealed, "differs": list(proof.engine)},
        "snapshots": {
            digest: [
                [path, each.get("size"), each.get("sha256", ""), each.get("fault", "")]
                for path, each in sorted(found.items())
            ]
            for digest, found in proof.files.items()
        },
    }


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it: texts without lone surrogates, lists, and mappings by texts."""
    if isinstance(value, Mapping):
        return {_plain(str(name)): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value
