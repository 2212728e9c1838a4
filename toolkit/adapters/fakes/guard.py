"""The guard of a host in memory: it judges a release by its version's behaviour, and withdraws its target."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

from toolkit.adapters.hosts.client import Report
from toolkit.adapters.hosts.port import Named
from toolkit.domain.gates.guard import AdapterReturn, GuardOrder
from toolkit.domain.gates.verdict import Figure, GateResult, GuardPhase, Unsure, Verdict
from toolkit.domain.hosts.facts import GuardFacts, HostFacts
from toolkit.errors import HostError

LEASE_ENDED = "the lease ended: the command that held the deployment lock is gone"


@dataclass
class FakeGuards:
    """The guards of one host. `judge` returns the verdict on the release that a guard watches.

    `label` is the host's name in routes. By model, `orders` are those of the guards that stand, and `actors` the
    persons who had a wish.
    """

    judge: Callable[[GuardFacts], GateResult]
    now: float = 0.0
    orders: dict[str, GuardOrder] = field(default_factory=dict)
    facts: dict[str, GuardFacts] = field(default_factory=dict)
    actors: dict[str, str] = field(default_factory=dict)

    def begin(self, order: GuardOrder) -> None:
        """Keep the order of a new guard."""
        self.orders[order.model] = order
        self.facts[order.model] = GuardFacts(
            model=order.model,
            slot=order.slot,
            former=order.former,
            release=order.release,
            version=order.version,
            rollout=order.rollout,
            phase=order.phase,
            since=self.now,
            seconds=order.seconds,
            share=order.share,
        )

    def enter(self, host: str, model: str, phase: GuardPhase, seconds: float, share: int) -> None:
        """Begin the next phase; raises HostError where no guard stands or where it has withdrawn."""
        known = self._standing(host, model)
        if known.withdrawn or known.must_go:
            why = known.withdrawn or (known.verdict.reason if known.verdict else "")
            words = f"the guard of {model} has withdrawn {known.slot}: {why}"
            raise HostError(f"{host}: guard-phase: {words}", hint="toolkit status")
        if known.wish == "abort":
            words = f"{known.slot} of {model} was aborted by {self.actors[model]}"
            raise HostError(f"{host}: guard-phase: {words}", hint="toolkit status")
        # A promotion is of all shares of the canary.
        lasts = known.wish == "promote" and known.phase is phase is GuardPhase.SHARE
        after = replace(known, phase=phase, seconds=seconds, share=share, since=self.now)
        wish = known.wish if lasts else ""
        self.facts[model] = replace(after, verdict=None, wish=wish, watched=0.0)

    def follow(self, host: str, model: str, report: Report) -> GateResult:
        """Report one event, and return the verdict."""
        known = self._standing(host, model)
        report(
            {
                "phase": str(known.phase),
                "seconds_left": known.seconds,
                "requests": known.requests,
                "probes": known.probes,
                "figures": [],
                "words": "",
            }
        )
        self.look(model)
        verdict = self.facts[model].verdict
        assert verdict is not None
        return verdict

    def wish(self, model: str, wish: str, actor: str) -> bool:
        """Keep the wish; the guard judges by it when it looks next."""
        known = self.facts.get(model)
        ended = known and known.phase is GuardPhase.BAKE and known.verdict is not None
        if known is None or ended or known.withdrawn or known.must_go:
            return False
        if known.wish == "abort" and wish == "promote":
            return False
        self.facts[model], self.actors[model] = replace(known, wish=wish), actor
        return True

    def end(self, model: str, rollout: str) -> None:
        """Forget the guard of this rollout."""
        if model in self.facts and self.facts[model].rollout == rollout:
            del self.facts[model], self.orders[model]

    def look(self, model: str, *, leased: bool = True) -> None:
        """Come to the verdict on the phase at hand, as a host does whether a command follows or not.

        While a share stands, a host whose deployment lock is not held (`leased`) gives the traffic back.
        """
        known = self.facts[model]
        if known.phase is GuardPhase.SHARE and not leased and not known.withdrawn:
            self._judged(model, GateResult(_gate(known), Verdict.UNKNOWN, LEASE_ENDED))
        elif known.wish == "abort" and not known.must_go:
            words = f"aborted by {self.actors[model]}"
            self._judged(model, GateResult(_gate(known), Verdict.FAILED, words))
        elif known.verdict is None and known.wish:
            words = f"promoted by {self.actors[model]}"
            self._judged(model, GateResult(_gate(known), Verdict.PASSED, words))
        elif known.verdict is None:
            figures = (Figure("errors", 0.0, 0.0, "%"),)
            found = self.judge(known)
            self._judged(model, replace(found, figures=found.figures or figures))

    def _judged(self, model: str, verdict: GateResult) -> None:
        known, order = self.facts[model], self.orders[model]
        returns = verdict.verdict is Verdict.UNKNOWN and (
            order.unsure is Unsure.RETURN or verdict.reason == LEASE_ENDED
        )
        goes = verdict.verdict is Verdict.FAILED or returns
        self.facts[model] = replace(
            known,
            verdict=verdict,
            must_go=goes,
            figures=verdict.figures,
            watched=known.seconds,
        )

    def withdrawn(self, model: str) -> None:
        """Note that the host has withdrawn what must go."""
        known = self.facts[model]
        reason = known.verdict.reason if known.verdict else ""
        self.facts[model] = replace(known, withdrawn=reason or "withdrawn")

    def _standing(self, host: str, model: str) -> GuardFacts:
        if model not in self.facts:
            raise HostError(f"{host}: no guard of {model} watches here", hint="toolkit status")
        return self.facts[model]


def without_target(
    routes: str, label: str, model: str, slot: str, up: Collection[str]
) -> tuple[str, bool]:
    """Return the text of `routes.json` after the host `label` has withdrawn its target `slot` of `model`, if it can.

    A standby beside it takes the target's part, see `toolkit/hostside/withdraw.py`; `up` are the host's slots whose
    replica answers. Where nothing else that is up would serve, the target stays. Other hosts' targets count as up.
    """
    data: dict[str, Any] = json.loads(routes)
    for route in data.get("routes", ()):
        if route["model"] != model:
            continue
        own = {each["slot"]: each for each in route["targets"] if each.get("host", "") == label}
        others = [each for each in route["targets"] if each.get("host", "") != label]
        target = own.pop(slot, None)
        if target is None or target.get("withdrawn"):
            return routes, target is not None
        heirs = [each for each in own.values() if target["weight"] and each.get("standby")]
        serving = [
            each for name, each in own.items() if name in up and (each["weight"] or each in heirs)
        ]
        if not serving and not any(each["weight"] for each in others):
            return routes, False
        for each in heirs:
            each["weight"] = target["weight"]
            del each["standby"]
        target.pop("share", None)
        target.pop("standby", None)
        target.update(weight=0, withdrawn=True)
        data["serial"], data["own"] = data.get("serial", 0) + 1, data.get("own", 0) + 1
    return json.dumps(data, indent=2) + "\n", True


def _gate(known: GuardFacts) -> str:
    return "bake" if known.phase is GuardPhase.BAKE else "canary"


class Guarded(Named):
    """The methods of a host in memory that concern its guards."""

    guards: FakeGuards
    facts: HostFacts
    files: dict[str, str]
    loaded: str

    @property
    def leased(self) -> bool:
        """Whether a command holds the host's deployment lock."""
        raise NotImplementedError

    def require_lock(self) -> None:
        """Raise HostError where the command has lost the lock."""
        raise NotImplementedError

    def happens(self, event: str) -> None:
        """Note that `event` happens on the host."""
        raise NotImplementedError

    def note_withdrawn(self, model: str, slot: str) -> None:
        """Note that the guard has withdrawn the release in a slot."""
        raise NotImplementedError

    def _give_back(self, known: GuardFacts, swapped: AdapterReturn) -> None:
        """Make the calls of a host whose guard has ended its watch over adapters."""
        raise NotImplementedError

    def guard_begin(self, order: GuardOrder) -> None:
        self.require_lock()
        self.happens(f"guard {order.phase} {order.model}")
        # Through JSON, as to a real host.
        self.guards.begin(GuardOrder.from_json(json.loads(json.dumps(order.as_json()))))

    def guard_phase(
        self, model: str, phase: GuardPhase, seconds: float, requests: int = 0, share: int = 0
    ) -> None:
        self.require_lock()
        self.happens(f"guard {phase} {model}")
        self.guards.enter(self.name, model, phase, seconds, share)

    def guard_follow(self, model: str, report: Report) -> GateResult:
        self.happens(f"follow guard {model}")
        verdict = self.guards.follow(self.name, model, report)
        self._withdraw()
        return verdict

    def guard_wish(self, model: str, wish: str, actor: str) -> bool:
        self.happens(f"{wish} {model}")
        taken = self.guards.wish(model, wish, actor)
        if taken:
            self.guards.look(model, leased=self.leased)
        self._withdraw()
        return taken

    def guard_end(self, model: str, rollout: str) -> None:
        self.happens(f"end guard {model}")
        self.guards.end(model, rollout)

    def guard_looks(self) -> None:
        """Let the host's watch come to its verdicts by itself, as it does where no command follows."""
        for model in self.guards.facts:
            self.guards.look(model, leased=self.leased)
        self._withdraw()

    def _withdraw(self) -> None:
        for known in [*self.guards.facts.values()]:
            swapped = self.guards.orders[known.model].adapters
            done = known.must_go
            if swapped:
                self._give_back(known, swapped)
            elif done:
                up = {each.slot for each in self.facts.slots_of(known.model) if each.healthy}
                at = (self.label, known.model, known.slot, up)
                self.loaded, done = without_target(self.loaded, *at)
                self.files["routes.json"] = self.loaded
                if done:
                    self.note_withdrawn(known.model, known.slot)
            if done and not known.withdrawn:
                self.guards.withdrawn(known.model)
