"""What a host may lose: neither what runs nor what a rollback would need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import ENGINE, host, release, slot
from toolkit.domain.deployment.release import OpenDeployment, Release, ReleaseAdapter
from toolkit.domain.hosts.facts import HostFacts
from toolkit.domain.hosts.leftover import Leftover, LeftoverKind
from toolkit.errors import RefusedError
from toolkit.planning.upkeep.prune import plan_prune, require_known

R1, R2, R3 = release(1), release(2), release(3)
ADAPTED = replace(R1, adapters=(ReleaseAdapter("sql", "acme/sql", "3" * 40, R3.snapshot),))
OLD_ENGINE = replace(R1, engine="vllm-0.31.0")
OPENED = OpenDeployment("r1", "upgrade", "tiny", "green", "bob@ops2", R2, R1, False, 1.0)
EVERYTHING = {"snapshots": (1, 2, 3), "engines": (ENGINE, "vllm-0.31.0")}


@pytest.mark.parametrize(
    ("facts", "recent", "snapshots", "engines", "kept"),
    [
        (host(**EVERYTHING), [], [1, 2, 3], [ENGINE, "vllm-0.31.0"], []),
        (host(**EVERYTHING), [R3, R2], [1], ["vllm-0.31.0"],
         ["tiny #3 (v3): recent", "tiny #2 (v2): recent"]),
        (host(slot("blue", R1, weight=100), **EVERYTHING), [R1], [2, 3], ["vllm-0.31.0"],
         ["tiny #1 (v1): in a slot"]),
        # a replica that crashed is still in its slot
        (host(slot("blue", OLD_ENGINE, well=False), **EVERYTHING), [R2], [3], [],
         ["tiny #1 (v1): in a slot", "tiny #2 (v2): recent"]),
        # equal bytes under two releases are kept by either
        (host(**EVERYTHING), [replace(R1, number=9)], [2, 3], ["vllm-0.31.0"],
         ["tiny #9 (v1): recent"]),
        # the files of an adapter are kept like those of its base
        (host(slot("blue", ADAPTED, weight=100), **EVERYTHING), [], [2], ["vllm-0.31.0"],
         ["tiny #1 (v1): in a slot"]),
        (host(**EVERYTHING), [ADAPTED], [2], ["vllm-0.31.0"], ["tiny #1 (v1): recent"]),
        # a command that was killed: the next one goes on with the one, or back to the other
        (replace(host(**EVERYTHING), opened=OPENED), [], [3], ["vllm-0.31.0"],
         ["tiny #2 (v2): of an open deployment", "tiny #1 (v1): of an open deployment"]),
        (replace(host(slot("blue", R1, weight=100), **EVERYTHING), opened=OPENED), [], [3], ["vllm-0.31.0"],
         ["tiny #1 (v1): in a slot", "tiny #2 (v2): of an open deployment"]),
        (host(engines=()), [], [], [], []),
        # nothing of ours to remove: what is needed and absent is no matter
        (host(engines=()), [R1], [], [], ["tiny #1 (v1): recent"]),
    ],
)  # fmt: skip
def test_a_prune_keeps_what_slots_and_recent_releases_use(
    facts: HostFacts,
    recent: list[Release],
    snapshots: list[int],
    engines: list[str],
    kept: list[str],
) -> None:
    plan = plan_prune(facts, recent)
    assert plan.snapshots == tuple(f"{number:064x}" for number in snapshots)
    assert (list(plan.engines), list(plan.kept)) == (engines, kept)
    assert plan.empty == (not snapshots and not engines)


S1, S2 = R1.snapshot, R2.snapshot
TRANSFER, PACKAGES = LeftoverKind.TRANSFER, LeftoverKind.PACKAGES
RESUMED = "the next deployment goes on with it"


@pytest.mark.parametrize(
    ("facts", "recent", "left", "kept"),
    [
        # nothing needs it
        (host(snapshots=(), engines=()), [], Leftover(f"snapshots/.{S1}.partial", TRANSFER, S1), ""),
        (host(snapshots=(), engines=()), [], Leftover(f"wheelhouse/{ENGINE}", PACKAGES, ENGINE), ""),
        (host(snapshots=(), engines=()), [], Leftover(f"engines/{ENGINE}", LeftoverKind.INSTALLATION, ENGINE), ""),
        # an open deployment goes on with what has come, and back to what it left
        (replace(host(snapshots=(1,)), opened=OPENED), [], Leftover(f"snapshots/.{S2}.partial", TRANSFER, S2), RESUMED),
        (replace(host(snapshots=(2,)), opened=OPENED), [], Leftover(f"snapshots/.{S1}.partial", TRANSFER, S1), RESUMED),
        (replace(host(engines=()), opened=OPENED), [], Leftover(f"wheelhouse/{ENGINE}", PACKAGES, ENGINE), RESUMED),
        (replace(host(engines=()), opened=OPENED), [],
         Leftover(f"wheelhouse/.{ENGINE}.partial", TRANSFER, ENGINE), RESUMED),
        # so does a recent release
        (host(snapshots=()), [R1], Leftover(f"snapshots/.{S1}.partial", TRANSFER, S1), RESUMED),
        # what is there already needs no rest of its way
        (replace(host(snapshots=(1, 2)), opened=OPENED), [], Leftover(f"snapshots/.{S2}.partial", TRANSFER, S2), ""),
        (replace(host(), opened=OPENED), [], Leftover(f"wheelhouse/{ENGINE}", PACKAGES, ENGINE), ""),
        # an installation begins anew each time; but a replica may run with one that has lost its stamp
        (replace(host(engines=()), opened=OPENED), [],
         Leftover(f"engines/{ENGINE}", LeftoverKind.INSTALLATION, ENGINE), ""),
        (host(slot("blue", R1, weight=100), engines=()), [],
         Leftover(f"engines/{ENGINE}", LeftoverKind.INSTALLATION, ENGINE),
         "a slot runs with it; toolkit verify --repair installs it anew"),
        (host(slot("blue", R1, weight=100)), [],
         Leftover(f"engines/.{ENGINE}.anew", LeftoverKind.INSTALLATION, ENGINE), ""),
        # what is on its way out goes, whose ever it was
        (replace(host(snapshots=()), opened=OPENED), [R1],
         Leftover(f"snapshots/.{S1}.removed", LeftoverKind.REMOVAL, S1), ""),
        (host(), [], Leftover("compiled/.tiny-blue.partial", TRANSFER, "tiny-blue"), ""),
        # a process works on it
        (host(snapshots=()), [], Leftover(f"snapshots/.{S1}.partial", TRANSFER, S1, busy="it runs"), "it runs"),
    ],
)  # fmt: skip
def test_a_prune_keeps_of_what_was_cut_short_what_will_go_on(
    facts: HostFacts, recent: list[Release], left: Leftover, kept: str
) -> None:
    plan = plan_prune(facts, recent, [left])
    assert plan.leftovers == (() if kept else (left,))
    assert [each for each in plan.kept if each.startswith(left.path)] == (
        [f"{left.path}: {kept}"] if kept else []
    )
    assert not (plan.leftovers and plan.empty)


@pytest.mark.parametrize(
    "path", ["slots/tiny-blue/manifest.json", "deployment.json", "deployments/r1.json"]
)
def test_nothing_is_removed_where_a_damaged_file_hides_what_is_needed(path: str) -> None:
    with pytest.raises(RefusedError, match="nothing was removed") as caught:
        require_known([host(), replace(host(), damaged=(path,))])
    assert caught.value.hint == "toolkit repair"
    require_known([replace(host(), damaged=("router/keys.json",))])
