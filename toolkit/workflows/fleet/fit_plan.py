"""Whether a version fits on the fleet, before any download."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.adapters.history.history import History
from toolkit.adapters.hosts.port import HostPort
from toolkit.adapters.hub.port import OpenHub
from toolkit.adapters.sources.model_files import read_directory, read_hub
from toolkit.adapters.store.store import Store
from toolkit.domain.deployment.change import Change, folded
from toolkit.domain.engines.fit import FitRecord, ModelFiles, Prediction
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.domain.files.weight_files import index_of
from toolkit.domain.registry.model import LocalSource, Version
from toolkit.errors import SourceError
from toolkit.planning.change.placement import having
from toolkit.planning.change.rollout import Limits
from toolkit.planning.change.sleep import alternates_of
from toolkit.planning.fit.fleet import Upgrade, beside_gateways, plan_upgrade, provisionable
from toolkit.planning.fit.host_fit import Candidate, HostFit, fit_host, predict_need
from toolkit.planning.release.file_choice import choose_files, settle
from toolkit.planning.routing.agreement import agreed, behind
from toolkit.workflows.fleet.look import look

_CAREFUL = Limits()


@dataclass(frozen=True, slots=True)
class FleetFit:
    """The fit of a version on the hosts of a fleet; `unreachable` is host -> reason.

    `weights` is the bytes of all weights in the files, `need` the memory that the version takes of what it asks for.
    `records` are earlier starts of the same version, predicted and actual, newest first. The model takes turns with its
    `alternates`. `behind` names hosts whose router missed a change.
    """

    version: Version
    weights: int
    need: Prediction
    hosts: tuple[HostFit, ...]
    unreachable: Mapping[str, str]
    upgrade: Upgrade
    records: tuple[FitRecord, ...]
    alternates: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it fits on a host, or on as many hosts as run it together."""
        return sum(host.fits for host in self.hosts) >= self.version.resources.hosts

    @property
    def changes(self) -> tuple[Change, ...]:
        """The differences from the releases that serve, on hosts that have the model and can have the version."""
        return folded({host.host: host.changes for host in self.hosts if host.changes})

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "model": self.version.model,
            "version": self.version.name,
            "source": self.version.source.key,
            "revision": self.version.revision,
            "permitted": list(self.version.permission.allowed),
            "fits": self.fits,
            "weights": self.weights,
            "need": self.need.as_json(),
            "hosts": {host.host: host.as_json() for host in self.hosts},
            "unreachable": dict(self.unreachable),
            "routers_behind": list(self.behind),
            "upgrade": self.upgrade.as_json(),
            "changes": [each.as_json() for each in self.changes],
            "starts": [_record_json(record) for record in self.records],
        }


def plan_fit(
    candidate: Candidate,
    hosts: Sequence[HostPort],
    history: History,
    limits: Limits = _CAREFUL,
    clock: Callable[[], float] = time.time,
) -> FleetFit:
    """Observe `hosts` at once and return the fit of the version on each, without any change.

    `limits` are those of an upgrade.
    """
    seen = look(hosts)
    routes, facts = agreed(seen.by_label)
    known = alternates_of(candidate.version.model, routes)
    candidate = replace(candidate, alternates=tuple(sorted({*candidate.alternates, *known})))
    gateways = {each.name for each in hosts if each.host.gateway}
    have = having(candidate.version.model, facts, routes)
    able = [provisionable(fit_host(candidate, each), each, clock()) for each in facts.values()]
    fits, upgrade = plan_upgrade(
        candidate.version.model,
        [beside_gateways(each, gateways, have) for each in able],
        facts,
        routes,
        limits=limits,
        unreachable=seen.unreachable,
    )
    return FleetFit(
        version=candidate.version,
        weights=sum(tensor.size for tensor in candidate.files.tensors),
        need=predict_need(candidate),
        hosts=fits,
        unreachable=seen.unreachable,
        upgrade=upgrade,
        records=_records(history, candidate.version),
        alternates=candidate.alternates,
        behind=behind(seen.by_label, routes),
    )


def files_of(version: Version, pinned: Snapshot | None, open_hub: OpenHub) -> Snapshot:
    """Return the pinned files of a version; without a pin, those that a pin would choose of the files of the Hub.

    Raises what `settle` raises for files that no pin would take.
    """
    if pinned is not None:
        return pinned
    if isinstance(version.source, LocalSource):
        raise SourceError(
            f"the files of {version.title} are not pinned",
            hint=f"toolkit registry pin {version.title} --lock-only",
        )
    hub, repo, revision = open_hub(), version.source.repo, version.revision
    listed = hub.files(repo, revision)
    choice = choose_files([file.path for file in listed], version.permission)
    index = index_of(choice.kept)
    choice = settle(repo, choice, hub.read_small(repo, revision, index) if index else None)
    kept = set(choice.kept)
    files = (FileDigest(f.path, f.size, f.sha256, f.git_sha1) for f in listed if f.path in kept)
    return Snapshot(version.source.key, revision, tuple(files))


def read_model(version: Version, snapshot: Snapshot, store: Store, open_hub: OpenHub) -> ModelFiles:
    """Return the model without its weights: from the store if it is there, else from its source.

    From a Hub it reads only `config.json` and the headers of the weights' files.
    """
    stored = store.find(snapshot.source, snapshot.revision)
    if stored is not None:
        again = (
            "toolkit verify --repair, then the same command again; where nothing was damaged, choose another "
            f"revision: toolkit registry pin {version.model} REVISION"
        )
        return read_directory(stored.path, snapshot, hint=again)
    if isinstance(version.source, LocalSource):
        # A directory's files are not in the store, so `toolkit verify` does not know them.
        check = "check that file and its permissions; a changed model is a new version"
        pin = f"{check}: toolkit registry pin {version.model}"
        return read_directory(Path(version.source.path), snapshot, hint=pin)
    return read_hub(open_hub(), version.source.repo, snapshot)


def _records(history: History, version: Version) -> tuple[FitRecord, ...]:
    numbers = {
        each.number for each, _ in history.releases(version.model) if each.version == version.name
    }
    return tuple(record for record in history.fits(version.model) if record.release in numbers)


def _record_json(record: FitRecord) -> dict[str, Any]:
    return {
        "release": record.release,
        "host": record.host,
        "at": record.at,
        "predicted": record.predicted.as_json(),
        "actual": record.actual.as_json(),
        "token_error": record.token_error,
        "weight_error": record.weight_error,
    }
