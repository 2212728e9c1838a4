"""Facts -> the exact plan that makes a release live."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.deploy_facts import R1, R2, SERVES, STANDS_BY, big, dozing, on_gpu, sleepy
from tests.planning.facts import GB, gpu, host, kinds, release, slot, wanted
from toolkit.domain.hosts.facts import HostFacts, ProcessState, RouterFacts
from toolkit.planning.change.deploy import Wanted, plan_deploy

START = ["start green", "gate green", "shift green", "bake green"]


KEEP = ["drain blue", "standby blue"]


BRING = ["verify", "distribute"]


CASES: dict[str, tuple[Wanted, HostFacts, str, list[str], str]] = {
    # the first deployment
    "an empty machine gets everything, in this order": (
        wanted(R1, missing_bytes=5, snapshot_size=9),
        host(engines=(), converged="", router=RouterFacts()),
        "side-by-side",
        ["provision", "fetch", "install-engine", *BRING, "start blue", "gate blue", "shift blue"],
        "",
    ),
    "what is in the store is not fetched": (
        wanted(R1),
        host(),
        "side-by-side",
        [*BRING, "start blue", "gate blue", "shift blue"],
        "",
    ),
    "what is on the host is not distributed, although the store lacks it": (
        wanted(R1, missing_bytes=5),
        host(snapshots=[1]),
        "side-by-side",
        ["start blue", "gate blue", "shift blue"],
        "",
    ),
    "a router that does not run is started": (
        wanted(R1),
        host(snapshots=[1], router=RouterFacts()),
        "side-by-side",
        ["provision", "start blue", "gate blue", "shift blue"],
        "",
    ),
    "a missing library is installed with the engine": (
        wanted(R1),
        host(snapshots=[1], missing_libraries=("libnuma.so.1",)),
        "side-by-side",
        ["install-engine", "start blue", "gate blue", "shift blue"],
        "",
    ),
    # nothing to do
    "what is live needs nothing": (wanted(R1), host(SERVES), "switch", [], ""),
    "an engine that was removed comes back under what is live": (
        wanted(R1), host(SERVES, engines=()), "switch", ["install-engine"], "",
    ),
    "nor without a standby, although none is wanted": (
        wanted(R1, keep_standby=False), host(SERVES, STANDS_BY), "switch", [], "",
    ),
    "the same under another number is live as well": (
        wanted(replace(R1, number=7)), host(SERVES), "switch", [], "",
    ),
    "other settings of the host are converged under what is live": (
        wanted(R1, provision_digest="base-2"), host(SERVES), "switch", ["provision"], "",
    ),
    "a snapshot taken out of use comes back under what is live": (
        wanted(R1), replace(host(SERVES), snapshots=()), "switch", BRING, "",
    ),
    # upgrades
    "an upgrade starts beside, switches and keeps the old one": (
        wanted(R2), host(SERVES, snapshots=[2]), "side-by-side", [*START, *KEEP], "",
    ),
    "or stops it, where no standby is wanted": (
        wanted(R2, keep_standby=False),
        host(SERVES, snapshots=[2]),
        "side-by-side",
        [*START, "drain blue", "stop blue"],
        "",
    ),
    "without a bake": (
        wanted(R2, bake_seconds=0), host(SERVES, snapshots=[2]), "side-by-side",
        ["start green", "gate green", "shift green", *KEEP], "",
    ),
    "a third version takes the standby's place": (
        wanted(release(3)), host(SERVES, STANDS_BY, snapshots=[3]), "side-by-side",
        ["stop green", *START, *KEEP], "",
    ),
    "a standby that crashed makes room as well": (
        wanted(release(3)), host(SERVES, slot("green", R2, well=False), snapshots=[3]),
        "side-by-side", ["stop green", *START, *KEEP], "",
    ),
    "an emptied slot needs no stop": (
        wanted(R2),
        host(SERVES, slot("green", R1, well=False, process=ProcessState.ABSENT), snapshots=[2]),
        "side-by-side", [*START, *KEEP], "",
    ),
    "an old one that crashed is not kept": (
        wanted(R2), host(slot("blue", R1, weight=100, well=False), snapshots=[2]), "side-by-side",
        [*START, "drain blue", "stop blue"], "",
    ),
    "a slot by a name of another toolkit serves on until the switch": (
        wanted(R2), host(slot("red", R1, weight=100), snapshots=[2]), "side-by-side",
        ["start blue", "gate blue", "shift blue", "bake blue", "drain red", "standby red"], "",
    ),
    # rollbacks
    "a standby only has to answer": (
        wanted(R2, "rollback"), host(SERVES, STANDS_BY), "switch",
        ["gate green", "shift green", *KEEP], "",
    ),
    "a deployment to a standby is watched": (
        wanted(R2), host(SERVES, STANDS_BY), "switch",
        ["gate green", "shift green", "bake green", *KEEP], "",
    ),
    "a standby that crashed is started again": (
        wanted(R2, "rollback"), host(SERVES, slot("green", R2, well=False)), "side-by-side",
        ["stop green", *START, *KEEP], "",
    ),
    "a standby is switched to while the one that serves is down": (
        wanted(R2, "rollback"), host(slot("blue", R1, weight=100, well=False), STANDS_BY), "switch",
        ["gate green", "shift green", "drain blue", "stop blue"], "",
    ),
    "a rollback to a standby needs no files": (
        wanted(R2, "rollback"),
        replace(host(SERVES, STANDS_BY), snapshots=()), "switch",
        ["gate green", "shift green", *KEEP], "",
    ),
    "a standby in blue is found as well": (
        wanted(R1), host(slot("blue", R1), slot("green", R2, weight=100)), "switch",
        ["gate blue", "shift blue", "bake blue", "drain green", "standby green"], "",
    ),
    "a replica that nobody routes to takes the traffic": (
        wanted(R1), host(slot("blue", R1)), "switch",
        ["gate blue", "shift blue", "bake blue"], "",
    ),
    # after a reboot or a crash
    "what crashed starts again where it was": (
        wanted(R1), host(slot("blue", R1, weight=100, well=False)), "side-by-side",
        ["start blue", "gate blue", "shift blue"], "until it answers; it does not serve now",
    ),
    "what hangs is stopped first": (
        wanted(R1), host(slot("blue", R1, weight=100, healthy=False)), "side-by-side",
        ["stop blue", "start blue", "gate blue", "shift blue"],
        "until it answers; it does not serve now",
    ),
    "what may still be starting is waited for": (
        wanted(R1), host(slot("blue", R1, weight=100, healthy=False, started_at=-60.0)),
        "side-by-side", ["start blue", "gate blue", "shift blue"],
        "until it answers; it does not serve now",
    ),
    "what had time enough to start hangs": (
        wanted(R1, ready_seconds=10),
        host(slot("blue", R1, weight=100, healthy=False, started_at=-121.0)),
        "side-by-side", ["stop blue", "start blue", "gate blue", "shift blue"],
        "until it answers; it does not serve now",
    ),
    "after a reboot the router comes first": (
        wanted(R1),
        host(slot("green", R1, weight=100, well=False, process=ProcessState.STOPPED),
             router=RouterFacts()),
        "side-by-side", ["provision", "start green", "gate green", "shift green"],
        "until it answers; it does not serve now",
    ),
    # memory
    "two that do not fit at once are swapped": (
        wanted(release(2, memory=15 * GB), ready_seconds=38),
        host(slot("blue", release(1, memory=15 * GB), weight=100), snapshots=[2]), "swap",
        ["hold blue", "drain blue", "stop blue", *START], "about 38 s",
    ),
    "a standby goes before a downtime is accepted": (
        wanted(release(3, memory=9 * GB)),
        host(slot("blue", release(1, memory=9 * GB), weight=100),
             slot("green", release(2, memory=9 * GB)), snapshots=[3]),
        "side-by-side", ["stop green", *START, *KEEP], "",
    ),
    # devices
    "the first on a GPU": (
        wanted(big(1)), on_gpu(gpu(0, 24, 24)), "side-by-side",
        ["start blue", "gate blue", "shift blue"], "",
    ),
    "one GPU holds two small ones": (
        wanted(big(2, 10)), on_gpu(gpu(0, 24, 14), running=big(1, 10)), "side-by-side",
        [*START, *KEEP], "",
    ),
    "one GPU does not hold two large ones": (
        wanted(big(2)), on_gpu(gpu(0, 24, 9), running=big(1)), "swap",
        ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    "two GPUs hold one each": (
        wanted(big(2)), on_gpu(gpu(0, 24, 9), gpu(1, 24, 24), running=big(1)), "side-by-side",
        [*START, *KEEP], "",
    ),
    "two GPUs that one release needs both": (
        wanted(big(2, 40, devices=2)),
        on_gpu(gpu(0, 24, 4), gpu(1, 24, 4), running=big(1, 40, devices=2), at=(0, 1)), "swap",
        ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    # former releases that doze
    "a release whose engine can sleep dozes, and is not stopped": (
        wanted(big(2)), on_gpu(gpu(0, 24, 9), running=sleepy(1)), "swap",
        ["hold blue", "drain blue", "doze blue", *START], "about 1 min 00 s",
    ),
    "a new one that needs what stays with it has it stopped": (
        wanted(big(2, 22)), on_gpu(gpu(0, 24, 9), running=sleepy(1)), "swap",
        ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    "a host whose memory is too small for its weights has it stopped": (
        wanted(big(2)),
        replace(on_gpu(gpu(0, 24, 9), running=sleepy(1)), memory_available=15 * GB), "swap",
        ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    "without a standby nothing dozes": (
        wanted(big(2), keep_standby=False), on_gpu(gpu(0, 24, 9), running=sleepy(1)), "swap",
        ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    "what has drifted is no good for a rollback": (
        wanted(big(2)),
        host(slot("blue", sleepy(1), weight=100, devices=(0,), memory=GB, drift=("other words",)),
             snapshots=(2,), devices=(gpu(0, 24, 9),)),
        "swap", ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    "another model on the device may want it": (
        wanted(big(2)),
        host(slot("blue", sleepy(1, 12), weight=100, devices=(0,), memory=GB),
             slot("red", big(5, 3), model="other", weight=100, devices=(0,), memory=GB),
             snapshots=(2,), devices=(gpu(0, 24, 6),)),
        "swap", ["hold blue", "drain blue", "stop blue", *START], "about 1 min 00 s",
    ),
    "two that fit beside each other sleep never": (
        wanted(big(2, 8)), on_gpu(gpu(0, 24, 14), running=sleepy(1, 8)), "side-by-side",
        [*START, *KEEP], "",
    ),
    "a rollback wakes what dozes": (
        wanted(sleepy(1), "rollback"),
        host(dozing(1), slot("green", sleepy(2), weight=100, devices=(0,), memory=GB),
             devices=(gpu(0, 24, 7),)),
        "swap",
        ["hold green", "drain green", "stop green", "wake blue", "gate blue", "shift blue"],
        "about 5 s",
    ),
    "an upgrade to what dozes wakes it and watches it": (
        wanted(sleepy(1)),
        host(dozing(1), slot("green", sleepy(2), weight=100, devices=(0,), memory=GB),
             devices=(gpu(0, 24, 7),)),
        "swap",
        ["hold green", "drain green", "stop green", "wake blue", "gate blue", "shift blue",
         "bake blue"],
        "about 5 s",
    ),
    "what dozes starts on another device where others have taken its own meanwhile": (
        wanted(sleepy(1, 20), "rollback"),
        host(replace(dozing(1), release=sleepy(1, 20)),
             slot("green", big(2, 12), weight=100, devices=(0,), memory=GB),
             devices=(gpu(0, 24, 2), gpu(1, 24, 24))),
        "side-by-side",
        ["stop blue", "start blue", "gate blue", "shift blue", "bake blue", "drain green",
         "standby green"],
        "",
    ),
    "what dozes wakes although the driver's tool says nothing of its device": (
        wanted(sleepy(1), "rollback"),
        host(dozing(1), slot("green", sleepy(2), weight=100, devices=(0,), memory=GB), devices=()),
        "swap",
        ["hold green", "drain green", "stop green", "wake blue", "gate blue", "shift blue"],
        "about 5 s",
    ),
    "where nothing serves, what dozes wakes": (
        wanted(sleepy(1)), host(dozing(1), devices=(gpu(0, 24, 22),)), "switch",
        ["wake blue", "gate blue", "shift blue"], "about 5 s",
    ),
    "the next release has the oldest stopped first, and the former one dozes": (
        wanted(sleepy(3)),
        host(dozing(1), slot("green", sleepy(2), weight=100, devices=(0,), memory=GB),
             snapshots=(3,), devices=(gpu(0, 24, 7),)),
        "swap",
        ["stop blue", "hold green", "drain green", "doze green", "start blue", "gate blue",
         "shift blue", "bake blue"],
        "about 1 min 00 s",
    ),
    "what dozes and has drifted starts anew": (
        wanted(sleepy(1), "rollback"),
        host(dozing(1, drift=("other words",)),
             slot("green", big(2), weight=100, devices=(0,), memory=GB), devices=(gpu(0, 24, 7),)),
        "swap",
        ["stop blue", "hold green", "drain green", "stop green", "start blue", "gate blue",
         "shift blue", "bake blue"],
        "about 1 min 00 s",
    ),
    "what ended while it dozed starts anew": (
        wanted(sleepy(1), "rollback"),
        host(slot("blue", sleepy(1), healthy=False, devices=(0,), rests=True, memory=0),
             slot("green", sleepy(2), weight=100, devices=(0,), memory=GB), devices=(gpu(0, 24, 9),)),
        "swap",
        ["stop blue", "hold green", "drain green", "stop green", "start blue", "gate blue",
         "shift blue", "bake blue"],
        "about 1 min 00 s",
    ),
    "nothing that dozes keeps another release from its device": (
        wanted(big(3, 23)),
        host(dozing(1), snapshots=(3,), devices=(gpu(0, 24, 22),)), "side-by-side",
        ["stop blue", "start green", "gate green", "shift green"], "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_given_facts_lead_to_exactly_this_plan(name: str) -> None:
    ask, facts, strategy, steps, downtime = CASES[name]
    plan = plan_deploy(ask, facts)
    assert kinds(plan.steps) == steps
    assert (str(plan.strategy), plan.downtime) == (strategy, downtime)
    assert plan.empty == (not steps)
    assert all(step.reason for step in plan.steps)
