"""Change the LoRA adapters of a running replica: load, prove, then exchange what public names lead to.

An engine has one table of names. A new adapter is loaded under an internal name beside those that serve, and proves
itself there. Then requests for a name that changes wait at the routers for the moment in which the engine forgets the
former weights and takes the new ones; running answers go on with what they began with. vLLM could replace weights in
place, but it does so under running answers, and reads them from the disk again in every step after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toolkit.domain.deployment.release import Release, ReleaseAdapter
from toolkit.domain.gates.guard import AdapterReturn, Guard, PairedProbe
from toolkit.domain.replicas.answers import Call
from toolkit.errors import ReleaseFailedError
from toolkit.planning.change.adapters import adapter_changes, internal_name
from toolkit.planning.change.judged import adapter_probes
from toolkit.planning.engines import engine_of
from toolkit.planning.routing.edits import with_adapters
from toolkit.planning.routing.routes import Routes
from toolkit.workflows.change.failures import logs_of, refused
from toolkit.workflows.guard.checks import fault_of_adapter
from toolkit.workflows.guard.files import passed_prompts
from toolkit.workflows.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.workflows.change.guarding import Guarding

# Seconds for one adapter: they are small, but may come from a slow disk.
_LOADING = 120.0
# Seconds in which a request that left a router before the hold has reached the engine.
_ON_THE_WAY = 0.2


class Adapting:
    """Brings the replica in a slot to the adapters of `release`; `others` are releases whose adapters it may have."""

    def __init__(
        self, tools: Tools, release: Release, slot: str, port: int, others: Sequence[Release]
    ) -> None:
        self._tools, self._release, self._slot, self._port = tools, release, slot, port
        self._engine = engine_of(release.engine)
        found = [adapter_changes(other, release) for other in others]
        kept = {each.name for each in release.adapters}
        self._loaded = {each.name: each for changes in found for each in changes.loaded}
        self._exchanged = {name for changes in found for name in changes.exchanged}
        same = {each.name: each for changes in found for each in changes.checked}
        # These adapters have the same files and other checks.
        self.checked = [each for name, each in same.items() if name not in self._loaded]
        self._removed = {name for changes in found for name in changes.removed} - kept

    def tidy(self, tried: Iterable[Release]) -> None:
        """Have the engine forget the internal names of the adapters of releases, which a killed command has left."""
        for name in {internal_name(adapter) for each in tried for adapter in each.adapters}:
            self._forget(name)

    def prove(
        self, gates: Callable[[ReleaseAdapter, str], None] | None, *, proven: bool = False
    ) -> None:
        """Load each new adapter under its internal name, ask it its checks, and run its `gates` by that name.

        An adapter with the same files and other checks is asked those by its public name, unless the release has
        `proven` itself before. Raises ReleaseFailedError where an adapter does not load or pass; nothing has changed
        for clients then.
        """
        for adapter in () if proven else self.checked:
            self._ask(adapter, adapter.name)
        for adapter in self._loaded.values():
            name = internal_name(adapter)
            self._forget(name)
            try:
                self._load(name, adapter)
                self._ask(adapter, name)
                if gates:
                    gates(adapter, name)
            finally:
                self._forget(name)

    def _ask(self, adapter: ReleaseAdapter, name: str) -> None:
        fault = fault_of_adapter(self._tools.host, self._port, self._release, adapter, name)
        if fault:
            raise refused(self._release, self._slot, fault)

    def watched(
        self,
        guarding: Guarding,
        former: Release | None,
        guards: Mapping[str, Guard],
        passed: Mapping[str, frozenset[str]],
    ) -> Callable[[], None]:
        """Prepare the watch over the new adapters beside those of `former`; return what begins it.

        `passed` names, by adapter, the golden prompts that it has passed: these alone may be probes.
        """
        swapped, probes = self._keep_former(former), self._probes(former, guards, passed)
        return lambda: guarding.begin_adapters(self._release, self._slot, swapped, probes)

    def _keep_former(self, former: Release | None) -> AdapterReturn:
        """Load what serves now under internal names too, to be compared with; return how a host gives it back."""
        known = {each.name: each for each in former.adapters} if former else {}
        back, after = self._taken_in() if known.keys() & self._loaded.keys() else [], []
        for name in sorted(self._loaded):
            back.append(Call(*self._engine.unload_adapter(name), may_fail=True))
            if name in known:
                back.append(Call(*self._loading(name, known[name])))
                inner = internal_name(known[name])
                self._forget(inner)
                self._load(inner, known[name])
                after.append(Call(*self._engine.unload_adapter(inner), may_fail=True))
        return AdapterReturn(tuple(sorted(self._loaded)), tuple(back), tuple(after))

    def _probes(
        self,
        former: Release | None,
        guards: Mapping[str, Guard],
        passed: Mapping[str, frozenset[str]],
    ) -> tuple[PairedProbe, ...]:
        """Return the probes of a guard for each new adapter, and for the former one under its internal name."""
        known = {each.name: internal_name(each) for each in former.adapters} if former else {}
        found: list[PairedProbe] = []
        for name, adapter in sorted(self._loaded.items()):
            prompts = passed_prompts(guards.get(name, Guard()), passed.get(name, frozenset()))
            found += adapter_probes(self._release, adapter, known.get(name, ""), prompts)
        return tuple(found)

    def exchange(self, target: str, begin: Callable[[], None] | None = None) -> None:
        """Lead the public names of the routers' `target` to the adapters of the release, without losing a request.

        `begin` is called once the engine has them, while requests still wait.
        """
        model = self._release.model
        names = {each.name for each in self._release.adapters}
        before = names - {*self._loaded} | self._exchanged

        def held(routes: Routes) -> Routes:
            return with_adapters(routes, model, target, before, self._exchanged)

        def released(routes: Routes) -> Routes:
            return with_adapters(routes, model, target, names, ())

        self._tools.routers.change(held, {self._tools.host.label})
        calls = self._taken_in() if self._exchanged else []
        for name in (*self._loaded, *self._removed):
            # An engine that does not know the name has forgotten it.
            calls.append(Call(*self._engine.unload_adapter(name), may_fail=True))
            if name in self._loaded:
                calls.append(Call(*self._loading(name, self._loaded[name])))
        if calls:
            pause = _ON_THE_WAY if self._exchanged else 0.0
            answer = self._tools.host.call_in_turn(self._port, calls, pause, _LOADING)
            self._require(*answer, ", ".join(self._loaded))
        if begin:
            begin()
        self._tools.routers.change(released, {self._tools.host.label})

    def _taken_in(self) -> list[Call]:
        """Return the calls before names change: requests that came before have passed the look for their adapter.

        On a busy machine they may take longer for that than for their way to the engine, and would be lost.
        """
        return [Call(*each, may_fail=True) for each in self._engine.taken_in(self._release.model)]

    def _load(self, name: str, adapter: ReleaseAdapter) -> None:
        answer = self._tools.host.ask(self._port, *self._loading(name, adapter), _LOADING)
        words = f"{adapter.name} ({adapter.source}@{adapter.revision[:12]})"
        self._require(answer.status, answer.error, words)

    def _loading(self, name: str, adapter: ReleaseAdapter) -> tuple[str, Mapping[str, Any]]:
        path = f"{self._tools.host.host.root}/snapshots/{adapter.snapshot}"
        return self._engine.load_adapter(name, path)

    def _require(self, status: int, error: str, adapter: str) -> None:
        if status != 200:
            raise ReleaseFailedError(
                f"{self._release.title} did not load the adapter {adapter}: {error or status}",
                hint=logs_of(self._release, self._slot),
            )

    def _forget(self, name: str) -> None:
        self._tools.host.ask(self._port, *self._engine.unload_adapter(name), _LOADING)
