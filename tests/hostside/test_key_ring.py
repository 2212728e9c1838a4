"""Rings of keys: united alike on both sides, read in older forms, told again after a kill."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.hostside.keyed import ANN, BOB, ring, status
from tests.hostside.router_lab import REPO, router_keys
from tests.hostside.router_site import Site
from toolkit.domain.clients.keys import Charge, KeyRing, Price
from toolkit.planning.routing.keys import opened, with_key, without_key


def test_what_was_revoked_stays_revoked_whatever_comes_later(site: Site) -> None:
    before = ring()
    site.lab.give(without_key(before, "ann", now=3.0))
    # an ops machine that saw the keys before, or was away, brings its own
    united = site.lab.give(before)
    assert status(site.lab, ANN) == 401
    assert KeyRing.from_json(united) == without_key(before, "ann", now=3.0)


CHARGE = Charge(7.0, "EUR", {"tiny": (Price("2026-11-01", 1, 2, 3),)})


def test_both_sides_unite_rings_alike() -> None:
    rings = [
        KeyRing(),
        ring(per_minute=5),
        without_key(ring(), "ann", now=4.0),
        without_key(ring(), "ann", now=3.0),
        replace(ring(), charge=CHARGE),
        replace(ring(), charge=replace(CHARGE, told=8.0, models={})),
        opened(without_key(with_key(KeyRing(), "bob", BOB, now=2.0), "bob", now=5.0)),
    ]
    for one, other in itertools.product(rings, rings):
        united = json.loads(json.dumps(router_keys.merged(one.as_json(), other.as_json())))
        assert united == json.loads(json.dumps(one.merged(other).as_json()))
        assert router_keys.is_locked(united) == one.merged(other).is_locked


def test_keys_before_there_is_anything(tmp_path: Path) -> None:
    united = router_keys.apply(str(tmp_path), ring().as_json())
    assert KeyRing.from_json(united) == ring()
    assert router_keys.read(str(tmp_path)) == {"ring": united, "lagging": 0}
    assert "door locked\n" in (tmp_path / "router" / "keys.map").read_text()
    assert router_keys.read(str(tmp_path / "none")) == {
        "ring": {"keys": [], "locked": 0, "opened": 0},
        "lagging": 0,
    }


def test_keys_that_an_older_toolkit_wrote_are_read_and_written_anew(tmp_path: Path) -> None:
    former = ring(concurrency=2).as_json()
    for key in former["keys"]:
        key["at_once"] = key.pop("concurrency")
    (tmp_path / "router").mkdir()
    kept = tmp_path / "router" / "keys.json"
    kept.write_text(json.dumps(former))
    digest = router_keys.door(str(tmp_path))["ring_digest"]
    assert KeyRing.from_json(router_keys.read(str(tmp_path))["ring"]) == ring(concurrency=2)
    assert router_keys.apply(str(tmp_path), KeyRing().as_json()) == json.loads(kept.read_text())
    assert KeyRing.from_json(json.loads(kept.read_text())) == ring(concurrency=2)
    assert router_keys.door(str(tmp_path))["ring_digest"] == digest


KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import router_keys
router_keys._tell = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
router_keys.apply(sys.argv[2], json.loads(sys.stdin.read()))
"""


def test_what_a_killed_run_left_untold_is_seen_and_made_up_for(site: Site) -> None:
    argv = [sys.executable, "-I", "-c", KILLED, str(REPO / "toolkit/hostside"), str(site.lab.root)]
    given = json.dumps(ring().as_json())
    killed = subprocess.run(argv, input=given, text=True, check=False, timeout=30)
    assert killed.returncode == -signal.SIGKILL
    assert status(site.lab) == 200
    assert router_keys.read(str(site.lab.root))["lagging"] == 1
    site.lab.give(KeyRing())
    assert status(site.lab) == 401
    assert router_keys.read(str(site.lab.root)) == {"ring": ring().as_json(), "lagging": 0}
