"""The sightings of revisions, as several commands at once record them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from toolkit.adapters.sightings import Sightings
from toolkit.domain.registry.upstream import Sighting


def test_commands_that_look_at_once_lose_no_sighting(tmp_path: Path) -> None:
    many = 16

    def look(number: int) -> None:
        Sightings(tmp_path / "home").see({f"acme/{number}": {"a" * 40: Sighting(number, False)}})

    with ThreadPoolExecutor(many) as pool:
        list(pool.map(look, range(many)))
    asked = {f"acme/{number}": {"a" * 40: Sighting(99.0, False)} for number in range(many)}
    found = Sightings(tmp_path / "home").see(asked)
    assert [each["a" * 40].at for each in found.values()] == list(range(many))


def test_a_revision_that_is_known_needs_no_home_that_can_be_written(tmp_path: Path) -> None:
    seen = {"acme/tiny": {"a" * 40: Sighting(1.0, False)}}
    Sightings(tmp_path).see(seen)
    (tmp_path / "sightings.lock").unlink()
    Sightings(tmp_path).see(seen)
    assert [path.name for path in tmp_path.iterdir()] == ["sightings.json"]


def test_the_gating_that_a_person_takes_over_counts_for_all_revisions_and_keeps_their_ages(
    tmp_path: Path,
) -> None:
    old, new = "a" * 40, "b" * 40
    seen = {"acme/tiny": {old: Sighting(1.0, False), new: Sighting(2.0, False)}}
    sightings, begun = Sightings(tmp_path), list[int]()
    take_over = partial(
        sightings.take_over, "acme/tiny", gated=True, begin=lambda: begun.append(len(begun))
    )
    assert not take_over()
    sightings.see(seen)
    assert take_over()
    assert not take_over()
    assert begun == [0]
    assert sightings.see(seen) == {
        "acme/tiny": {old: Sighting(1.0, True), new: Sighting(2.0, True)}
    }


def test_the_licence_of_the_first_sight_is_kept_and_an_older_file_has_none(tmp_path: Path) -> None:
    seen = {"acme/tiny": {"a" * 40: Sighting(1.0, False, "mit")}}
    later = {"acme/tiny": {"a" * 40: Sighting(2.0, False, "")}}
    assert Sightings(tmp_path).see(seen) == Sightings(tmp_path).see(later) == seen
    (tmp_path / "sightings.json").write_text('{"acme/tiny": {"' + "a" * 40 + '": [1.0, false]}}')
    assert Sightings(tmp_path).see(seen)["acme/tiny"]["a" * 40] == Sighting(1.0, False)


def test_a_home_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a directory")
    with pytest.raises(OSError, match="home"):
        Sightings(tmp_path / "home").see({"acme/tiny": {"a" * 40: Sighting(1.0, False)}})
