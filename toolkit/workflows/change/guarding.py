"""The guard of a host during a deployment: its order, its phases, and its verdicts for the history."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.domain.deployment.plan import Step
from toolkit.domain.deployment.release import Deployment, Release
from toolkit.domain.gates.verdict import (
    GateRecord,
    GateResult,
    GuardPhase,
    Unsure,
    Verdict,
    figure_words,
)
from toolkit.domain.hosts.facts import GuardFacts, HostFacts
from toolkit.errors import HostError, ReleaseFailedError
from toolkit.planning.change.judged import adapter_order, guard_of, guard_order
from toolkit.workflows.guard.files import passed_prompts
from toolkit.workflows.tools import Tools

if TYPE_CHECKING:
    from toolkit.domain.gates.guard import AdapterReturn, Guard, PairedProbe

# Seconds between two lines of progress.
_EACH = 10


class Guarding:
    """The guard of one host on the release of one deployment. `facts` are the host's before the change.

    Guards of so many `hosts` judge the same rollout.
    """

    def __init__(
        self, tools: Tools, guard: Guard, rollout: str, facts: HostFacts, hosts: int
    ) -> None:
        self._tools, self._guard, self._rollout, self._facts = tools, guard, rollout, facts
        self._hosts = hosts
        self._begun = False
        # The action where the guard cannot tell.
        self._unsure = Unsure.GO_ON
        self._said = 0.0

    def begin(self, release: Release, slot: str, stopped: set[str], passed: frozenset[str]) -> None:
        """Give the host the order, before any traffic; `stopped` are the slots whose replica is stopped.

        Of the golden prompts those that the release has `passed` may be probes. Others may be lost, or nobody knows.
        """
        if self._begun:
            return
        current = self._facts.serving_slot(release.model)
        beside = current.slot if current and current.slot not in {slot, *stopped} else ""
        former = current.release if current else None
        prompts = passed_prompts(self._guard, passed)
        order = guard_order(self._guard, self._rollout, release, slot, former, beside, prompts)
        self._tools.host.guard_begin(replace(order, hosts=self._hosts))
        # A release that serves alone stays unless it is proven bad: an outage until the former one starts is worse.
        self._begun, self._unsure = True, order.unsure if beside else Unsure.GO_ON

    def begin_adapters(
        self, release: Release, slot: str, swapped: AdapterReturn, probes: tuple[PairedProbe, ...]
    ) -> None:
        """Give the host the order for adapters that the replica in `slot` has exchanged, before requests meet them."""
        order = adapter_order(self._guard, self._rollout, release, slot, swapped)
        self._tools.host.guard_begin(replace(order, probes=probes, hosts=self._hosts))
        self._begun, self._unsure = True, order.unsure

    def follow(self, release: Release, step: Step, phase: GuardPhase) -> bool:
        """Return once the guard has judged the phase of `step`, and whether a person ended it by a promotion.

        Raises ReleaseFailedError where the release is no good, or where nobody could tell and the version says that the
        traffic goes back then.
        """
        host, model = self._tools.host, release.model
        try:
            host.guard_phase(model, phase, step.seconds, step.requests, step.share)
        except HostError:
            known = guard_of(host.observe(), self._rollout)
            if known is None or not (known.must_go or known.withdrawn or known.wish == "abort"):
                raise
            # Of an abort a moment ago the guard's verdict is still to come.
            raise self._refused(release, host.guard_follow(model, self._watching)) from None
        result = host.guard_follow(model, self._watching)
        known = guard_of(host.observe(), self._rollout)
        # The host itself withdraws nothing where its watch has died.
        unsure = result.verdict is Verdict.UNKNOWN and self._unsure is Unsure.RETURN
        if result.verdict is Verdict.FAILED or unsure or (known and known.withdrawn):
            raise self._refused(release, result)
        keep_result(self._tools, release, self._rollout, result)
        if result.verdict is Verdict.UNKNOWN:
            self._tools.say(f"  {result.gate}: could not tell: {result.reason}; going on")
        elif known and known.wish:
            self._tools.say(f"  {result.reason}")
        return bool(known and known.wish == "promote")

    def _refused(self, release: Release, result: GateResult) -> ReleaseFailedError:
        keep_result(self._tools, release, self._rollout, result)
        return guard_failure(release, result)

    def _watching(self, event: Mapping[str, Any]) -> None:
        # Another host of the batch may have failed: its neighbours keep no share until their own verdict.
        self._tools.routers.check()
        now = self._tools.clock()
        if now - self._said >= _EACH:
            self._said = now
            words = event.get("words") or f"{event['requests']} requests, {event['probes']} probes"
            self._tools.say(f"  {event['phase']}: {words}; {event['seconds_left']:.0f} s left")


def guard_failure(release: Release, result: GateResult) -> ReleaseFailedError:
    """Return the error of a release that its guard has returned."""
    figures = "".join(f"\n  {figure_words(each)}" for each in result.figures)
    verb = "failed" if result.verdict is Verdict.FAILED else "could not be judged in"
    return ReleaseFailedError(
        f"{release.title} {verb} its {result.gate}: {result.reason}{figures}",
        hint=f"toolkit releases {release.model} --gates; toolkit logs {release.model} --previous",
    )


def keep_result(tools: Tools, release: Release, rollout: str, result: GateResult) -> None:
    """Record what a gate found of `release` on the host of `tools`."""
    name, now = tools.host.name, tools.clock()
    tools.history.add_gate(GateRecord(release.model, release.number, name, rollout, now, result))
    tools.trail.judged(name, result)


def keep_verdict(tools: Tools, guard: GuardFacts | None) -> None:
    """Record what a guard has found without a command, if it has come to a verdict that is not known yet.

    A command that followed the guard has recorded the verdict before it restores the host.
    """
    if guard is None or guard.verdict is None:
        return
    name, found = tools.host.name, guard.verdict
    known = tools.history.gates_of(guard.model, name, guard.rollout)
    if (found.gate, found.verdict) not in {(x.result.gate, x.result.verdict) for x in known}:
        tools.history.add_gate(gate_record(name, guard, found, tools.clock()))
        tools.trail.judged(name, found)


def is_returned(tools: Tools, deployment: Deployment) -> bool:
    """Whether the guard of any host has found the release of `deployment` to be no good, by the history."""
    known = tools.history.gates(deployment.model, deployment.release) if deployment.rollout else []
    return any(each.returned and each.rollout == deployment.rollout for each in known)


def gate_record(host: str, guard: GuardFacts, verdict: GateResult, now: float) -> GateRecord:
    """Return the record of a verdict that a host's guard came to; `now` is in seconds since the epoch."""
    return GateRecord(guard.model, guard.release, host, guard.rollout, now, verdict)


def end_guard(tools: Tools, model: str, rollout: str) -> None:
    """Have the host forget its guard of a deployment that ends. One that stays is forgotten with the next order."""
    if rollout:
        with suppress(HostError):
            tools.host.guard_end(model, rollout)
