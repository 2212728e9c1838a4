"""What the guard of a release makes of figures, second by second; the clock and the figures are those of a table."""

from __future__ import annotations

import csv
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.hostside.router_lab import REPO

sys.path.insert(0, str(REPO / "toolkit/hostside"))

from guard_judge import Judge, Look, Side
from guard_probes import Pair, Said
from guard_traffic import Traffic

GIB = 2**30
ORDER = {
    "rollout": "r1", "model": "tiny", "slot": "green", "former": "blue", "release": 4, "version": "v2", "number": 1,
    "phase": "share", "seconds": 60.0, "requests": 0, "share": 1000, "patience": 30.0, "unsure": "return",
    "tolerance": {"slower": 1.15, "errors": 0.005, "growth": 1.5}, "probes": [],
}  # fmt: skip


def said(fault: str = "", seconds: float = 0.1, text: str = "yes", **more: Any) -> Said:
    return Said(fault, text, seconds, times={"whole": seconds}, **more)


def pair(new: Said, old: Said | None = None, **more: Any) -> Pair:
    return Pair(0, new, said() if old is None else old, **more)


def seconds(
    of: Callable[[int], tuple[Traffic, Traffic]] = lambda _: (Traffic(), Traffic()),
    probe: Callable[[int], Pair | None] = lambda _: pair(said()),
    memory: Callable[[int], int | None] = lambda _: GIB,
    broken: Callable[[int], str] = lambda _: "",
) -> Iterator[Look]:
    """Yield a look for each second of an hour."""
    for at in range(3600):
        found = probe(at)
        pairs = (found._replace(at=float(at)),) if found else ()
        new, old = of(at)
        yield Look(float(at), Side(new, memory(at)), Side(old), pairs, broken(at))


def judged(
    looks: Iterator[Look], judge: Judge | None = None, **order: Any
) -> tuple[str, float, str]:
    """Return the verdict, the second at which it was found, and its reason."""
    judge = judge or Judge({**ORDER, **order})
    for look in looks:
        judge.look(look)
        verdict, reason = judge.verdict()
        if verdict:
            return verdict, look.at, reason
    raise AssertionError("no verdict in an hour")


def traffic(new: int = 2, old: int = 18, **more: int) -> tuple[Traffic, Traffic]:
    return Traffic(new, **more), Traffic(old)


def test_a_release_as_good_as_the_former_one_passes_when_its_time_is_over() -> None:
    assert judged(seconds(lambda _: traffic())) == ("passed", 60.0, "")
    assert judged(seconds(lambda _: traffic(20, 0)), phase="bake") == ("passed", 60.0, "")


def test_failures_in_a_row_are_a_breach_also_where_the_clock_begins_anew_among_them() -> None:
    def bad(at: int) -> Pair:
        return pair(said("status 500") if at >= 20 else said())

    looks = [
        each._replace(at=each.at - (3600.0 if each.at >= 22 else 0.0))
        for each in seconds(probe=bad)
    ]
    looks = [
        each._replace(pairs=tuple(one._replace(at=each.at) for one in each.pairs)) for each in looks
    ]
    verdict, at, _ = judged(iter(looks), phase="bake", seconds=600.0)
    assert (verdict, at + 3600.0) == ("failed", 24.0)


def test_a_phase_also_lasts_until_enough_was_asked() -> None:
    quiet = seconds(lambda at: traffic(at % 10 == 0, 1), lambda _: None)
    verdict, at, _ = judged(quiet, seconds=5.0, requests=5, patience=90.0)
    assert (verdict, at) == ("passed", 40.0)


def test_on_a_quiet_night_probes_are_enough() -> None:
    verdict, at, _ = judged(seconds(), seconds=5.0, requests=1000)
    assert (verdict, at) == ("passed", 19.0)


def test_without_requests_and_probes_nobody_can_tell() -> None:
    verdict, at, reason = judged(seconds(probe=lambda _: None), requests=10)
    assert (verdict, at) == ("could not tell", 90.0)
    assert reason == "0 of 10 requests and 0 of 20 pairs of probes so far"


USUAL = (200.0, 0.0)


def silent(
    open: int, first: int = 20, carried: Callable[[int], int] = lambda _: 7
) -> Iterator[Look]:
    """Yield looks at a replica that answers probes and, from the second `first` on, no request of a client."""
    return seconds(
        lambda at: (
            Traffic(20, carried=1000 * at)
            if at < first
            else Traffic(0, open=open, carried=carried(at)),
            Traffic(),
        )
    )


def test_requests_of_clients_that_get_no_byte_are_a_hang_though_probes_are_answered() -> None:
    found = judged(silent(6), Judge({**ORDER, "phase": "bake"}, usual=USUAL))
    assert found == (
        "failed",
        30.0,
        "6 requests are open, and none has got a byte for 10 s; before they waited 0.2 s",
    )


@pytest.mark.parametrize(
    ("looks", "usual"),
    [
        pytest.param(silent(6, carried=lambda at: at), USUAL, id="streams go on"),
        pytest.param(silent(2), USUAL, id="two long answers"),
        pytest.param(
            (look._replace(works=True) for look in silent(6)), USUAL, id="prefills of long prompts"
        ),
        pytest.param(silent(6), (9000.0, 0.0), id="answers take long as ever"),
        pytest.param(silent(6), (None, 0.0), id="nobody knows how long answers take"),
    ],
)  # fmt: skip
def test_a_silence_that_may_be_work_is_no_hang(
    looks: Iterator[Look], usual: tuple[float | None, float]
) -> None:
    order = {**ORDER, "phase": "bake"}
    assert judged(looks, Judge(order, usual=usual)) == ("passed", 60.0, "")


FAULTS = [
    pytest.param(
        seconds(lambda at: traffic(20, 0, failed=20)), "bake", 4, "requests in a row failed",
        id="500 on everything",
    ),
    pytest.param(
        seconds(lambda at: traffic(2, 18, failed=2)), "share", 4, "requests in a row failed, none of the serving",
        id="500 on everything, with a small share",
    ),
    pytest.param(
        seconds(probe=lambda at: pair(said("an empty answer"))), "bake", 4, "probes: 4 requests in a row failed",
        id="empty answers to probes, no traffic",
    ),
    pytest.param(
        seconds(probe=lambda at: pair(said("without `4`") if at % 4 == 0 else said())), "bake", 120,
        "the last probe: without `4`", id="one of four probes is wrong",
    ),
    pytest.param(
        seconds(probe=lambda at: pair(said("ConnectionRefusedError: no", refused=True))), "bake", 2,
        "it refuses connections", id="refused connections",
    ),
    pytest.param(
        seconds(broken=lambda at: "its process ended" if at == 7 else ""), "bake", 7, "its process ended",
        id="a crash",
    ),
    pytest.param(
        seconds(probe=lambda at: pair(said(seconds=3.0)) if at % 4 == 3 else None), "bake", 12,
        "an answer takes 3.0 s, and 0.10 s of the serving release", id="3 s an answer",
    ),
    pytest.param(
        seconds(memory=lambda at: GIB + at * 100 * 2**20), "bake", 10, "its memory has grown from 1.0 to",
        id="memory growth",
    ),
    pytest.param(
        seconds(lambda at: (Traffic(20, refused=20), Traffic(20))), "share", 30,
        "requests are refused, 0 % of", id="400 on everything",
    ),
    pytest.param(
        seconds(lambda at: (Traffic(1, refused=int(at % 3 == 0)), Traffic(9))), "share", 60,
        "requests are refused, 0 % of", id="400 on one request in three",
    ),
    pytest.param(
        # Clients send wrong requests, which both refuse.
        seconds(lambda at: (Traffic(10, refused=5), Traffic(90, refused=18))), "share", 60,
        "requests are refused, 20 % of", id="400 on one request in three amid wrong ones",
    ),
    pytest.param(
        seconds(lambda at: traffic(20, 0, failed=1)), "bake", 60, "requests failed, 0 % of ",
        id="5 % errors at 20 requests/s",
    ),
    pytest.param(
        seconds(probe=lambda at: pair(said(seconds=0.15))), "bake", 120, "time of an answer: 1.5 times",
        id="half as slow again, on a quiet night",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("looks", "phase", "within", "words"), FAULTS)
def test_a_fault_is_found_by_its_own_figures(
    looks: Iterator[Look], phase: str, within: float, words: str
) -> None:
    verdict, at, reason = judged(looks, phase=phase, seconds=600.0)
    assert verdict == "failed"
    assert at <= within
    assert words in reason


SPARED = [
    pytest.param(
        seconds(lambda at: traffic(10, 10, failed=3 * (at == 30))), "share", id="one bad second",
    ),
    pytest.param(
        seconds(lambda at: (Traffic(10, int(at % 10 == 0)), Traffic(90, int(at % 10 == 5) * 9))), "share",
        id="both fail as often",
    ),
    pytest.param(
        seconds(probe=lambda at: pair(said("status 500"), said("status 500"))), "share", id="both fail a probe",
    ),
    pytest.param(
        seconds(lambda at: (Traffic(20, open=9), Traffic()), lambda at: pair(said(seconds=0.3), fair=False)), "bake",
        id="probes wait for their turn under all traffic",
    ),
    pytest.param(seconds(memory=lambda at: 10**8 + min(at, 60) * 2**20), "bake", id="the first 60 MiB of buffers"),
    pytest.param(
        seconds(memory=lambda at: GIB + max(0, 8 - abs(at - 30)) * GIB // 4 * (at >= 29)), "bake",
        id="memory that is needed for a moment and falls again",
    ),
    pytest.param(seconds(memory=lambda at: None), "bake", id="memory that nobody can measure"),
    pytest.param(
        seconds(lambda at: (Traffic(10, refused=int(at % 2)), Traffic(90, refused=4 + int(at % 2)))), "share",
        id="5 % refused by their own fault",
    ),
    pytest.param(
        # All else is still being answered, as at the begin of a share.
        seconds(lambda at: (Traffic(int(at % 4 == 0), refused=int(at % 4 == 0), open=5 * int(at) - int(at / 4)),
                            Traffic(40, refused=2, open=200))),
        "share", id="refusals come at once, and answers after minutes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("looks", "phase"), SPARED)
def test_what_proves_nothing_is_no_breach(looks: Iterator[Look], phase: str) -> None:
    judge = Judge({**ORDER, "phase": phase, "seconds": 240.0})
    assert judged(looks, judge)[0] == "passed"


def test_a_client_whose_requests_are_refused_by_both_may_stay_with_the_new_release() -> None:
    """With `routing: prefix` all of them go to one release: that which their conversation has drawn."""
    looks = [*seconds(lambda at: traffic(int(at % 5 == 0), 5, refused=int(at % 5 == 0)))]
    assert judged(iter(looks), Judge({**ORDER, "seconds": 240.0}))[0] == "failed"
    sticky = Judge({**ORDER, "seconds": 240.0}, sticky=True)
    assert judged(iter(looks), sticky) == ("passed", 240.0, "")
    (refused,) = (each for each in sticky.figures() if each["name"] == "refused")
    assert (refused["new"], refused["old"]) == (100.0, 0.0)


def test_a_conversation_that_fails_with_both_releases_holds_no_step() -> None:
    """With `routing: prefix` the router takes it from a canary that has failed it, see test_router_share.py."""

    def of(at: int) -> tuple[Traffic, Traffic]:
        return (Traffic(1, 1), Traffic(5)) if at == 20 else (Traffic(), Traffic(6, int(at > 20)))

    judge = Judge({**ORDER, "seconds": 240.0}, sticky=True)
    assert judged(seconds(of), judge) == ("passed", 240.0, "")


def test_a_conversation_that_fails_with_the_new_release_alone_holds_the_step() -> None:
    def of(at: int) -> tuple[Traffic, Traffic]:
        return Traffic(int(at == 20), int(at == 20)), Traffic(6)

    judge = Judge({**ORDER, "seconds": 240.0}, sticky=True)
    verdict, _, reason = judged(seconds(of), judge)
    assert (verdict, reason) == (
        "could not tell",
        "the last requests failed, which proves nothing yet",
    )


RECORDED = REPO / "tests/bench/recorded_pairs.csv"


@pytest.mark.parametrize("new", ["a", "b"])
def test_pairs_of_two_equal_engines_on_a_crowded_machine_are_no_breach(new: str) -> None:
    """Answers of 32 tokens of real engines, one in five of which takes five times as long as the other's."""
    old = "ab".replace(new, "")
    with RECORDED.open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    def answer(row: dict[str, float], side: str) -> Said:
        first, between = row[f"first_{side}"], row[f"next_{side}"]
        whole = first + 31 * between
        return Said("", "yes", whole, times={"first": first, "next": between, "whole": whole})

    pairs = [pair(answer(row, new), answer(row, old)) for row in rows]
    judge = Judge({**ORDER, "phase": "bake", "seconds": 9999.0})
    for look, each in zip(seconds(), pairs, strict=False):
        assert judge.look(look._replace(pairs=(each,))) == ""
    assert judge.counted == (0, len(rows))


def test_failures_at_the_end_of_a_phase_hold_it_until_they_prove_something() -> None:
    late = seconds(lambda at: traffic(20, 0, failed=20 * (at >= 9)), lambda _: None)
    verdict, at, _ = judged(late, phase="bake", seconds=10.0)
    assert (verdict, 10 < at <= 13) == ("failed", True)


def test_under_all_traffic_as_many_failures_as_before_are_no_breach() -> None:
    """Clients that cause failures go on doing so."""
    order = {**ORDER, "phase": "bake", "seconds": 120.0}
    chance = random.Random(7)

    def requests(_: int) -> tuple[Traffic, Traffic]:
        return traffic(20, 0, failed=sum(chance.random() < 0.05 for _ in range(20)))

    assert judged(seconds(requests), Judge(order, usual=(None, 0.05)))[0] == "passed"
    assert judged(seconds(requests), Judge(order))[0] == "failed"


def test_answers_that_must_not_change_are_compared_and_unsteady_ones_forgiven() -> None:
    order = {**ORDER, "phase": "bake", "seconds": 120.0}
    changed = seconds(probe=lambda _: pair(said(text="no"), same=True))
    verdict, _, reason = judged(changed, Judge(order))
    assert verdict == "failed"
    assert reason.startswith("answers: 100 %")
    unsteady = seconds(probe=lambda at: pair(said(text=f"n{at}"), said(text=f"o{at}"), same=True))
    assert judged(unsteady, Judge(order))[0] == "passed"


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        ((0.501, -0.2498, 1e-6), "passed"), ((0.25, -0.5, 0.0), "failed"), ((0.5, -0.25), "failed"),
    ],
)  # fmt: skip
def test_numbers_of_an_answer_may_differ_a_little(new: tuple[float, ...], verdict: str) -> None:
    """Another engine computes a vector in another order."""

    def probe(at: int) -> Pair:
        old = said(text="[#]", numbers=(0.5, -0.25 + at % 2 * 1e-5, 0.0))
        return pair(said(text="[#]", numbers=new), old, same=True)

    order = {**ORDER, "phase": "bake", "seconds": 120.0}
    assert judged(seconds(probe=probe), Judge(order))[0] == verdict


def test_figures_stand_beside_those_of_the_former_release() -> None:
    judge = Judge(ORDER)
    for look in seconds(lambda at: (Traffic(2, open=1, first=120.0), Traffic(18, 1, first=80.0))):
        judge.look(look)
        if look.at == 20:
            break
    shown = {each["name"]: (each["new"], each["old"], each["unit"]) for each in judge.figures()}
    assert shown["requests"] == (42, 378, "")
    assert shown["failed"] == (0.0, pytest.approx(5.556), "%")
    assert shown["first byte"] == (120.0, 80.0, "ms")
    assert shown["failed probes"] == (0, 0, "of 21")
    assert shown["probe"] == (100.0, 100.0, "ms")
    assert shown["memory"] == (1.0, 1.0, "GiB")
