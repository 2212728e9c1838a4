"""From what the guard of a release sees, look by look, to its verdict. Pure: figures and clock come from outside.

Hard rules come first and need no statistics: a process that ended, a hang, an engine that gave up, refused connections,
failures in a row of the new release and none of the former one. Then the sequential tests, see `sequential.py`. A
phase passes when its time is over, enough was asked, nothing is breached and nothing is suspected. A question that
nothing decides holds the phase for up to its patience, and then follows its policy `unsure`.
"""

from __future__ import annotations

import math
import statistics
from typing import NamedTuple

from guard_probes import Pair, Said, alike
from guard_traffic import Traffic
from refusals import RefusedTest
from sequential import ErrorTest, Run
from trial import FAILED, PASSED, UNKNOWN, Trial
from wire import Document

# The chance of a false alarm of each test that is not of the trial.
ALPHA = 2e-5
# Refused requests (4xx) are mostly the clients' own doing: so many of its requests the new release may refuse beyond
# those that the former one refuses, too.
REFUSED = 0.02
# Answers may differ from run to run, also of a release from which nothing changed; so many may differ where the former
# release twice gives the same one.
DIFFERENT = 0.5
# Compared pairs of probes that are enough on a night without requests.
PAIRS = 20
# A pair is grossly slow at so many times the slowest of the former release's last answers, and so many seconds more: on
# a machine whose processors are taken, one answer in six of an unchanged release takes five times the other's time.
GROSS, GROSS_SECONDS, GROSS_OF = 5.0, 1.0, 10
# Grossly slow pairs in a row that are a breach.
GROSS_RUN = 3
# Requests of clients, the seconds without a byte, and the multiple of the usual wait, that mean a hang: an engine may
# answer short probes and no request that is longer.
SILENT_OPEN, SILENT_SECONDS, SILENT_TIMES = 3, 10.0, 10.0
# Smaller growth of memory is no leak, whatever its ratio: buffers and threads of the first requests take some.
GROWTH_BYTES, GROWTH_LOOKS = 128 * 2**20, 3
# Means of fewer requests say nothing of the next ones.
MEAN_OF = 10
# A watch that was away for longer did not watch.
_AWAY = 3.0


class Side(NamedTuple):
    """One of the two replicas in a look. `memory` is in bytes, None where it was not measured.

    `times` are its engine's own since the last look, see `Replica.times`; None where they were not asked for.
    """

    traffic: Traffic = Traffic()
    memory: int | None = None
    times: dict[str, tuple[float, float]] | None = None


class Look(NamedTuple):
    """All that is seen at a time `at`, in seconds since the host began.

    `broken` says in words why the new replica is no more; its processes were at work where it `works`.
    """

    at: float
    new: Side
    old: Side
    pairs: tuple[Pair, ...] = ()
    broken: str = ""
    works: bool = False


class Judge:
    """The verdict on one phase of an order. Its knowledge of a release goes on from phase to phase."""

    def __init__(
        self,
        order: Document,
        planned: int = 0,
        usual: tuple[float | None, float] = (None, 0.0),
        *,
        sticky: bool = False,
    ) -> None:
        """`planned` are the bytes of memory that the release is planned with.

        `usual` is how the former release did while it had all requests: mean milliseconds until an answer began, and
        the share of requests that failed. With `sticky` a conversation stays with the release that it has drawn.
        """
        self.order, self.planned, self.usual, self._sticky = order, planned, usual, sticky
        # An adapter's former version answers in the same replica, under another name.
        beside = order["former"] or any(each.get("former") for each in order.get("probes", ()))
        allowed, alone = order["tolerance"], not beside
        self.trial = Trial(allowed["slower"], allowed["errors"], order.get("hosts", 1), alone)
        self.tests: dict[str, ErrorTest | RefusedTest] = {
            "probes": ErrorTest(ALPHA, allowed["errors"], alone),
            "answers": ErrorTest(ALPHA, DIFFERENT, alone=True),
            "refused": RefusedTest(ALPHA, REFUSED),
        }
        self._run, self._probe_run = Run(alone), Run(alone)
        self.reason = ""
        self.watched = 0.0
        self._last: float | None = None
        # Seconds for which requests of clients are open and none gets a byte, and the bytes carried until then.
        self._silent, self._carried = 0.0, -1
        # Answered, failed, refused.
        self._asked, self._of_old = [0, 0, 0], [0, 0, 0]
        # Pairs of probes, failed ones of the new and of the former release.
        self._paired = [0, 0, 0]
        # Requests that were open at the last look.
        self._opened: dict[str, int] = {}
        self._gross = self._grown = 0
        self._base: int | None = None
        self._memory = 0
        self._side = {"new": Side(), "old": Side()}
        self._recent: list[Pair] = []
        self._before: dict[int, Said] = {}

    def look(self, look: Look) -> str:
        """Take a look; return why the release must not keep its traffic, empty where it may."""
        passed = 0.0 if self._last is None else min(max(0.0, look.at - self._last), _AWAY)
        self.watched += passed
        self._last = look.at
        self._listen(look.new.traffic, passed, works=look.works)
        for name, side in (("new", look.new), ("old", look.old)):
            known = self._side[name]
            self._side[name] = Side(
                side.traffic,
                known.memory if side.memory is None else side.memory,
                known.times if side.times is None else side.times,
            )
        self._count(look)
        self._weigh(look.new.memory)
        for pair in look.pairs:
            self._compare(pair)
        self.reason = look.broken or self._rule(look) or self._proof()
        return self.reason

    def verdict(self) -> tuple[str, str]:
        """Return the verdict so far, and in words why or what it waits for; it is empty while the phase goes on."""
        if self.reason:
            return FAILED, self.reason
        over = self.watched - self.order["seconds"]
        if over < 0:
            return "", ""
        words = self._doubt()
        if not words:
            return PASSED, ""
        return (UNKNOWN, words) if over >= self.order["patience"] else ("", words)

    @property
    def counted(self) -> tuple[int, int]:
        """The answered requests of the new release in this phase, and the pairs of probes."""
        return self._asked[0], self._paired[0]

    @property
    def ends_at(self) -> float:
        """The moment, as a look's `at`, at which the seconds of the phase are over; inf before the first look."""
        left = self.order["seconds"] - self.watched
        return math.inf if self._last is None else self._last + left

    @property
    def worried(self) -> bool:
        """Whether the last request or the last probe failed."""
        return bool(self._run.failures or self._probe_run.failures)

    @property
    def grows(self) -> bool:
        """Whether the memory was over its limit when it was measured last."""
        return bool(self._grown)

    def _doubt(self) -> str:
        """Return, in words, the obstacle to the end of the phase; empty without one."""
        wanted, (asked, pairs) = self.order["requests"], self.counted
        if asked < wanted and pairs < PAIRS:
            return f"{asked} of {wanted} requests and {pairs} of {PAIRS} pairs of probes so far"
        # A conversation that has failed goes on with the former release. Where it fails there too, that says nothing.
        excused = self._sticky and self._run.excused and not self._probe_run.failures
        if self.worried and not excused:
            return "the last requests failed, which proves nothing yet"
        found = [self.trial.suspicion] if self.trial.suspicion else []
        found += [self._words(name) for name, test in self.tests.items() if test.suspected]
        if self._grown:
            found.append("its memory grows")
        return f"{'; '.join(found)}, which proves nothing yet" if found else ""

    def _count(self, look: Look) -> None:
        new, old = look.new.traffic, look.old.traffic
        for counts, each in ((self._asked, new), (self._of_old, old)):
            for place, more in enumerate((each.total, each.failed, each.refused)):
                counts[place] += more
        failed, total = float(old.failed), old.total
        if self.order["phase"] == "share" and not self._sticky:
            # Where conversations stay with a release, all of a client's go to one of the two, and say nothing of it.
            self.tests["refused"].see(
                new.refused, self._came("new", new), old.refused, self._came("old", old)
            )
        self._opened = {"new": new.open, "old": old.open}
        if self.order["phase"] == "bake" and total < new.total:
            # The new release has the requests that the former one had: think of them as failing as often as before.
            failed, total = failed + self.usual[1] * (new.total - total), new.total
        # A probe that both fail says nothing of the difference (McNemar).
        pairs = [
            each for each in look.pairs if not (each.new.fault and each.old and each.old.fault)
        ]
        theirs = [each.old for each in pairs if each.old is not None]
        self.trial.see(
            look.at,
            new.failed + sum(bool(each.new.fault) for each in pairs),
            new.total + len(pairs),
            failed + sum(bool(each.fault) for each in theirs),  # type: ignore[arg-type]
            total + len(theirs),
        )
        # Apart from the probes, which may be good where requests of clients are not.
        self._run.see(look.at, new.failed, new.total, int(failed), total)

    def _came(self, side: str, seen: Traffic) -> int:
        """Return the requests that came since the last look."""
        return max(0, seen.total + seen.open - self._opened.get(side, seen.open))

    def _listen(self, new: Traffic, passed: float, *, works: bool) -> None:
        """Note for how long requests of clients have been open without a byte, and without work as for long prompts."""
        still = not works and not new.total and new.carried == self._carried
        waits = new.open >= SILENT_OPEN and still
        self._silent, self._carried = self._silent + passed if waits else 0.0, new.carried

    def _weigh(self, memory: int | None) -> None:
        if memory is None:
            return
        self._base = memory if self._base is None else self._base
        allowed = self.order["tolerance"]["growth"] * max(self._base, self.planned)
        over = memory > allowed and memory - self._base > GROWTH_BYTES
        # Memory that falls again was needed for a moment: it counts neither for a leak nor against one.
        self._grown = self._grown + (memory >= self._memory) if over else 0
        self._memory = memory

    def _compare(self, pair: Pair) -> None:
        self._recent = [*self._recent[-99:], pair]
        new, old = pair.new, pair.old
        failed, theirs, asked = bool(new.fault), bool(old and old.fault), int(old is not None)
        for place, more in enumerate((1, failed, theirs)):
            self._paired[place] += more
        if not (failed and theirs):
            self.tests["probes"].see(failed, 1, theirs, asked)
            self._probe_run.see(pair.at, failed, 1, theirs, asked)
        if old is None or failed or theirs:
            self._gross = 0
            return
        if pair.same:
            self._differ(pair.probe, new, old)
        slowest = max(each.old.seconds for each in self._recent[-GROSS_OF:] if each.old)
        slow = new.seconds > max(GROSS * slowest, slowest + GROSS_SECONDS)
        self._gross = self._gross + 1 if slow else 0
        if pair.fair:
            self.trial.pair(new.times, old.times)

    def _differ(self, probe: int, new: Said, old: Said) -> None:
        before, self._before[probe] = self._before.get(probe), old
        if before is not None and alike(before, old):
            self.tests["answers"].see(int(not alike(new, old)), 1, 0, 0)

    def _rule(self, look: Look) -> str:
        """Return the hard rule that is breached, in words."""
        if look.pairs and [each.new.refused for each in self._recent[-2:]] == [True, True]:
            return "it refuses connections"
        if self._probe_run.breached:
            return f"probes: {self._probe_run.words}; {self._last_fault()}"
        if self._run.breached:
            return self._run.words
        if self._grown >= GROWTH_LOOKS:
            now = self._side["new"].memory
            return f"its memory has grown from {_gib(self._base)} to {_gib(now)} GiB"
        return self._mute(look.new.traffic.open) or self._slow(look.new.traffic.first)

    def _mute(self, opened: int) -> str:
        """Return that requests of clients get no byte for much longer than usual, though probes are answered."""
        usual = self.usual[0]
        if usual is None or self._silent < max(SILENT_SECONDS, SILENT_TIMES * usual / 1000):
            return ""
        return (
            f"{opened} requests are open, and none has got a byte for {self._silent:.0f} s;"
            f" before they waited {usual / 1000:.1f} s"
        )

    def _slow(self, first: float | None) -> str:
        """Return that answers take many times as long as before; `first` see `Traffic.first`."""
        if not self._gross:
            return ""
        new, old = self._recent[-1].new, self._recent[-1].old
        words = f"an answer takes {new.seconds:.1f} s, and {old.seconds if old else 0:.2f} s of the serving release"
        if self._gross >= GROSS_RUN and all(each.fair for each in self._recent[-GROSS_RUN:]):
            return words
        # Under load a probe waits for its turn; then requests show whether they wait as well.
        before = self.usual[0]
        if self._asked[0] < MEAN_OF or first is None or before is None:
            return ""
        slow = first > GROSS * before and first - before > 1000 * GROSS_SECONDS
        return f"{words}; requests wait {first:.0f} ms, and {before:.0f} ms before" if slow else ""

    def _proof(self) -> str:
        """Return the tests that are breached, in words."""
        found = [self._words(name) for name, test in self.tests.items() if test.breached]
        found += [self.trial.breach] if self.trial.breach else []
        fault = self._last_fault()
        return "; ".join([*found, f"the last probe: {fault}"] if found and fault else found)

    def _words(self, name: str) -> str:
        return f"{name}: {self.tests[name].words}"

    def _last_fault(self) -> str:
        return next((each.new.fault for each in reversed(self._recent) if each.new.fault), "")

    def figures(self) -> list[Document]:
        """Return the measured figures, new beside old, in the form of `Figure` of `toolkit.domain.gates.guard`."""
        new, old = self._side["new"], self._side["old"]
        found = [
            _figure("requests", self._asked[0], self._of_old[0]),
            _figure("failed", _percent(self._asked, 1), _percent(self._of_old, 1), "%"),
            _figure("refused", _percent(self._asked, 2), _percent(self._of_old, 2), "%"),
            _figure("open", new.traffic.open, old.traffic.open),
            _figure("first byte", new.traffic.first, old.traffic.first, "ms"),
        ]
        found += self._of_probes() if self._paired[0] else []
        found += [each for each in self.trial.figures if each["unit"] == "times"]
        answers = self.tests["answers"]
        if answers.new[1]:
            share = 100 * answers.new[0] / answers.new[1]
            found.append(_figure("differing answers", share, None, "%"))
        found += self._of_engines(new.times or {}, old.times or {})
        found.append(_figure("memory", _gib(new.memory), _gib(self._base), "GiB"))
        return found

    def _of_probes(self) -> list[Document]:
        pairs, failed, theirs = self._paired
        good = [each.new.seconds for each in self._recent if not each.new.fault]
        former = [each.old.seconds for each in self._recent if each.old and not each.old.fault]
        other = theirs if self.order["former"] else None
        return [
            _figure("failed probes", failed, other, f"of {pairs}"),
            _figure("probe", _median(good), _median(former), "ms"),
        ]

    def _of_engines(
        self, new: dict[str, tuple[float, float]], old: dict[str, tuple[float, float]]
    ) -> list[Document]:
        names = {"first": "engine's first token", "between": "engine's time between tokens"}
        return [
            _figure(words, _mean(new.get(name)), _mean(old.get(name)), "ms")
            for name, words in names.items()
            if name in new or name in old
        ]

    def as_json(self) -> Document:
        """Return the state, for `restore`."""
        return {
            "learned": {
                "trial": self.trial.as_json(),
                "tests": {name: test.as_json() for name, test in self.tests.items()},
                "base": self._base,
            },
            "watched": self.watched,
            "counts": [self._asked, self._of_old, self._paired],
        }

    def learn(self, learned: Document) -> None:
        """Take what a judge of the same rollout has learned, in a former phase or before the watch was restarted."""
        self.trial.restore(learned["trial"])
        for name, test in self.tests.items():
            test.restore(learned["tests"][name])
        self._base = learned["base"]

    def restore(self, state: Document) -> None:
        """Go on with a phase from its state."""
        self.learn(state["learned"])
        self.watched = state["watched"]
        self._asked, self._of_old, self._paired = (list(each) for each in state["counts"])


def _figure(name: str, new: float | None, old: float | None, unit: str = "") -> Document:
    return {"name": name, "new": _short(new), "old": _short(old), "unit": unit}


def _short(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def _percent(counts: list[int], place: int) -> float | None:
    return 100.0 * counts[place] / counts[0] if counts[0] else None


def _mean(time: tuple[float, float] | None) -> float | None:
    return None if time is None else 1000.0 * time[0] / time[1]


def _median(values: list[float]) -> float | None:
    return 1000.0 * statistics.median(values) if values else None


def _gib(size: int | None) -> float | None:
    return None if size is None else round(size / 2**30, 2)
