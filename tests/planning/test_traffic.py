"""The first line of a plan: what happens to the traffic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import GB, host, release, slot, wanted
from toolkit.domain.deployment.release import ReleaseAdapter
from toolkit.domain.gates.guard import Guard
from toolkit.domain.hosts.facts import HostFacts, RouterFacts
from toolkit.planning.change.deploy import plan_deploy
from toolkit.planning.change.rollout import Limits, plan_rollout
from toolkit.planning.change.traffic import stop_words
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.routes import Routes, Target

R1, R2 = release(1), release(2)
ADAPTER = ReleaseAdapter("sql", "acme/sql", "3" * 40, "3" * 64)
ADAPTED = replace(R1, number=3, adapters=(ADAPTER,))
SERVES = host(slot("blue", R1, weight=100))
STANDS_BY = host(slot("blue", R1), slot("green", R2, weight=100))
SMALL = host(slot("blue", R1, weight=100), memory_available=GB)
TARGETS = tuple(Target("blue", 8100, 100, name, "10.0.0.1:8444") for name in ("gpu1", "gpu2"))
ELSEWHERE = with_model(Routes(), "tiny", TARGETS, created=1).as_json()
CRASHED = host(slot("blue", R1, weight=100, well=False))
DRIFTED = replace(SERVES, router=RouterFacts(True, drift=("tiny/blue",)))


@pytest.mark.parametrize(
    ("asked", "facts", "words"),
    [
        ({}, [SERVES], "Nothing changes."),
        ({"provision_digest": "base-2"}, [SERVES], "Traffic of tiny stays where it is."),
        ({}, [host()],
         "Nothing serves tiny there now; #1 (v1) does, once it has passed its checks."),
        ({}, [SERVES, host()],
         "Traffic of tiny goes to more hosts, once #1 (v1) has passed its checks there."),
        ({"held": R2}, [SERVES],
         "Traffic of tiny moves from #1 (v1) to #2 (v2); #1 (v1) stays beside it for a return."),
        ({"held": R2}, [SERVES, SERVES],
         "Traffic of tiny moves from #1 (v1) to #2 (v2), host after host; #1 (v1) stays beside it for a return."),
        ({"held": R2, "keep_standby": False}, [SERVES],
         "Traffic of tiny moves from #1 (v1) to #2 (v2); #1 (v1) is stopped then."),
        ({"held": R1, "action": "rollback"}, [STANDS_BY],
         "Traffic of tiny moves from #2 (v2) to #1 (v1); #2 (v2) stays beside it for a return."),
        ({"held": R2, "hold_seconds": 120.0, "ready_seconds": 38.0}, [SMALL],
         "Requests for tiny wait, each up to 2 min 00 s, while #1 (v1) stops and #2 (v2) starts (about 38 s); "
         "whoever waits longer is refused."),
        # The bake is no part of the wait.
        ({"held": R2, "hold_seconds": 120.0, "ready_seconds": 38.0, "guard": Guard(bake=600)}, [SMALL],
         "Requests for tiny wait, each up to 2 min 00 s, while #1 (v1) stops and #2 (v2) starts (about 38 s); "
         "whoever waits longer is refused."),
        ({"held": R2, "ready_seconds": 38.0}, [replace(SMALL, routes=ELSEWHERE)],
         "Requests for tiny do not wait while #1 (v1) stops and #2 (v2) starts (about 38 s): "
         "they go to other hosts, which are not known to serve."),
        ({"held": R2}, [SMALL, SMALL],
         "Traffic of tiny moves from #1 (v1) to #2 (v2), host after host; "
         "where one stops for the other, the other hosts serve meanwhile."),
        ({"held": ADAPTED}, [SERVES],
         "Traffic of tiny stays with its replicas, which become #3 (v1); "
         "requests for an adapter that is exchanged wait meanwhile."),
        ({}, [CRASHED], "Nothing serves tiny there now; #1 (v1) does, once it has passed its checks."),
        ({}, [DRIFTED], "Traffic of tiny stays with #1 (v1); its routers are told so again."),
    ],
)  # fmt: skip
def test_the_first_line_says_what_happens_to_the_traffic(
    asked: dict[str, Any], facts: list[HostFacts], words: str
) -> None:
    asked = {"held": R1, **asked}
    hosts = {f"gpu{number}": each for number, each in enumerate(facts, 1)}
    plans = {name: plan_deploy(wanted(**asked), each) for name, each in hosts.items()}
    rollout = plan_rollout(plans, hosts, Limits(), unreachable={})
    assert rollout.traffic == words
    assert rollout.as_json()["traffic"] == words


def test_a_stop_says_whether_other_hosts_take_the_traffic() -> None:
    assert stop_words("tiny", ("gpu1",), everywhere=True) == (
        "Requests for tiny are refused from now on, until it is deployed again."
    )
    assert stop_words("tiny", ("gpu1", "gpu2"), everywhere=False) == (
        "Traffic of tiny leaves gpu1, gpu2; the other hosts take it."
    )
