"""What a host may lose: neither what runs nor what a rollback would need."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import ENGINE, host, release, slot
from toolkit.domain.deployment.release import OpenDeployment, Release, ReleaseAdapter
from toolkit.domain.hosts.facts import HostFacts
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


@pytest.mark.parametrize(
    "path", ["slots/tiny-blue/manifest.json", "deployment.json", "deployments/r1.json"]
)
def test_nothing_is_removed_where_a_damaged_file_hides_what_is_needed(path: str) -> None:
    with pytest.raises(RefusedError, match="nothing was removed") as caught:
        require_known([host(), replace(host(), damaged=(path,))])
    assert caught.value.hint == "toolkit repair"
    require_known([replace(host(), damaged=("router/keys.json",))])
