"""Keys of a repaired host in a fleet: the copy that knows more holds, on whichever host it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.workflows.world import World, release
from toolkit.domain.clients.keys import Key, KeyRing
from toolkit.workflows.change.repair import repair

FULL = Key("clinic", "a" * 64, 5.0, 60, 2, inside=True, tokens_per_day=1000)
ANEW = replace(FULL, created=0.0, inside=False, tokens_per_day=0)


@pytest.mark.parametrize("damaged", ["gpu1", "gpu2"])
def test_a_host_that_made_keys_anew_takes_the_quotas_of_the_others(
    fleet: World, damaged: str
) -> None:
    fleet.deploy(release(1))
    for name, each in fleet.hosts.items():
        each.ring = KeyRing((ANEW if name == damaged else FULL,), locked=1)
    fleet.see(damaged, damaged=("router/keys.json",))
    fleet.said.clear()
    repair(fleet.command(), lambda _: True)
    assert {each.ring for each in fleet.hosts.values()} == {KeyRing((FULL,), locked=1)}
    assert not any("clinic" in words for words in fleet.said)


def test_a_key_whose_quotas_nobody_knows_is_named_with_what_to_type(world: World) -> None:
    world.deploy(release(1))
    for each in world.hosts.values():
        each.ring = KeyRing((ANEW,), locked=1)
    world.see(damaged=("router/keys.json",))
    repair(world.command(), lambda _: True)
    assert "toolkit keys revoke clinic, then toolkit keys add clinic" in world.said[-1]
