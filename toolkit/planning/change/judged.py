"""The order for a guard with its probes, and what guards say of deployments that no command carries out any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from toolkit.domain.deployment.release import Deployment, Release, ReleaseAdapter
from toolkit.domain.gates.kind import Kind
from toolkit.domain.gates.verdict import GuardPhase, Unsure, Verdict
from toolkit.domain.hosts.facts import GuardFacts, HostFacts
from toolkit.domain.registry.release_parts import Check
from toolkit.hostside.guard_names import order_path
from toolkit.planning.change.gate import gate_payload
from toolkit.planning.guard.checks import TEXTS, check_payload
from toolkit.planning.guard.kinds import PATHS

# Loaded where a guard is given its order: a rollback has none, and must start at once.
if TYPE_CHECKING:
    from toolkit.domain.gates.golden import GoldenPrompt
    from toolkit.domain.gates.guard import AdapterReturn, Guard, GuardOrder, PairedProbe

# Golden prompts among the probes, and the tokens of such an answer: each pair must be quick.
_MOST, _TOKENS = 8, 64


def guard_order(
    guard: Guard,
    rollout: str,
    release: Release,
    slot: str,
    former: Release | None,
    beside: str,
    prompts: Iterable[GoldenPrompt] = (),
) -> GuardOrder:
    """Return the order for the guard of `release` in `slot`, before its first phase.

    The `former` release stands beside it in the slot `beside`, empty where none does. Checks and the short ones of the
    golden `prompts` that the release has passed are its probes. A version that declares neither canary nor bake is
    watched as long as a command would watch it, and sent no probes.
    """
    order = _bare_order(guard, rollout, release, slot, beside)
    if not guard.steps and guard.bake is None:
        return replace(order, patience=0.0, unsure=Unsure.GO_ON)
    same = former is not None and replace(release, number=0, engine="") == replace(
        former, number=0, version=release.version, engine=""
    )
    checks = tuple(_probe(release, each, same) for each in _checks(release))
    return replace(order, probes=(*checks, *golden_probes(release, prompts, same=same)))


def adapter_order(
    guard: Guard, rollout: str, release: Release, slot: str, swapped: AdapterReturn
) -> GuardOrder:
    """Return the order for the guard of adapters that change in the replica of `slot`, without its probes."""
    return replace(_bare_order(guard, rollout, release, slot), adapters=swapped)


def _bare_order(
    guard: Guard, rollout: str, release: Release, slot: str, beside: str = ""
) -> GuardOrder:
    """Return an order without probes, before its first phase."""
    from toolkit.domain.gates.guard import GuardOrder

    return GuardOrder(
        rollout=rollout,
        model=release.model,
        slot=slot,
        former=beside,
        release=release.number,
        version=release.version,
        phase=GuardPhase.SHARE,
        seconds=0.0,
        patience=guard.patience,
        unsure=guard.unsure,
        tolerance=guard.tolerance,
    )


def adapter_probes(
    release: Release, adapter: ReleaseAdapter, former: str, prompts: Iterable[GoldenPrompt]
) -> tuple[PairedProbe, ...]:
    """Return a guard's probes of an adapter of `release`: its checks, and the short ones of the passed `prompts`.

    `former` is the name under which the replica has the version that served before; empty where none did.
    """
    asked = replace(release, model=adapter.name, checks=adapter.checks)
    checks = tuple(_probe(asked, each, False) for each in _checks(asked))
    found = (*checks, *golden_probes(asked, prompts, same=False))
    return tuple(replace(each, former=former) for each in found)


def guard_of(facts: HostFacts, rollout: str) -> GuardFacts | None:
    """Return the guard that the host has for a deployment of `rollout`."""
    return next((each for each in facts.guards if rollout and each.rollout == rollout), None)


def baking(facts: HostFacts, model: str = "") -> tuple[GuardFacts, ...]:
    """Return the guards that still watch a release, of `model` alone where it is given, under all traffic.

    They need no command: what they find is recorded by whoever looks next.
    """
    return tuple(
        each
        for each in facts.guards
        if each.phase is GuardPhase.BAKE and each.verdict is None and model in ("", each.model)
    )


def is_unjudged(facts: HostFacts, deployment: Deployment) -> bool:
    """Whether the release of an open deployment has all traffic and answers, and the order of its guard is lost.

    Such a release may be bad, also once a repair has forgotten the lost order. A command about another model must not
    decide that.
    """
    forgotten = any(
        each.unjudged for each in facts.open_deployments if each.rollout == deployment.rollout
    )
    lost = order_path(deployment.model) in facts.lost_guards
    new = next((each for each in facts.slots_of(deployment.model) if each.serving), None)
    return (
        (lost or forgotten)
        and guard_of(facts, deployment.rollout) is None
        and new is not None
        and not new.share
        and new.slot == deployment.slot
        and new.release is not None
        and new.release.number == deployment.release
    )


def model_of_order(facts: HostFacts, path: str) -> str:
    """Return the model whose guard has its order at `path`, below the root of the host; else the name of the file."""
    known = [each.model for each in facts.open_deployments] + [each.model for each in facts.slots]
    names = (each for each in known if order_path(each) == path)
    return next(names, path.removeprefix("guard/").removesuffix(".json"))


def failed_rollouts(facts: Iterable[HostFacts]) -> frozenset[str]:
    """Return the rollouts whose release a guard on any host has found to be no good, or has returned from its bake.

    A share that went back with its command's lock says nothing of other hosts, unless they run one replica together.
    """
    return frozenset(
        each.rollout
        for host in facts
        for each in host.guards
        if (each.verdict and each.verdict.verdict is Verdict.FAILED)
        or (
            each.must_go
            and each.withdrawn
            and (each.phase is GuardPhase.BAKE or _is_part(host, each))
        )
    )


def _is_part(host: HostFacts, guard: GuardFacts) -> bool:
    """Whether the host has a part of a replica that runs on several hosts, which is whole or not at all."""
    return any(
        each.release is not None and each.release.span is not None and each.slot == guard.slot
        for each in host.slots_of(guard.model)
    )


def _checks(release: Release) -> tuple[Check, ...]:
    return release.checks or (Check("Say hello."),)


def _probe(release: Release, check: Check, same: bool) -> PairedProbe:
    kind = Kind(check.kind)
    if kind not in TEXTS:
        return check_probe(release, check, same=same)
    from toolkit.domain.gates.guard import PairedProbe

    return PairedProbe(PATHS[kind], gate_payload(release, check), check.contains, same)


def golden_probes(
    release: Release, prompts: Iterable[GoldenPrompt], *, same: bool
) -> tuple[PairedProbe, ...]:
    """Return the golden prompts that a guard can judge by one text in a short answer, as probes of `release`.

    With `same` nothing about answers is meant to change.
    """
    return tuple(_golden(release, prompts, same))[:_MOST]


def check_probe(release: Release, check: Check, *, same: bool) -> PairedProbe:
    """Return a check of `release` that asks for no text as a probe."""
    payload = check_payload(release.model, check)
    from toolkit.domain.gates.guard import PairedProbe

    return PairedProbe(PATHS[Kind(check.kind)], payload, "", same)


def _golden(release: Release, prompts: Iterable[GoldenPrompt], same: bool) -> Iterator[PairedProbe]:
    from toolkit.domain.gates.guard import PairedProbe

    for prompt in prompts:
        expect = prompt.expect
        texts = [each for each in (expect.exact, *expect.contains) if each]
        short = prompt.payload.get("max_tokens", 0) <= _TOKENS
        if prompt.kind in TEXTS and prompt.tries == 1 and short and len(texts) == 1:
            payload = {"model": release.model, **prompt.payload}
            yield PairedProbe(PATHS[prompt.kind], payload, texts[0].strip(), same)
