"""The work in one opening of a window: pin, then upgrade, each model as its rule says; stop at the unexpected."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from toolkit.domain.deployment.schedule import Opening, Rule, Schedule
from toolkit.domain.quantity import format_seconds
from toolkit.errors import (
    HostError,
    InterruptionError,
    ReleaseFailedError,
    SourceError,
    ToolkitError,
    UnattendedError,
)
from toolkit.planning.upkeep.currency import Currency
from toolkit.planning.upkeep.unattended import (
    Action,
    Decision,
    begun_here,
    decide,
    objections,
    sleeps,
)
from toolkit.planning.upkeep.windows import start_of
from toolkit.workflows.schedule.desk import RunReport, Site

# The exit codes of an upgrade that the run passes on; any other one is something for a person.
_PASSED_ON: Mapping[int, type[ToolkitError]] = {
    each.exit_code: each for each in (ReleaseFailedError, HostError, InterruptionError)
}


@dataclass(frozen=True, slots=True)
class Working:
    """The work in one opening of a window; `tell` reports and records."""

    schedule: Schedule
    opening: Opening
    site: Site
    tell: Callable[[str], None]
    report: RunReport

    def act(self) -> ToolkitError | None:
        """Pin and upgrade as the rules say; return why a part was not done, None if all of it was."""
        asked = self.schedule.rules_of(self.opening.window)
        found = self.site.desk.currencies([rule.model for rule in asked])
        # An adapter's candidate is made from its model's newest version, so the model comes first.
        rules = sorted(asked, key=lambda rule: bool(found[rule.model].version.adapter_of))
        first = [decided(rule, found[rule.model], self.site) for rule in rules]
        if any(each.action not in (Action.NOTHING, Action.WAIT) for each in first):
            # A night with nothing to do is no news.
            self.site.desk.begin(reason_of(self.opening))
        due: dict[str, str] = {}
        for rule in rules:
            self._prepare(rule, found[rule.model], due)
        done = 0
        for rule in rules:
            decision = self.report.decisions[rule.model]
            if decision.action is not Action.UPGRADE:
                continue
            if done >= self.schedule.most:
                self._wait(
                    decision, f"{done} of {self.schedule.most} models are done in this window"
                )
                continue
            if (failure := self._upgrade(decision, found[rule.model])) is not None:
                return failure
            done += self.report.decisions[rule.model].action is Action.UPGRADE
        return self._unfinished()

    def _prepare(self, rule: Rule, currency: Currency, due: dict[str, str]) -> None:
        """Decide about a model or an adapter, and pin its newest revision where it has no candidate yet.

        `due` has the versions to which models are to be upgraded in this opening, and gets this one.
        """
        decision = decided(rule, currency, self.site)
        if currency.base in due and decision.action in (Action.PIN, Action.UPGRADE):
            # A candidate is one change of the newest version, and that is about to be another one.
            self._wait(decision, f"{currency.base} is upgraded to {due[currency.base]} first")
            return
        if decision.action is Action.PIN and not self.opening.holds(self.site.now()):
            # A large directory is hashed for as long as a window may be open.
            self._wait(decision, "the window has ended")
            return
        if decision.action is Action.PIN:
            try:
                name = self.site.desk.pin(rule.model)
            except SourceError as error:
                self._decide(Decision(rule.model, Action.UNKNOWN, error.message))
                return
            except ToolkitError as error:
                self._decide(Decision(rule.model, Action.PERSON, error.message))
                return
            self.tell(f"{rule.model}: pinned {name}, a candidate")
            again = self.site.desk.currencies([rule.model])[rule.model]
            decision = decided(rule, again, self.site)
            if decision.action is Action.PIN:
                decision = Decision(rule.model, Action.WAIT, "its source has moved on meanwhile")
        if decision.action is Action.UPGRADE:
            due[currency.base] = decision.version
        self._decide(decision)

    def _upgrade(self, decision: Decision, currency: Currency) -> ToolkitError | None:
        model, base, version = decision.model, currency.base, decision.version
        title = f"{base}@{version}"
        seen, record = self.site.desk.look(), self.site.record
        if sleeps(seen, base):
            self._wait(decision, "it sleeps, and is upgraded in a window in which it is up")
            return None
        own = begun_here(record.read().begun, title)
        if why := objections(seen, base, self.schedule.unreachable, own):
            for words in why:
                self.tell(f"{model}: {words}")
            self.report.decisions[model] = Decision(model, Action.PERSON, "; ".join(why), version)
            return None
        left, needed = self.opening.closes - self.site.now(), self.site.desk.duration(model)
        window = self.schedule.windows[self.opening.window]
        waited = start_of(self.opening, window, self.site.machine) - self.opening.opens
        if needed > (longest := window.seconds - waited):
            # No opening is long enough. The time of the last one is wrong where the clock was set amid it.
            words = f"it takes {format_seconds(needed)}, and {window.name} leaves {format_seconds(longest)}"
            self._decide(replace(decision, action=Action.PERSON, words=words))
            return None
        if left < needed:
            self._wait(
                decision,
                f"{format_seconds(max(0.0, left))} are left of the window, and it takes "
                f"{format_seconds(needed)}",
            )
            return None
        for each in seen.unfinished:
            what = f"{each.title} ({each.action} {each.model}), which a run began"
            self.tell(f"{what}, was cut short: it is ended first")
        rollout = str(uuid.uuid4())
        record.begin_upgrade(rollout, title)
        ended = self.site.desk.upgrade(
            base, version, reason_of(self.opening), self.opening.closes, rollout
        )
        if ended.code >= 0:
            # One that was killed had no time to end anything.
            record.end_upgrade(title)
        if ended.code == 0:
            self.report.upgraded.append(title)
            self.tell(f"{model}: upgraded to {version}")
            return None
        if ended.code == ReleaseFailedError.exit_code and currency.upstream:
            first_line = ended.message.partition("\n")[0]
            record.fail(model, currency.upstream.revision, first_line)
        self.tell(f"{model}: {version} did not become live: {ended.message}")
        kind = _PASSED_ON.get(ended.code, UnattendedError)
        return kind(f"{title}: {ended.message}", hint=f"toolkit releases {base}")

    def _decide(self, decision: Decision) -> None:
        self.report.decisions[decision.model] = decision
        self.tell(f"{decision.model}: {decision.words}")

    def _wait(self, decision: Decision, words: str) -> None:
        self._decide(replace(decision, action=Action.WAIT, words=words))

    def _unfinished(self) -> ToolkitError | None:
        """Return the error about models that wait for a person, else about sources that did not answer."""
        decisions = self.report.decisions.values()
        persons = [f"{x.model}: {x.words}" for x in decisions if x.action is Action.PERSON]
        if persons:
            return UnattendedError(
                "a person must look at this; nothing was changed on any host:\n  "
                + "\n  ".join(persons)
                if not self.report.upgraded
                else "a person must look at this:\n  " + "\n  ".join(persons),
                hint="toolkit status; toolkit outdated",
            )
        silent = [f"{x.model}: {x.words}" for x in decisions if x.action is Action.UNKNOWN]
        if silent:
            return SourceError("\n  ".join(silent), hint="toolkit outdated")
        return None


def reason_of(opening: Opening) -> str:
    """Return why a run in that opening acts, for the audit log."""
    return f"schedule, window {opening.window}"


def decided(rule: Rule, currency: Currency, site: Site) -> Decision:
    """Return the present decision of a run for a model."""
    failures = {
        **site.desk.failures(rule.model),
        **site.record.read().failed.get(rule.model, {}),
    }
    return decide(rule, currency, failures, site.now())
