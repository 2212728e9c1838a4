"""What keeps replicas in their place, what is left open, and when that is refused."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from tests.planning.facts import host, release, slot
from toolkit.domain.deployment.plan import Plan, Step, StepKind, Strategy
from toolkit.domain.hosts.facts import FENCES, ProcessState, RouterFacts
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import RefusedError
from toolkit.planning.change.fence import fence_remarks, fenced, left_open, open_binds

OWN = ("user", "rights")
OPEN = (
    "it cannot fence replicas entirely: they can read what all users of the host may read, "
    "see the host's other processes, reach other hosts and make any system call"
)
FIRST = (StepKind.START,)


def plan(*kinds: StepKind) -> Plan:
    steps = tuple(Step(kind, "why") for kind in kinds)
    return Plan("deploy", "tiny", release(1), None, "blue", 8100, Strategy.SIDE_BY_SIDE, steps)


@pytest.mark.parametrize(
    ("fences", "words"),
    [
        (FENCES, ""),
        (FENCES[:-1], "make any system call"),
        (("rights", "files", "processes", "calls"), "act as the router's user and reach other hosts"),
        ((), "act as the router's user, gain rights, read what all users of the host may read, "
             "see the host's other processes, reach other hosts and make any system call"),
    ],
)  # fmt: skip
def test_what_is_left_open_is_said_in_words(fences: tuple[str, ...], words: str) -> None:
    assert left_open(fences) == words


def test_a_replica_without_its_fence_is_named_while_it_runs() -> None:
    bare = replace(
        slot("blue", release(1)), fences=("rights", "files", "processes", "network", "calls")
    )
    gone = replace(bare, slot="green", process=ProcessState.STOPPED)
    assert fence_remarks(replace(host(), slots=(bare, gone))) == (
        "tiny blue is not fenced: it can act as the router's user",
    )
    assert fence_remarks(replace(host(), slots=(slot("blue", release(1)),))) == ()
    assert fence_remarks(replace(host(), fences=OWN)) == (OPEN,)
    # The host says it for all of its replicas; one of them lacks more.
    assert fence_remarks(
        replace(host(), fences=OWN, slots=(replace(bare, fences=("rights",)),))
    ) == (
        OPEN,
        "tiny blue is not fenced: it can act as the router's user",
    )


@pytest.mark.parametrize(
    ("bind", "relay", "peers", "expected"),
    [
        ("127.0.0.1:8080", "", (), ()),
        ("localhost:8080", "", (), ()),
        ("[::1]:8080", "", (), ()),
        ("127.0.0.1:8080", "10.0.0.1", ("10.0.0.2",), ("10.0.0.1:8090",)),
        ("*:8080", "", (), ("*:8080",)),
        (":8080", "", (), (":8080",)),
        ("0.0.0.0:8080", "", (), ("0.0.0.0:8080",)),
        ("[::]:8080", "", (), ("[::]:8080",)),
        ("gpu-1:8080", "", (), ("gpu-1:8080",)),
    ],
)
def test_which_addresses_other_machines_reach(
    bind: str, relay: str, peers: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    target = Host("box", router_bind=bind, relay_address=relay, peers=peers)
    assert open_binds(target) == expected


@pytest.mark.parametrize(
    ("bind", "accepted", "fences", "kinds", "notes"),
    [
        ("127.0.0.1:8080", False, FENCES, FIRST, ()),
        ("*:8080", False, FENCES, FIRST, ()),
        ("127.0.0.1:8080", False, OWN, FIRST, (OPEN,)),
        ("*:8080", True, OWN, FIRST, (OPEN,)),
        # a rollback to a standby, and a plan with nothing to do
        ("*:8080", False, OWN, (StepKind.GATE, StepKind.SHIFT), ()),
        ("*:8080", False, OWN, (), ()),
    ],
)
def test_a_plan_says_what_it_leaves_open(
    bind: str,
    accepted: bool,
    fences: tuple[str, ...],
    kinds: tuple[StepKind, ...],
    notes: tuple[str, ...],
) -> None:
    target = Host("box", router_bind=bind, accept_unfenced=accepted)
    found = fenced(
        {"box": plan(*kinds)}, [target, Host("other")], {"box": replace(host(), fences=fences)}
    )
    assert found["box"].notes == notes


def test_a_start_behind_a_door_to_the_network_needs_a_fence_or_consent() -> None:
    target = Host("box", router_bind="*:8080")
    with pytest.raises(RefusedError) as refused:
        fenced({"box": plan(*FIRST)}, [target], {"box": replace(host(), fences=OWN)})
    assert refused.value.message == f"box: {OPEN}; and its router would listen at *:8080"
    assert "toolkit_accept_unfenced: true" in refused.value.hint


INSIDE = {"router_bind": "127.0.0.1:8080", "relay": ""}
OUTSIDE = {"router_bind": "*:8080", "relay": ""}


@pytest.mark.parametrize(
    ("wanted", "seen", "refused"),
    [
        ({}, {}, True),
        ({"accept_unfenced": True}, {}, False),
        ({"router_bind": "127.0.0.1:9000"}, {}, False),
        ({}, {"fences": FENCES}, False),
        # nothing runs there yet, or it was open before
        ({}, {"slots": ()}, False),
        ({}, {"converged": ""}, False),
        ({}, {"settings": OUTSIDE}, False),
        # a second host is there now
        ({"router_bind": "127.0.0.1:8080", "relay_address": "10.0.0.1", "peers": ("10.0.0.2",)}, {}, True),
        # an older toolkit kept no settings: its router is compared, and its relay counts as one that was there
        ({}, {"settings": None}, True),
        ({}, {"settings": None, "router": RouterFacts(True, "*:8080")}, False),
        ({"relay_address": "10.0.0.1", "peers": ("10.0.0.2",)}, {"settings": None}, False),
    ],
)  # fmt: skip
def test_the_door_of_replicas_without_a_fence_opens_with_consent_alone(
    wanted: dict[str, Any], seen: dict[str, Any], refused: bool
) -> None:
    target = Host("box", **{"router_bind": "*:8080", **wanted})
    found = replace(
        host(),
        **{
            "fences": OWN,
            "converged": "former",
            "settings": INSIDE,
            "router": RouterFacts(True, "127.0.0.1:8080"),
            "slots": (slot("blue", release(1)),),
            **seen,
        },
    )
    opening = plan(StepKind.PROVISION, StepKind.SHIFT)
    with pytest.raises(RefusedError, match="its router would listen") if refused else nullcontext():
        fenced({"box": opening}, [target], {"box": found})
