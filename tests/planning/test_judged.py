"""What a host says of the guards of deployments that no command carries out any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.planning.facts import host, release, slot
from toolkit.domain.deployment.release import OpenDeployment
from toolkit.planning.change.judged import is_unjudged, model_of_order


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("tiny", "guard/tiny.json"),
        ("tiny.found", "guard/tiny%2efound.json"),
        ("tiny.wish", "guard/tiny%2ewish.json"),
    ],
)
def test_the_lost_order_of_a_guard_is_known_by_the_name_of_its_file(model: str, path: str) -> None:
    new = replace(release(2), model=model)
    opened = OpenDeployment("r1", "upgrade", model, "green", "ann@ops", new, None, True, 5.0)
    there = replace(slot("green", new, weight=100), model=model)
    seen = host(there, damaged=(path,), opened=opened)
    assert is_unjudged(seen, opened.on("gpu1"))
    assert not is_unjudged(replace(seen, damaged=("guard/other.json",)), opened.on("gpu1"))
    assert model_of_order(seen, path) == model_of_order(host(there), path) == model
    assert model_of_order(host(), "guard/gone.json") == "gone"
