"""Locks made anew, and what installing an engine would change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.world import FakeSupplies, World
from toolkit.adapters.hosts.held import lock_lost
from toolkit.config.engine_locks import SHIPPED, read_locks
from toolkit.domain.accelerator import Accelerator
from toolkit.domain.hosts.facts import Device, HostFacts
from toolkit.domain.registry.release_parts import EngineSpec
from toolkit.domain.replicas.probe import LockOwner
from toolkit.errors import (
    BusyError,
    InputError,
    IntegrityError,
    InterruptionError,
    NothingSuitableError,
    RefusedError,
    SourceError,
)
from toolkit.planning.engines.vllm_log import MEMORY_LINES
from toolkit.planning.engines.vllm_names import all_of, names
from toolkit.planning.release.engine_choice import PackageChange
from toolkit.workflows.change.engine import Installation, install_engine, plan_install
from toolkit.workflows.change.engine_lock import (
    ReadSources,
    Relocked,
    relock,
    unfit_of,
    with_extras,
)

LOST = lock_lost().message
SHIPPED_LOCK = SHIPPED / "vllm-0.32.0-cpu-py311.lock"
TEXT = SHIPPED_LOCK.read_text()


def lock_anew(
    home: Path,
    text: str,
    python: str = "3.11",
    *,
    read_sources: ReadSources = lambda *_: whole(),
    force: bool = False,
) -> Relocked:
    return relock(
        EngineSpec("vllm", "0.32.0"),
        Accelerator.CPU,
        python,
        locks=read_locks(home),
        home=home,
        resolve=lambda pin, accelerator, python: text,
        read_sources=read_sources,
        force=force,
    )


def whole(*_: Any) -> dict[str, str]:
    """Sources that have all that the toolkit uses."""
    row = names("0.32.0")
    return {
        "vllm/engine/arg_utils.py": "\n".join(repr(f"--{flag}") for flag in all_of(row.flags)),
        "vllm/envs.py": "\n".join(map(repr, all_of(row.variables))),
        "vllm/v1/metrics/loggers.py": "\n".join(
            map(repr, (*all_of(row.metrics), *all_of(row.figures)))
        ),
        "vllm/v1/worker/gpu_worker.py": "\n".join(map(repr, MEMORY_LINES)),
    }


def test_what_resolves_to_the_shipped_lock_is_not_written(tmp_path: Path) -> None:
    done = lock_anew(tmp_path, TEXT)
    assert (done.written, done.changes, done.lock.path) == (False, (), str(SHIPPED_LOCK))
    assert list(tmp_path.iterdir()) == []


def test_a_change_is_shown_and_kept_beside_the_shipped_lock(tmp_path: Path) -> None:
    newer = TEXT.replace("anyio==4.16.0", "anyio==4.17.0")
    assert newer != TEXT
    done = lock_anew(tmp_path, newer)
    assert done.changes == (PackageChange("anyio", "4.16.0", "4.17.0"),)
    assert done.lock.path == str(tmp_path / "engines" / SHIPPED_LOCK.name)
    assert (Path(done.lock.path).read_text(), SHIPPED_LOCK.read_text()) == (newer, TEXT)
    assert [path.name for path in (tmp_path / "engines").iterdir()] == [SHIPPED_LOCK.name]
    # From now on the local one is compared with.
    assert not lock_anew(tmp_path, newer).written
    assert lock_anew(tmp_path, TEXT).changes == (PackageChange("anyio", "4.17.0", "4.16.0"),)


def test_a_first_lock_for_a_python_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    done = lock_anew(tmp_path, TEXT, python="3.14")
    assert (done.before, done.written, done.lock.python) == (None, True, "3.14")
    assert len(done.changes) == done.lock.packages


def test_a_version_that_lost_a_flag_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    def without(*_: Any) -> dict[str, str]:
        sources = whole()
        flags = sources["vllm/engine/arg_utils.py"].replace("'--enforce-eager'", "''")
        return {**sources, "vllm/engine/arg_utils.py": flags}

    newer = TEXT.replace("anyio==4.16.0", "anyio==4.17.0")
    with pytest.raises(RefusedError) as raised:
        lock_anew(tmp_path, newer, read_sources=without)
    assert raised.value.message == (
        "vllm 0.32.0 lacks what this toolkit uses: flag --enforce-eager; no lock was written"
    )
    assert "--force" in raised.value.hint
    assert list(tmp_path.iterdir()) == []
    forced = lock_anew(tmp_path, newer, read_sources=without, force=True)
    assert (forced.written, forced.as_json()["missing"]) == (True, ["flag --enforce-eager"])


def test_a_version_whose_kernels_cannot_be_switched_off_is_refused(tmp_path: Path) -> None:
    sources = whole()
    sources["vllm/envs.py"] = sources["vllm/envs.py"].replace("VLLM_USE_FLASHINFER_SAMPLER", "")
    newer = TEXT.replace("anyio==4.16.0", "anyio==4.17.0")
    with pytest.raises(RefusedError, match=r"lacks .*variable VLLM_USE_FLASHINFER_SAMPLER"):
        lock_anew(tmp_path, newer, read_sources=lambda *_: sources)


def test_packages_that_do_not_fit_together_are_refused_and_said(tmp_path: Path) -> None:
    shipped = (SHIPPED / "vllm-0.32.0-cuda-py311.lock").read_text()
    mixed = shipped.replace("nvidia-cuda-nvcc==13.0.88", "nvidia-cuda-nvcc==13.5.37")
    assert mixed != shipped
    asked: list[tuple[str, ...]] = []

    def anew(text: str, *, force: bool = False) -> Relocked:
        def resolve(wanted: tuple[str, ...], *_: Any) -> str:
            asked.append(wanted)
            return text

        return relock(
            EngineSpec("vllm", "0.32.0"),
            Accelerator.CUDA,
            "3.11",
            locks=read_locks(tmp_path),
            home=tmp_path,
            resolve=resolve,
            read_sources=lambda *_: whole(),
            force=force,
        )

    assert (anew(shipped).written, anew(shipped).unfit) == (False, ())
    assert asked[0] == ("vllm==0.32.0", "cuda-toolkit[nvcc,cccl]", "cuda-python>=12.8")
    words = (
        "nvidia-cuda-nvcc 13.5.37 compiles nothing with the headers of nvidia-cuda-runtime 13.0.96"
    )
    with pytest.raises(RefusedError) as raised:
        anew(mixed)
    assert raised.value.message == (
        f"vllm 0.32.0 resolves to packages that do not fit together: {words}; no lock was written"
    )
    assert "--force" in raised.value.hint
    assert list(tmp_path.iterdir()) == []
    forced = anew(mixed, force=True)
    assert forced.as_json()["unfit"] == [words]
    # A lock that an older toolkit made is known for what it is, too.
    assert unfit_of(forced.lock) == (words,)
    assert [unfit_of(lock) for lock in read_locks(Path("/nonexistent"))] == [()] * 6


@pytest.mark.parametrize(
    ("extras", "asked"),
    [
        ((), ("vllm==0.32.0", "other")),
        (("audio",), ("vllm[audio]==0.32.0", "other")),
        (("b", "a", "b"), ("vllm[a,b]==0.32.0", "other")),
    ],
)
def test_a_lock_may_have_extras_of_the_engines_package(
    extras: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    heard: list[tuple[str, ...]] = []

    def resolve(wanted: tuple[str, ...], accelerator: Accelerator, python: str) -> str:
        heard.append(wanted)
        return f"for {accelerator} on {python}"

    found = with_extras(resolve, extras)(("vllm==0.32.0", "other"), Accelerator.CPU, "3.11")
    assert (heard, found) == ([asked], "for cpu on 3.11")


def test_a_lost_log_line_costs_figures_alone(tmp_path: Path) -> None:
    sources = {**whole(), "vllm/v1/worker/gpu_worker.py": ""}
    done = lock_anew(tmp_path, TEXT, read_sources=lambda *_: sources)
    assert [each.needed for each in done.missing] == [False] * len(MEMORY_LINES)


def test_a_package_that_cannot_be_read_is_not_checked_and_this_is_said(tmp_path: Path) -> None:
    def failing(*_: Any) -> dict[str, str]:
        raise SourceError("its server does not give parts of files")

    done = lock_anew(tmp_path, TEXT, read_sources=failing)
    assert (done.missing, done.unchecked) == ((), "its server does not give parts of files")
    broken = lock_anew(tmp_path, TEXT, read_sources=lambda *_: {"vllm/envs.py": "def ("})
    assert broken.unchecked.startswith("its sources are not understood: ")


LOCK = next(lock for lock in read_locks(Path("/nonexistent")) if lock.path == str(SHIPPED_LOCK))
HOST = HostFacts(name="here", observed_at=0.0, python="3.11")
MISSING = ("libnuma.so.1 (libnuma1)",)


@pytest.mark.parametrize(
    ("facts", "reasons"),
    [
        (HOST, (f"148 packages of {LOCK.id} are not on the host",)),
        (replace(HOST, engines=(LOCK.id,)), ()),
        (
            replace(HOST, engines=(LOCK.id,), missing_libraries=MISSING),
            ("the host lacks libnuma.so.1 (libnuma1)",),
        ),
        # What is missing for its GPU is no concern of an engine for the CPU.
        (
            replace(
                HOST,
                engines=(LOCK.id,),
                missing_libraries=("cc (gcc)",),
                devices=(Device(0, "H200", 1, 1),),
            ),
            (),
        ),
    ],
)
def test_an_install_says_what_it_would_change(facts: HostFacts, reasons: tuple[str, ...]) -> None:
    assert plan_install(LOCK, facts).reasons == reasons


def test_an_engine_for_another_python_is_refused() -> None:
    with pytest.raises(NothingSuitableError) as raised:
        plan_install(LOCK, replace(HOST, python="3.13"))
    assert raised.value.hint == "toolkit engine lock 0.32.0 --accelerator cpu --python 3.13"


def install(world: World, wanted: str = LOCK.id, agreed: bool = True) -> Installation:
    return install_engine(world.command(), [LOCK], wanted, lambda _: agreed)


def test_an_engine_gets_to_every_host(world: World) -> None:
    world.see(python="3.11", engines=())
    reason = f"148 packages of {LOCK.id} are not on the host"
    done = {"engine": LOCK.id, "changed": True, "reasons": [reason], "error": None}
    assert install(world).as_json() == {
        "engine": LOCK.id,
        "hosts": dict.fromkeys(world.hosts, done),
    }
    assert all(LOCK.id in each.facts.engines for each in world.hosts.values())
    there = {**done, "changed": False, "reasons": []}
    again = install(world, "0.32.0", agreed=False)
    assert again.as_json() == {"engine": LOCK.id, "hosts": dict.fromkeys(world.hosts, there)}


def test_no_leaves_every_host_as_it_is(world: World) -> None:
    world.see(python="3.11", engines=())
    with pytest.raises(RefusedError, match="nothing was changed"):
        install(world, agreed=False)
    assert {each.facts.engines for each in world.hosts.values()} == {()}


def test_an_engine_that_is_removed_while_it_is_asked_for_libraries_comes_whole(
    fleet: World,
) -> None:
    fleet.see(python="3.11", engines=(LOCK.id,), missing_libraries=("libnuma.so.1",))

    def meanwhile(_: Installation) -> bool:
        fleet.hosts["gpu1"].remove("engines", LOCK.id)
        return True

    install_engine(fleet.command(), [LOCK], LOCK.id, meanwhile)
    assert {name: each.sealed for name, each in fleet.hosts.items()} == {
        "gpu1": {LOCK.id},
        "gpu2": set(),
        "gpu3": set(),
    }


def test_an_engine_whose_host_lost_its_lock_meanwhile_is_no_success(fleet: World) -> None:
    """Another command may have changed it beside the playbook, and its seal would vouch for that."""
    fleet.see(python="3.11", engines=())
    host = fleet.hosts["gpu2"]

    def before(event: str) -> None:
        if event.startswith("engine"):
            host.owner = LockOwner("bob@ops", "toolkit prune", 4712)

    host.before = before
    failures = install(fleet).failures
    assert {name: each.message for name, each in failures.items()} == {"gpu2": LOST}
    assert host.sealed == set()


def test_damaged_packages_are_named_where_an_installation_fails(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeSupplies, "recheck_engine", lambda *_: True)
    fleet.see(python="3.11", engines=())
    fleet.failing = "engine"
    for error in install(fleet).failures.values():
        assert isinstance(error, IntegrityError)
        assert error.message.startswith(f"packages of {LOCK.id} on this machine are damaged")
        assert error.hint.startswith("the same command again fetches them")


def test_a_version_that_nobody_locked_is_the_users_fault(world: World) -> None:
    with pytest.raises(InputError, match=r"no engine '9\.9'; versions with a lock: 0\.32\.0"):
        install(world, "9.9")


def test_a_host_that_fails_keeps_its_error_and_the_others_get_the_engine(fleet: World) -> None:
    fleet.see(python="3.11", engines=())
    fleet.see("gpu2", python="3.12")
    fleet.hosts["gpu3"].owner = LockOwner("bob@ops", "toolkit deploy", 1)
    done = install(fleet)
    assert LOCK.id in fleet.host.facts.engines
    assert {name: type(error) for name, error in done.failures.items()} == {
        "gpu2": NothingSuitableError,
        "gpu3": BusyError,
    }
    shown = done.as_json()["hosts"]
    assert {name: each["changed"] for name, each in shown.items()} == {
        "gpu1": True,
        "gpu2": False,
        "gpu3": False,
    }
    assert shown["gpu2"]["error"] == {
        "kind": "does-not-fit",
        "message": f"{LOCK.id} is for Python 3.11; gpu2 has 3.12",
        "hint": "toolkit engine lock 0.32.0 --accelerator cpu --python 3.12",
        "exit_code": 3,
    }


def test_an_interruption_ends_it_on_all_hosts(fleet: World) -> None:
    fleet.see(python="3.11", engines=())
    begun: list[str] = []

    def interrupted(event: str) -> None:
        begun.append(event)
        raise InterruptionError("interrupted")

    fleet.before(interrupted)
    with pytest.raises(InterruptionError):
        install(fleet)
    assert begun == [f"engine {LOCK.id}"]
