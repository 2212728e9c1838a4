"""Whether a version fits on a host, its capacity there, and the effect of an upgrade."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from toolkit.domain.accelerator import Accelerator
from toolkit.domain.deployment.change import Change
from toolkit.domain.deployment.plan import Strategy
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.engine import EngineLock, engine_spec
from toolkit.domain.engines.fit import ModelFiles, NotUnderstoodError, Prediction
from toolkit.domain.files.snapshot import Snapshot
from toolkit.domain.hosts.facts import Device, HostFacts
from toolkit.domain.quantity import format_size, part_of, stated_size
from toolkit.domain.registry.model import Version
from toolkit.errors import InputError, NothingSuitableError
from toolkit.planning.change.deploy import Wanted, plan_deploy
from toolkit.planning.change.span import placed_before
from toolkit.planning.engines import engine_named
from toolkit.planning.engines.port import EngineOptions
from toolkit.planning.fit.architecture import read_architecture
from toolkit.planning.fit.predict import FitPlace, predict
from toolkit.planning.fit.turn import turn_of
from toolkit.planning.release.build import build_release
from toolkit.planning.release.capabilities import capabilities, vocabulary_of, with_defaults
from toolkit.planning.release.engine_choice import choose_accelerator, describe_host

# Room for the engine's packages and logs beside a snapshot.
DISK_RESERVE = 2**30
MOST_HOSTS = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version with all that is known before any download.

    `lock_for` returns the engine's lock for an accelerator and a Python (`3.11`). `wanted` returns the request that a
    deployment of a release would make. The model takes turns with its `alternates`.
    """

    version: Version
    files: ModelFiles
    snapshot: Snapshot
    lock_for: Callable[[Accelerator, str], EngineLock]
    wanted: Callable[[Release, HostFacts], Wanted]
    alternates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Several:
    """Equal hosts that together could hold a model: `tensor` parallel on each, `pipeline` stages in all."""

    hosts: int
    tensor: int
    pipeline: int


@dataclass(frozen=True, slots=True)
class HostFit:
    """One host: whether the version fits and why (not), the memory that it takes, and the effect of an upgrade.

    `has` names the host's devices and memory. `strategy` is empty if nothing would change or nothing fits. `wanted` is
    the request of a deployment to this host, None if the host cannot have the version; `changes` say how the release
    differs from the one that serves there. It fits once the models `in_turn_with` sleep, of those with which it takes
    turns; empty where it fits beside what runs.
    """

    host: str
    fits: bool
    why: str
    has: str
    prediction: Prediction | None = None
    accelerator: str = ""
    devices: tuple[int, ...] = ()
    strategy: str = ""
    downtime: str = ""
    several: Several | None = None
    wanted: Wanted | None = None
    changes: tuple[Change, ...] = ()
    in_turn_with: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "fits": self.fits,
            "why": self.why,
            "has": self.has,
            "accelerator": self.accelerator,
            "devices": list(self.devices),
            "prediction": self.prediction.as_json() if self.prediction else None,
            "strategy": self.strategy,
            "downtime": self.downtime,
            "in_turn_with": list(self.in_turn_with),
            "several_hosts": {
                "hosts": self.several.hosts,
                "tensor_parallel": self.several.tensor,
                "pipeline_parallel": self.several.pipeline,
            }
            if self.several
            else None,
        }


def fit_host(candidate: Candidate, facts: HostFacts) -> HostFit:
    """Return how the version fits on the host of `facts`."""
    has, version = describe_host(facts), candidate.version
    try:
        accelerator = choose_accelerator(version, facts)
    except NothingSuitableError as error:
        return _too_small(candidate, facts, error.message, has)
    options = _options(candidate, accelerator, facts)
    share = version.resources.memory // version.resources.devices
    prediction = predict(candidate.files, options, _place(accelerator, share, facts))
    found = HostFit(facts.name, False, "", has, prediction, str(accelerator))
    if fault := _fault(prediction, version, accelerator):
        return replace(found, why=fault, several=_several(candidate, facts, accelerator))
    if fault := _disk_fault(candidate, facts):
        return replace(found, why=fault)
    try:
        lock = candidate.lock_for(accelerator, facts.python)
        release = build_release(version, candidate.snapshot, lock, facts, number=0)
    except (NothingSuitableError, InputError) as error:
        return replace(found, why=error.message)
    return _with_strategy(found, candidate, release, facts)


def predict_release(files: ModelFiles, release: Release, facts: HostFacts) -> Prediction:
    """Return the memory that a release takes on a host."""
    accelerator = Accelerator(release.accelerator)
    place = _place(accelerator, release.memory // release.devices, facts)
    spec = engine_spec(release.engine)
    options = engine_named(spec.name).read_options(spec.version, release.args, release.env)
    return predict(files, options, place)


def _options(candidate: Candidate, accelerator: Accelerator, facts: HostFacts) -> EngineOptions:
    """Return the options that a deployment of the candidate would give to its engine."""
    version = with_defaults(candidate.version, candidate.snapshot.facts)
    engine = engine_named(version.engine.name)
    vocabulary = vocabulary_of(candidate.snapshot.facts)
    args = engine.arguments(version, accelerator, facts, vocabulary)
    env = engine.environment(version, accelerator, candidate.snapshot.size)
    options = engine.read_options(version.engine.version, args, env)
    able = capabilities(candidate.version, candidate.snapshot.facts)
    if able and not engine.keeps_cache(candidate.files.config):
        # Other small files than config.json bound the request of an encoder as well.
        options = replace(options, context=options.context or able.context)
    return options


def _place(accelerator: Accelerator, share: int, facts: HostFacts) -> FitPlace:
    """Return the place of a replica that needs `share` bytes of each device: the smallest device that has them."""
    if not accelerator.traits.has_devices:
        return FitPlace(accelerator, facts.memory)
    able = [device for device in facts.devices if device.memory >= share]
    device = min(able, key=lambda each: each.memory, default=None)
    return (
        FitPlace(accelerator, device.memory, device.name)
        if device
        else FitPlace(accelerator, share)
    )


def predict_need(candidate: Candidate) -> Prediction:
    """Return the need of a version on devices of exactly the memory that it asks for."""
    version = candidate.version
    accelerator = version.resources.accelerators[0]
    share = version.resources.memory // version.resources.devices
    device = Device(0, "", share, share, maker=accelerator.traits.maker)
    facts = HostFacts("", 0.0, devices=(device,) if accelerator.traits.has_devices else ())
    return predict(
        candidate.files, _options(candidate, accelerator, facts), FitPlace(accelerator, share)
    )


def _with_strategy(
    found: HostFit, candidate: Candidate, release: Release, facts: HostFacts
) -> HostFit:
    found = replace(found, fits=True)
    release = placed_before(release, facts)
    wanted = candidate.wanted(release, facts)
    try:
        plan = plan_deploy(wanted, facts)
    except NothingSuitableError as error:
        turn = turn_of(release, candidate.alternates, facts)
        if turn is None:
            return replace(found, fits=False, why=error.message)
        return replace(
            found,
            fits=turn.fits,
            why=turn.words,
            devices=turn.devices,
            in_turn_with=turn.models,
            wanted=wanted if turn.fits else None,
        )
    found = replace(found, wanted=wanted, changes=plan.changes)
    if plan.empty:
        return replace(found, why="it serves here already")
    if plan.previous is None:
        return replace(found, why="nothing of this model serves here", devices=plan.devices)
    why = {
        Strategy.SWAP: "only in the place of what serves",
        Strategy.SWITCH: "it stands by already",
    }.get(plan.strategy, "beside what serves")
    return replace(
        found,
        why=why,
        devices=plan.devices,
        strategy=str(plan.strategy),
        downtime=plan.downtime or "0 s",
    )


def _fault(prediction: Prediction, version: Version, accelerator: Accelerator) -> str:
    """Return why the replica could not start or not serve the wanted context, empty if it could."""
    asked = part_of(version.resources.memory, version.resources.devices)
    certain = prediction.weights + prediction.cache
    # In the host's memory, compare weights and cache alone: the memory of the processes is an estimate, and an estimate
    # does not justify a refusal.
    if not accelerator.traits.has_devices and certain > version.resources.memory:
        return (
            f"weights and cache alone take {format_size(certain)}, "
            f"its `resources.memory` says {stated_size(version.resources.memory)}"
        )
    if prediction.least <= prediction.budget and (
        prediction.note or prediction.longest >= prediction.context
    ):
        return ""
    if prediction.note:
        return f"its weights of {format_size(prediction.weights)} exceed {format_size(prediction.budget)}"
    where = "" if version.resources.devices == 1 else " on each device"
    return (
        f"one request of {prediction.context:,} tokens needs "
        f"{format_size(prediction.least + prediction.outside)}{where}, "
        f"its `resources.memory` gives {stated_size(asked)}; "
        + (
            f"{prediction.longest:,} tokens would fit (`{_context_flag(version)}`)"
            if prediction.longest
            else f"weights alone take {format_size(prediction.weights)}"
        )
    )


def _context_flag(version: Version) -> str:
    return engine_named(version.engine.name).context_flag(version.engine.version)


def _disk_fault(candidate: Candidate, facts: HostFacts) -> str:
    needed = candidate.snapshot.size + DISK_RESERVE
    if candidate.snapshot.digest in facts.snapshots or facts.disk_free >= needed:
        return ""
    return f"its files take {format_size(candidate.snapshot.size)}, {format_size(facts.disk_free)} of disk are free"


def _too_small(candidate: Candidate, facts: HostFacts, why: str, has: str) -> HostFit:
    accelerator = facts.accelerator
    if accelerator not in candidate.version.resources.accelerators:
        return HostFit(facts.name, False, why, has)
    return HostFit(
        facts.name,
        False,
        why,
        has,
        accelerator=str(accelerator),
        several=_several(candidate, facts, accelerator),
    )


def _several(candidate: Candidate, facts: HostFacts, accelerator: Accelerator) -> Several | None:
    """Return the fewest hosts like this one that hold the model together; None for one host, or for too many.

    The model is tensor parallel inside a host, whose devices are close, with one stage of a pipeline for each host.
    """
    share = engine_named(candidate.version.engine.name).utilization
    options = replace(_options(candidate, accelerator, facts), utilization=share, cache=0)
    device = min(facts.devices, key=lambda each: each.memory, default=None)
    place = FitPlace(accelerator, facts.memory)
    tensor, most = 1, MOST_HOSTS
    with suppress(NotUnderstoodError):
        arch = read_architecture(candidate.files.config)
        most = min(most, len(arch.layers))
        tensor = next((n for n in _powers(len(facts.devices)) if arch.heads % n == 0), 1)
    if accelerator.traits.has_devices and device is not None:
        place = FitPlace(accelerator, device.memory, device.name)
    for hosts in range(1, most + 1):
        tried = replace(options, tensor_parallel=tensor, pipeline_parallel=hosts)
        if predict(candidate.files, tried, place).least <= place.memory * share:
            return Several(hosts, tensor, hosts) if hosts > 1 else None
    return None


def _powers(devices: int) -> tuple[int, ...]:
    """Return the powers of two up to `devices`, the largest first."""
    return tuple(2**each for each in reversed(range(devices.bit_length())))
