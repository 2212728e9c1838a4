"""Requests of several hosts in one order, with tokens that come late and from another host's ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from tests.planning.test_joined import AT, RECORD, REQUEST
from toolkit.adapters.fakes.host import FakeHost
from toolkit.domain.hosts.fleet import Host
from toolkit.errors import HostError
from toolkit.workflows.fleet.requests import PATIENCE, Clock, RequestReader

WHOLE = replace(REQUEST, status=200, reason="-", end="--", tokens_in=1, tokens_out=2)


class Time:
    """A clock that stands still but for what is slept; `then` happens at times."""

    def __init__(self) -> None:
        self.now = AT + 1.5
        self.then: list[tuple[float, Callable[[], None]]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at, act in [each for each in self.then if each[0] <= self.now]:
            self.then.remove((at, act))
            act()


def host(name: str) -> FakeHost:
    found = FakeHost(Host(name))
    return replace(found, facts=replace(found.facts, name=name))


def reader(
    time: Time, *hosts: FakeHost, model: str = "", said: list[str] | None = None
) -> RequestReader:
    say = said.append if said is not None else (lambda _: None)
    return RequestReader(hosts, model, Clock(lambda: time.now, time.sleep), say)


def test_the_last_requests_of_all_hosts_stand_in_the_order_in_which_they_came() -> None:
    one, two = host("gpu1"), host("gpu2")
    one.logged = [replace(WHOLE, at=AT + each, request_id=f"a{each}") for each in (1, 4, 5)]
    two.logged = [
        replace(WHOLE, at=AT + each, request_id=f"b{each}", host="gpu2") for each in (2, 3)
    ]
    found = reader(Time(), one, two).latest(3)
    assert [each.request_id for each in found] == ["b3", "a4", "a5"]
    assert reader(Time(), one, two).latest(0) == ()


def test_tokens_come_from_the_ledger_of_the_host_whose_replica_worked() -> None:
    one, two = host("gpu1"), host("gpu2")
    one.logged, two.recorded = [REQUEST], [RECORD]
    [found] = reader(Time(), one, two).latest(5)
    assert (found.status, found.reason, found.tokens_in, found.tokens_out) == (
        499,
        "client_left_answer",
        7,
        5,
    )


def test_the_record_of_a_request_that_has_just_ended_is_waited_for() -> None:
    one, time = host("gpu1"), Time()
    one.logged = [REQUEST]
    time.then.append((AT + 3, lambda: one.recorded.append(RECORD)))
    [found] = reader(time, one).latest(5)
    assert (found.tokens_out, time.now) == (5, AT + 3)


def test_a_record_that_never_comes_is_waited_for_within_bounds() -> None:
    one, time = host("gpu1"), Time()
    one.logged = [REQUEST]
    [found] = reader(time, one).latest(5)
    assert found.tokens_out is None and time.now <= AT + 1.5 + PATIENCE
    # of an old request nothing more is to come
    now = time.now
    reader(time, one).latest(5)
    assert time.now == now


def test_following_tells_each_request_once_and_with_its_tokens() -> None:
    one, time = host("gpu1"), Time()
    one.logged = [replace(WHOLE, request_id="old")]
    late = replace(REQUEST, request_id="late", at=AT + 3)
    other = replace(WHOLE, request_id="other", at=AT + 4)
    time.then += [
        (AT + 3.0, lambda: one.logged.extend([late, other])),
        (AT + 6.0, lambda: one.recorded.append(replace(RECORD, request_id="late", began=AT + 3.1, at=AT + 4.0))),
    ]  # fmt: skip
    reading = reader(time, one)
    shown = reading.latest(5)
    # the place of the log is older than its last line: this line is told again
    reading._places["gpu1"] = {"line": 0}
    found = list(islice(reading.further(shown), 2))
    assert [each.request_id for each in (*shown, *found)] == ["old", "other", "late"]
    assert found[1].tokens_out == 5


def test_one_model_is_told_alone() -> None:
    one = host("gpu1")
    one.logged = [replace(WHOLE, model="other"), WHOLE]
    assert [each.model for each in reader(Time(), one, model="tiny").latest(5)] == ["tiny"]


def test_a_silent_host_is_named_once_and_others_answer() -> None:
    one, two, said, time = host("gpu1"), host("gpu2"), list[str](), Time()
    two.logged = [replace(WHOLE, host="gpu2")]

    def fail(_: str) -> None:
        raise HostError("gpu1 does not answer")

    one.before = fail  # type: ignore[method-assign]
    reading = reader(time, one, two, said=said)
    shown = reading.latest(5)
    assert [each.host for each in shown] == ["gpu2"]
    time.then.append((time.now + 2, lambda: two.logged.append(replace(WHOLE, request_id="new"))))
    next(reading.further(shown))
    assert said == ["warning: gpu1 does not answer"]
    with pytest.raises(HostError, match="gpu1 does not answer"):
        reader(time, one).latest(5)


def test_a_host_whose_log_lacks_requests_is_named_once() -> None:
    one, two, said = host("gpu1"), host("gpu2"), list[str]()
    two.facts = replace(two.facts, unlogged="journalctl is not installed")
    one.logged = [WHOLE]
    found = reader(Time(), one, two, said=said)
    assert found.latest(5) == (WHOLE,)
    found.latest(5)
    assert said == ["warning: gpu2: journalctl is not installed"]
