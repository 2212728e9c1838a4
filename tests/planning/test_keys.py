"""Keys: what may be added and revoked, and how the changes of several places meet."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from toolkit.domain.clients.keys import Key, KeyRing
from toolkit.errors import InputError, RefusedError
from toolkit.planning.routing.keys import opened, uncounted, with_key, without_key

KEYS = {name: f"tk-{name}-{name[0] * 32}" for name in ("ann", "bob", "cleo")}


def digest(name: str) -> str:
    return hashlib.sha256(KEYS[name].encode()).hexdigest()


def add(ring: KeyRing, *names: str) -> KeyRing:
    for name in names:
        ring = with_key(ring, name, KEYS[name], now=1.0)
    return ring


def names(ring: KeyRing) -> list[str]:
    return [key.name for key in ring.active]


def test_a_key_is_kept_by_its_digest_alone() -> None:
    ring = with_key(KeyRing(), "ann", KEYS["ann"], now=5.0, per_minute=60, concurrency=4)
    assert ring == KeyRing((Key("ann", digest("ann"), 5.0, 60, 4),), locked=1)
    assert KeyRing.from_json(ring.as_json()) == ring
    assert KEYS["ann"] not in str(ring.as_json())
    assert KeyRing.from_json({}) == KeyRing()


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("ann", KEYS["cleo"], "ann has a key already"),
        ("", KEYS["cleo"], "'' is no name for a key"),
        ("-x", KEYS["cleo"], "'-x' is no name for a key"),
        (
            "probe",
            KEYS["cleo"],
            "'probe' is the name under which the toolkit's own requests are counted",
        ),
        ("a b", KEYS["cleo"], "'a b' is no name for a key"),
        ('a"b', KEYS["cleo"], "'a\"b' is no name for a key"),
        ("a|b", KEYS["cleo"], "'a|b' is no name for a key"),
        ("x" * 65, KEYS["cleo"], f"{'x' * 65!r} is no name for a key"),
        ("cleo", "short", "this is not fit to be a key: it needs 32 to 512 random characters"),
        ("cleo", "", "this is not fit to be a key: it needs 32 to 512 random characters"),
        ("cleo", "with blanks " * 5, "this is not fit to be a key: it needs 32 to 512 random"),
        ("cleo", KEYS["ann"], "this key was known before, and each key is given out once"),
    ],
)
def test_what_is_no_key_is_refused_without_naming_it(name: str, key: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        with_key(add(KeyRing(), "ann"), name, key, now=2.0)
    assert caught.value.message.startswith(message)
    assert not key or key not in caught.value.message + caught.value.hint


def test_a_key_that_has_the_name_of_the_toolkits_own_requests_is_told() -> None:
    """An older toolkit has given it out, and all of its use counts as nobody's."""
    ring = KeyRing((Key("probe", digest("ann"), 5.0), Key("ann", digest("bob"), 5.0)), locked=1)
    assert uncounted(ring) == (
        "probe: what is asked with it counts as the toolkit's own requests, for no key; give its client another one: "
        "toolkit keys revoke probe",
    )
    assert uncounted(without_key(ring, "probe", now=9.0)) == ()


def test_a_revoked_key_is_remembered() -> None:
    ring = without_key(add(KeyRing(), "ann", "bob"), "ann", now=9.0)
    assert names(ring) == ["bob"]
    assert [key.revoked for key in ring.keys if key.name == "ann"] == [9.0]
    # again: the same, so that a change that did not reach every host can be repeated
    assert without_key(ring, "ann", now=10.0) == ring
    with pytest.raises(InputError, match="known before"):
        add(ring, "ann")
    # the name may have another key
    assert names(with_key(ring, "ann", KEYS["cleo"], now=11.0)) == ["ann", "bob"]


@pytest.mark.parametrize(
    ("name", "hint"), [("anne", "did you mean ann?"), ("zoe", "toolkit keys list")]
)
def test_a_key_that_never_was_cannot_be_revoked(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"there is no key of '{name}'") as caught:
        without_key(add(KeyRing(), "ann"), name, now=1.0)
    assert caught.value.hint == hint


def test_the_first_key_locks_the_router_and_the_last_revocation_does_not_open_it() -> None:
    ring = KeyRing()
    assert not ring.is_locked
    ring = add(ring, "ann")
    assert ring.is_locked
    with pytest.raises(RefusedError, match="there are keys: ann"):
        opened(ring)
    ring = without_key(ring, "ann", now=2.0)
    assert ring.is_locked
    ring = opened(ring)
    assert not ring.is_locked
    assert add(ring, "bob").is_locked
    assert without_key(add(ring, "bob"), "bob", now=3.0).is_locked
    # Also where it never was locked: somebody has said so.
    assert opened(KeyRing()) == KeyRing(opened=1)
    assert not opened(KeyRing()).is_locked


def test_changes_of_several_places_meet_whatever_their_order() -> None:
    start = add(KeyRing(), "ann")
    changes = [
        add(start, "bob"),
        without_key(start, "ann", now=5.0),
        without_key(start, "ann", now=4.0),
        with_key(start, "cleo", KEYS["cleo"], now=3.0),
    ]
    merged = set()
    for order in itertools.permutations(changes):
        ring = start
        for each in order:
            ring = ring.merged(each).merged(ring)
        merged.add(ring)
    (ring,) = merged
    assert names(ring) == ["bob", "cleo"]
    assert [key.revoked for key in ring.keys if key.name == "ann"] == [4.0]


def test_who_opens_the_door_does_not_outdo_who_adds_a_key_elsewhere() -> None:
    shut = without_key(add(KeyRing(), "ann"), "ann", now=2.0)
    here, there = opened(shut), add(shut, "bob")
    both = here.merged(there)
    assert both == there.merged(here)
    assert both.is_locked
    assert without_key(both, "bob", now=3.0).is_locked
