"""The guard of one release under traffic: it withdraws its target where it must not stay. `guards.py` has them all."""

from __future__ import annotations

import math
import time

import completion
import deployment_lock
import guard_adapters
import guard_follow
import guard_order
import guard_state
import hang as hang_of
import processes
import slot_manifest
import withdraw
from guard_judge import Judge, Look, Side
from guard_order import EMPTIED, LEASE
from guard_probes import Pairs
from guard_replica import Replica
from guard_traffic import Traffic, is_sticky
from trial import FAILED, PASSED, UNKNOWN
from wire import Document

# Memory and the engines' own times are looked at so seldom, because reading them is work.
SELDOM = 5.0
# A host that has booted has so many seconds at least to load the weights again.
READY = 900.0
# A standby that took over by so many seconds after the release was ready again was the earlier one of the two.
BOOTED_SECONDS = 10.0
# The other routers' checks find a withdrawal within half a second, and guards look each second.
TURN = 2.0
# These fields and the model tell the phases of all orders apart.
PHASE = ("model", "rollout", "number", "since")
TAKEN_OVER = "the router found it down, and its standby has taken over"
STANDBY_FIRST = "the host started again, and its standby was ready before it"
NOT_READY = "its replica has not become ready again"


class Guard:
    """The guard of one phase of an order."""

    def __init__(
        self,
        root: str,
        order: Document,
        limits: tuple[float, float],
        usual: tuple[float | None, float],
    ) -> None:
        """`usual` are the former release's mean milliseconds until an answer begins, and its share of failures."""
        self.root, self.order = root, order
        kept, self._usual = guard_order.found(root, order), usual
        self._kept, self._state = kept, guard_state.sound(guard_order.learned(root, order))
        self._program = f"{order['model']}-{order['slot']}"
        self._manifest = slot_manifest.read(root, self._program)
        self._former = (
            slot_manifest.read(root, f"{order['model']}-{order['former']}")
            if order["former"]
            else {}
        )
        # One that ended before the first look is another one than that of the order.
        known = self._state.get("process") or order.get("process", "")
        self._replica = Replica(root, self._program, known)
        if self._replica.booted:
            # When the release was ready again after the host's boot; 0 until then.
            self._state["back"] = 0.0
        self._old = Replica(root, f"{order['model']}-{order['former']}")
        self._port = int(self._manifest.get("port", 0))
        self._hang = hang_of.Watched(root, self._program, self._port, *limits)
        self._judge: Judge | None = None
        self._pairs: Pairs | None = None
        self._seldom, self._since = 0.0, time.monotonic()
        self._concluded, self._said_waiting = self._since, False
        self._adapters = guard_adapters.names_of(order)
        done = bool(kept.get("withdrawn")) or not (self._verdict and self._must_go)
        self._over = bool(kept.get("settled")) and self._is_last and done

    def is_of(self, order: Document) -> bool:
        """Whether this guard watches the phase of the order, and not one of the same rollout that was begun anew."""
        return all(self.order.get(name) == order.get(name) for name in PHASE)

    @property
    def worried(self) -> bool:
        """Whether the last request or probe failed."""
        return self._judge is not None and not self._over and self._judge.worried

    @property
    def ends_at(self) -> float:
        """The moment of the monotonic clock at which the time of its phase is over; inf where no time counts."""
        return self._judge.ends_at if self._judge and not self._verdict else math.inf

    def end(self) -> None:
        """Stop asking."""
        if self._pairs:
            self._pairs.end()

    def look(self, traffic: dict[tuple[str, str], Traffic] | None) -> list[str]:
        """Look once; `traffic` is None between two looks at figures. Return what was done, in words."""
        if self._over:
            return [*self._told_again(), *self._keep_back()] if traffic is not None else []
        if self._verdict and not self._kept.get("settled"):
            # Its turn has not come, the router did not answer, or a guard before was ended before the withdrawal.
            return self._settle()
        if self._is_last:
            return self._withdraw_late() if traffic is not None else []
        if self.order["phase"] == guard_order.SHARE and not self._leased():
            return self._conclude(UNKNOWN, LEASE)
        wish = guard_order.wished(self.root, self.order)
        if wish.get("wish") == "abort":
            return self._conclude(FAILED, f"aborted by {wish.get('actor', '')}")
        if wish and self._verdict != PASSED:
            return self._conclude(PASSED, f"promoted by {wish.get('actor', '')}")
        if traffic is None:
            return []
        if not self._ready():
            if self._state.get("back") == 0.0 and (over := self._taken_over()):
                return self._conclude(*over)
            late = time.monotonic() - self._since > max(self.order["patience"], READY)
            return self._conclude(UNKNOWN, NOT_READY) if late and not self._verdict else []
        return self._figure(traffic)

    def _figure(self, traffic: dict[tuple[str, str], Traffic]) -> list[str]:
        assert self._judge is not None and self._pairs is not None
        model = self.order["model"]
        new = traffic.get((model, self.order["slot"]), Traffic())
        old = traffic.get((model, self.order["former"]), Traffic())
        self._pairs.loads, self._pairs.hurry = (new.open, old.open), self._judge.trial.doubtful
        sides = Side(new), Side(old)
        if time.monotonic() - self._seldom >= SELDOM:
            self._seldom = time.monotonic()
            if not self._filled():
                return self._conclude(UNKNOWN, EMPTIED)
            if over := self._taken_over():
                return self._conclude(*over)
            sides = self._measured(self._replica, new, self._port), self._of_former(old)
        elif self._judge.grows:
            # Each look then, so that a leak is stopped within seconds. An engine in need may tell its times late.
            sides = Side(new, self._replica.memory()), Side(old)
        broken, pairs = self._broken(new), tuple(self._pairs.take())
        look = Look(time.monotonic(), *sides, pairs, broken, self._hang.works)
        if why := self._judge.look(look):
            return self._conclude(FAILED, why)
        verdict, words = self._judge.verdict()
        # Of a share that goes on and waits for other hosts, only a breach says more.
        if verdict and not self._verdict:
            return self._conclude(verdict, words)
        self._keep(words, durable=False)
        return []

    def _broken(self, new: Traffic) -> str:
        """Return in words that the replica is no more, or hangs; empty where it works."""
        assert self._pairs is not None
        if why := self._replica.gone() or self._replica.last_words(self._port):
            return why
        hung = self._hang.look(new.open + self._pairs.waiting, new.carried)
        return f"it hangs: {hung}" if hung else ""

    def _measured(self, replica: Replica, traffic: Traffic, port: int) -> Side:
        return Side(traffic, replica.memory(), replica.times(port))

    def _of_former(self, traffic: Traffic) -> Side:
        port = int(self._former.get("port", 0))
        return Side(traffic, None, self._old.times(port)) if port else Side(traffic)

    def _ready(self) -> bool:
        """Whether the replica has been ready once: a host that has just booted still loads its weights."""
        if self._judge is not None:
            return True
        gone = self._replica.gone()
        if gone and (self._state or self._replica.known):
            # While no watch looked, it was ended.
            self._judge = self._new_judge()
            self._pairs = Pairs(0, None, [])
            return True
        if gone or not completion.healthy(self._port, self._replica.signs["health"], 0.5):
            self._keep("waits until its replica is ready", durable=False)
            return False
        if self._state.get("back") == 0.0:
            self._state["back"] = time.time()
        self._judge = self._new_judge()
        port = int(self._former.get("port", 0)) or None
        self._pairs = Pairs(self._port, port, self.order.get("probes", []))
        return True

    def _new_judge(self) -> Judge:
        release = self._manifest.get("release", {})
        planned = 0 if self._manifest.get("devices") else int(release.get("memory", 0))
        # From phase to phase the former release shows its usual figures better; in the end it has no requests any more.
        if self._usual[0] is not None or "usual" not in self._state:
            self._state["usual"] = self._usual
        sticky = is_sticky(self.root, self.order["model"])
        judge = Judge(self.order, planned, self._state["usual"], sticky=sticky)
        state: Document = self._state.get("judge", {})
        if not guard_state.is_like(state, judge.as_json()):
            # None yet, or that of another toolkit, which differs: the phase begins anew.
            return judge
        if self._kept:
            judge.restore(state)
        else:
            judge.learn(state["learned"])
        return judge

    def _leased(self) -> bool:
        now = deployment_lock.read(self.root)
        return bool(now["held"]) and (now["owner"] or {}).get("token") == self.order["token"]

    def _filled(self) -> bool:
        found = slot_manifest.release(self.root, self._program)
        return not found or found.get("number") == self.order["release"]

    def _taken_over(self) -> tuple[str, str] | None:
        """Return verdict and reason where the router found the replica down under all traffic, and its standby serves.

        Which of the two is ready first after a boot says nothing of the release.
        """
        if self.order["phase"] != guard_order.BAKE:
            return None
        at = guard_order.took_over(self.root, self.order["model"])
        # A clock that was set meanwhile must not hide it. A takeover before the release had all traffic does not count.
        before = self.order.get("took_over", at if at <= self.order["since"] - 1 else 0.0)
        if at in (0.0, before):
            return None
        back = self._state.get("back")
        of_boot = back is not None and (not back or at <= back + BOOTED_SECONDS)
        return (UNKNOWN, STANDBY_FIRST) if of_boot else (FAILED, TAKEN_OVER)

    @property
    def _verdict(self) -> str:
        return str((self._kept.get("verdict") or {}).get("verdict", ""))

    def _conclude(self, verdict: str, reason: str) -> list[str]:
        """Come to a verdict, and withdraw the target where it must not stay. Return what was done, in words."""
        self._concluded = time.monotonic()
        gate, model = guard_follow.gate(self.order), self.order["model"]
        figures = self._judge.figures() if self._judge else []
        self._kept["verdict"] = {
            "gate": gate,
            "verdict": verdict,
            "reason": reason,
            "figures": figures,
        }
        self._kept["settled"] = False
        # First the verdict: a guard that is ended in between withdraws when it starts again. Where the disk does not
        # take it, the next look withdraws all the same.
        self._keep(reason, durable=True)
        words = f"{gate} of {model} {self.order['version']}: {verdict}"
        return [f"{words}: {reason}" if reason else words, *self._settle()]

    def _settle(self) -> list[str]:
        """Withdraw the target where the verdict asks for it; only then commands see the verdict."""
        if self._waits:
            # Commands would take a verdict without a withdrawal for that of a release that serves alone.
            said, self._said_waiting = self._said_waiting, True
            words = f"{self._program} keeps its traffic until other hosts have withdrawn theirs"
            return [] if said else [words]
        done = self._withdraw() if self._must_go else []
        # Until that is kept, the next look settles it once more.
        self._keep(self._kept["verdict"]["reason"], durable=True, settled=True)
        if self._is_last:
            self.end()
            self._clear()
        self._over = self._is_last and not (self._must_go and not self._kept.get("withdrawn"))
        return done

    def _withdraw_late(self) -> list[str]:
        """Withdraw what could not be withdrawn before, because no other replica was up."""
        if self._waits:
            return []
        self._withdraw()
        if not self._kept.get("withdrawn"):
            return []
        self._keep(self._kept["verdict"]["reason"], durable=True)
        self._over = True
        self._clear()
        return [f"{self._program} is withdrawn at last"]

    @property
    def _must_go(self) -> bool:
        """Whether the verdict takes the target's traffic away."""
        return guard_order.must_go(self.order, self._kept)

    @property
    def _is_of_all(self) -> bool:
        """Whether the guards of other hosts may come to the verdict at the same moment: it is not of what was seen."""
        wish = guard_order.wished(self.root, self.order).get("wish")
        return self._verdict == UNKNOWN or wish == "abort"

    @property
    def _waits(self) -> bool:
        """Whether other hosts are to withdraw their targets first."""
        if self._adapters or not (self._must_go and self._is_of_all):
            return False
        before = withdraw.ahead(self.root, self.order["model"], self.order["slot"])
        return time.monotonic() - self._concluded < TURN * before

    @property
    def _is_last(self) -> bool:
        """Whether the verdict ends the watch. A share that goes on is watched until its next phase."""
        if self._verdict == UNKNOWN and self._kept["verdict"].get("reason") == EMPTIED:
            return True
        bakes = self.order["phase"] == guard_order.BAKE
        return bool(self._verdict) and (bakes or self._must_go)

    def _withdraw(self) -> list[str]:
        if self._adapters:
            return self._give_back()
        found = withdraw.withdraw(self.root, self.order["model"], self.order["slot"])
        if not found["withdrawn"]:
            return [f"{self._program} keeps its traffic: {found['why']}"]
        reason = self._kept["verdict"]["reason"]
        self._kept.update(withdrawn=reason or "withdrawn", withdrawn_at=time.time())
        return [f"{self._program} is withdrawn, {found['to'] or 'nothing here'} takes its traffic"]

    def _clear(self) -> None:
        """Forget the former adapters' other names, once nothing is left to be given back."""
        if self._adapters and (self._kept.get("withdrawn") or not self._must_go):
            guard_adapters.clear(self.order, self._port)

    def _give_back(self) -> list[str]:
        named = "%s of %s" % (", ".join(self._adapters), self._program)
        well = completion.healthy(self._port, self._replica.signs["health"], 0.5)
        # A replica that is gone starts with the adapters that its slot names, so requests need not wait.
        why = "it does not answer"
        if well:
            why = guard_adapters.give_back(self.root, self.order, self._port)
        if why:
            return [f"{named} cannot be given back yet: {why}"]
        reason = self._kept["verdict"]["reason"]
        # The process that got them back. Another process starts with the adapters that its slot names.
        process = processes.started(processes.state(self.root, self._program)["pid"])
        self._kept.update(
            withdrawn=reason or "withdrawn", withdrawn_at=time.time(), process=process
        )
        return [f"{named} is what it was before"]

    def _told_again(self) -> list[str]:
        """Write the verdict anew where its file is gone or damaged. Before the end each look writes it."""
        if not guard_order.found_is_lost(self.root, self.order["model"]):
            return []
        guard_order.keep(self.root, self.order, self._kept, durable=True)
        return [f"what the guard of {self.order['model']} found was lost and is written anew"]

    def _keep_back(self) -> list[str]:
        """Give adapters back once more, where their replica has started again: its slot names the new ones."""
        if not self._adapters or not self._kept.get("withdrawn"):
            return []
        if time.monotonic() - self._seldom < SELDOM:
            return []
        self._seldom = time.monotonic()
        process = processes.started(processes.state(self.root, self._program)["pid"])
        if not process or process == self._kept.get("process"):
            return []
        done = self._give_back()
        self._keep(self._kept["verdict"]["reason"], durable=True)
        return done

    def _keep(self, words: str, *, durable: bool, settled: bool = False) -> None:
        """Write the findings, and the state from which another guard goes on; a verdict that is `settled` shows.

        Raises OSError where the disk takes no files.
        """
        judge = self._judge
        if judge:
            self._state.update(judge=judge.as_json(), process=self._replica.known)
        requests, probes = judge.counted if judge else (0, 0)
        self._kept.update(
            looked_at=time.time(),
            watched=round(judge.watched, 2) if judge else 0.0,
            requests=requests,
            probes=probes,
            figures=judge.figures() if judge else [],
            words=words,
            state=self._state,
        )
        seen = {**self._kept, "settled": settled or self._kept.get("settled", False)}
        guard_order.keep(self.root, self.order, seen, durable=durable)
        self._kept = seen
