"""Use as clients count it, as `toolkit usage` says it, and as the engines counted it; tests/bench has the million."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.bench.bench_use_clients import measure, settled
from tests.bench.use_comparison import Comparison
from tests.bench.use_site import Site, counting_site, text_of
from toolkit.domain.clients.keys import Charge, KeyRing, Price
from toolkit.planning.routing.keys import with_charge, with_key


def test_clients_usage_and_engines_say_the_same_over_a_router_that_is_killed() -> None:
    requests = 300
    with counting_site(requests) as site:
        happens = [
            (0.1, "router killed", lambda: site.restart_router(site.lab.kill)),
            (0.3, "router reloaded", site.reload),
            (0.4, "usage collected", site.usage),
        ]
        load, happened, _ = measure(site, requests, ["alpha", "beta"], happens)
        spent = spend_a_months_cost(site)
        usage = settled(site)
        assert happened.total() == 3
        found = Comparison.of(site.replicas, [*load.results, spent], usage)
    assert found.shown()
    # Some answers of the key with a quota are refusals, which are no use.
    refused = sum(each["came"].get("429, no use", 0) for each in load.results)
    answered = sum(each[0] for each in found.whole.values()) - spent["sums"]["dear alpha"][0]
    again = sum(each["came"].get("asked again after 503", 0) for each in load.results)
    left = sum(each["came"].get(f"left {how}", 0) for each in load.results for how in WAYS)
    assert answered + refused + left == requests + again


def spend_a_months_cost(site: Site) -> dict[str, Any]:
    """Ask with a key that may cost 100 millionths of a euro a month until it is refused; return its use."""
    prices = {"alpha": (Price("2026-01-01", 2_000_000, 200_000, 10_000_000),)}
    ring = with_charge(KeyRing(), Charge(5.0, "EUR", prices))
    site.lab.give(with_key(ring, "dear", text_of("dear"), now=1.0, cost_per_month=100))
    body = {"model": "alpha", "max_tokens": 4, "messages": [{"role": "user", "content": "a word"}]}
    bearer = {"Authorization": f"Bearer {text_of('dear')}"}
    sums, cost = [0, 0, 0], 0
    while (said := site.lab.ask("/v1/chat/completions", body, **bearer))[0] == 200:
        used = said[1]["usage"]
        cached = (used.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        cost += 2 * (used["prompt_tokens"] - cached) + 10 * used["completion_tokens"]
        for at, more in enumerate((1, used["prompt_tokens"], used["completion_tokens"])):
            sums[at] += more
        assert sums[0] < 500, "nobody refuses the key"
        time.sleep(0.05)
    assert cost >= 100
    status, refusal, headers = said
    assert (status, refusal["error"]["code"]) == (429, "quota_exceeded")
    assert "This key has used up its budget of this month" in refusal["error"]["message"]
    assert 0 < int(headers["Retry-After"]) <= 31 * 86_400
    # Reading costs nothing.
    assert site.lab.ask("/v1/models", **bearer)[0] == 200
    return {"sums": {"dear alpha": sums}, "unclear": [], "came": {}}


WAYS = ("at once", "running", "stalled")


class Engine:
    def __init__(self) -> None:
        self.past = Counter({"in": 30, "out": 12})

    def requests(self) -> dict[str, tuple[int, int]]:
        return {"r1": (10, 4), "r2": (10, 5), "r3": (10, 3)}


ROW = {"key": "ann", "model": "tiny", "requests": 3, "tokens_in": 30, "tokens_out": 12}
RELEASE = {"asked": 30, "tokens_out": 12, "missing": 0, "unknown": 0, "open": 0, "silent": 0}
USAGE = {"rows": [ROW], "reconciled": [RELEASE], "refused": {}, "lost": {}}
# Two whole answers, one that its client left after two tokens, one that came to no engine.
CLIENT = {
    "sums": {"ann tiny": [2, 20, 9]},
    "unclear": [["r3", "ann tiny", True, 10, 2, 8], ["r4", "ann tiny", False, 10, 0, 8]],
}


@pytest.mark.parametrize(
    ("usage", "client", "agreed"),
    [
        pytest.param({}, {}, True, id="all the same"),
        pytest.param({"rows": [{**ROW, "tokens_out": 13}]}, {}, False, id="usage has a token more"),
        pytest.param({"rows": [{**ROW, "requests": 2}]}, {}, False, id="usage has a request less"),
        pytest.param({"rows": [{**ROW, "key": "bob"}]}, {}, False, id="of another key"),
        pytest.param({"reconciled": [{**RELEASE, "asked": 29}]}, {}, False, id="the engine has more"),
        pytest.param({"reconciled": [{**RELEASE, "missing": 1}]}, {}, False, id="a record is missing"),
        pytest.param({"refused": {"gpu1": 1}}, {}, False, id="a line was refused"),
        pytest.param({"lost": {"gpu1": 1}}, {}, False, id="a record was lost"),
        pytest.param({}, {"sums": {"ann tiny": [2, 20, 8]}}, False, id="a client saw less"),
        pytest.param(
            {}, {"unclear": [["r3", "ann tiny", True, 10, 4, 8]]}, False, id="less than its client got"
        ),
        pytest.param(
            {}, {"unclear": [["r3", "ann tiny", True, 10, 2, 2]]}, False, id="more than was asked for"
        ),
        pytest.param(
            {}, {"unclear": [*CLIENT["unclear"], ["r5", "ann tiny", True, 10, 1, 8]]}, False, id="of no engine"
        ),
    ],
)  # fmt: skip
def test_a_difference_shows(usage: dict[str, Any], client: dict[str, Any], agreed: bool) -> None:
    found = Comparison.of([Engine()], [{**CLIENT, **client}], {**USAGE, **usage})
    assert found.agreed is agreed
