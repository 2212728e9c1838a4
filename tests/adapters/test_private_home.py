"""The ops machine's home belongs to its user alone, whatever the umask and whoever made it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.adapters.history.history import History
from toolkit.adapters.schedule_record import ScheduleRecord
from toolkit.adapters.sightings import Sightings
from toolkit.adapters.store.private import make_private
from toolkit.config.completion.known_names import remember
from toolkit.domain.registry.upstream import Sighting


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    former = os.umask(request.param)
    yield request.param
    os.umask(former)


def modes(home: Path) -> dict[str, int]:
    return {each.name: stat.S_IMODE(each.stat().st_mode) for each in (home, *home.iterdir())}


def test_a_new_home_and_its_history_are_private(umask: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert make_private(home) == ()
    history = History(home / "history.db", lambda: 0.0)
    found = modes(home)
    history.close()
    assert found.pop("home") == 0o700
    assert "history.db" in found
    assert set(found.values()) == {0o600}


def test_what_commands_keep_beside_the_history_is_private(umask: int, tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_private(home)
    Sightings(home).see({"acme/tiny": {"a" * 40: Sighting(1.0, False)}})
    with ScheduleRecord(home).locked():
        ScheduleRecord(home).since(1.0)
    remember(home, None, hosts=["gpu1"])
    found = modes(home)
    assert found.pop("home") == 0o700
    assert {"sightings.lock", "sightings.json", "schedule.lock", "names.json"} <= found.keys()
    assert set(found.values()) == {0o600}
    assert make_private(home) == ()


def test_a_home_that_was_open_is_closed_and_named_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "store").mkdir(parents=True)
    (home / "history.db").touch()
    home.chmod(0o755)
    (home / "history.db").chmod(0o644)
    (home / "link").symlink_to(tmp_path)
    before = tmp_path.stat().st_mode
    assert make_private(home) == (str(home), str(home / "history.db"))
    assert make_private(home) == ()
    assert modes(home)["history.db"] == 0o600
    assert tmp_path.stat().st_mode == before


def test_a_directory_that_is_not_the_toolkits_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letters").touch()
    tmp_path.chmod(0o755)
    assert make_private(tmp_path) == ()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("kind", ["file", "pipe", "link"])
def test_what_is_no_directory_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    other.touch()
    if kind == "pipe":
        os.mkfifo(home)
    elif kind == "link":
        home.symlink_to(other)
    else:
        home.touch()
    home.chmod(0o644)
    assert make_private(home) == ()
    assert stat.S_IMODE(home.stat().st_mode) == 0o644


def test_a_directory_that_all_users_share_stays_shared(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert make_private(tmp_path) == ()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777
