"""The union of rings is the same in every order, and no repaired host loosens a key."""

from __future__ import annotations

import itertools
import json
import sys
from dataclasses import asdict, replace
from functools import reduce

import pytest

from tests.hostside.router_lab import REPO
from toolkit.domain.clients.keys import Key, KeyRing
from toolkit.planning.routing.keys import made_anew

sys.path.insert(0, str(REPO / "toolkit/hostside"))

import router_keys

FULL = Key(
    "clinic", "a" * 64, 5.0, 60, 2, inside=True,
    requests_per_day=1, tokens_per_day=1000, requests_per_month=3, tokens_per_month=4, cost_per_month=5,
)  # fmt: skip
ANEW = Key("clinic", "a" * 64, 0.0, 60, 2)
REVOKED = replace(ANEW, revoked=9.0)
STRICTER = replace(FULL, created=7.0, per_minute=6, concurrency=0, tokens_per_day=10, revoked=8.0)


@pytest.mark.parametrize(
    ("keys", "union"),
    [
        ((FULL, ANEW), FULL),
        ((FULL, ANEW, REVOKED), replace(FULL, revoked=9.0)),
        ((ANEW, REVOKED), REVOKED),
        ((FULL, STRICTER, REVOKED), replace(FULL, per_minute=6, tokens_per_day=10, revoked=8.0)),
    ],
)
def test_every_order_gives_the_known_and_stricter_value_of_each_field(
    keys: tuple[Key, ...], union: Key
) -> None:
    for order in itertools.permutations(keys):
        rings = [KeyRing((key,), locked=1) for key in order]
        assert reduce(KeyRing.merged, rings, KeyRing()) == KeyRing((union,), locked=1)
        hosts = [json.loads(json.dumps(ring.as_json())) for ring in rings]
        made = reduce(router_keys.merged, hosts, {})
        assert made == KeyRing((union,), locked=1).as_json()


def test_hosts_agree_after_one_round() -> None:
    rings = [KeyRing((key,), locked=1) for key in (ANEW, FULL)]
    ring = reduce(KeyRing.merged, rings)
    texts = {
        json.dumps(router_keys.merged(each.as_json(), ring.as_json()), sort_keys=True)
        for each in rings
    }
    assert texts == {json.dumps(ring.as_json(), sort_keys=True)}


def test_keys_that_the_map_alone_knows_are_named_with_what_to_type() -> None:
    other = Key("ann", "b" * 64, 1.0)
    (words,) = made_anew(KeyRing((ANEW, other, replace(REVOKED, digest="c" * 64))))
    assert words.startswith("clinic: made anew")
    assert words.endswith("toolkit keys revoke clinic, then toolkit keys add clinic")
    assert made_anew(KeyRing((FULL,))) == []
    # As after damage that took all keys: the door stays shut.
    assert "toolkit keys open" in made_anew(KeyRing(locked=1))[0]
    assert made_anew(KeyRing(locked=1, opened=1)) == []
    assert asdict(FULL.joined(ANEW)) == asdict(ANEW.joined(FULL))
