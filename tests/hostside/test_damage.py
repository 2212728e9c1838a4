"""Whatever a disk, an editor or a half-done provisioning left: the host answers, and changes go on or say why not."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hostside.router_lab import router_keys
from tests.planning.rendered import render_files
from toolkit.adapters.hosts.facts import facts_from_json
from toolkit.domain.clients.keys import KeyRing
from toolkit.planning.routing.differences import file_edits
from toolkit.planning.routing.edits import with_model
from toolkit.planning.routing.keys import with_key
from toolkit.planning.routing.routes import Routes, Target

HOSTSIDE = Path(__file__).parents[2] / "toolkit" / "hostside"
ROUTES = with_model(
    Routes(), "tiny", (Target("blue", 8100, 100), Target("green", 8101, 0)), created=1
)
RING = with_key(with_key(KeyRing(), "ann", "k" * 40, now=1.0), "bob", "b" * 40, now=2.0)
RELEASE = {"model": "tiny", "version": "v1", "number": 1, "snapshot": "a", "engine": "e"}
MANIFEST = {"model": "tiny", "slot": "blue", "port": 8100, "release": RELEASE}
# Words in place of a document.
DAMAGE = (
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"\xff\xfe\x00", b"[" * 100_000,
    b'{"routes": 5}', b'{"routes": [{}]}', b'{"routes": [{"model": "tiny", "created": 1, "targets": [{}]}]}',
    b'{"keys": [{}]}', b'{"keys": 5, "locked": "x"}', b'{"model": "tiny"}', b'{"rollout": []}', b"\x00" * 4096,
)  # fmt: skip

Ask = Callable[..., dict[str, Any]]


@contextmanager
def talk(root: Path) -> Iterator[Ask]:
    """Yield a function that asks the host's side about `root`, in one process."""
    with subprocess.Popen(
        [sys.executable, "-I", str(HOSTSIDE), "converse"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdin and child.stdout
        requests, answers = child.stdin, child.stdout

        def ask(command: str, **request: Any) -> dict[str, Any]:
            requests.write(json.dumps({"command": command, "root": str(root), **request}) + "\n")
            requests.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield ask
        requests.close()


def furnish(root: Path) -> None:
    """Write what a host with a model and keys has, without a running router."""
    for name in ("router", "slots/tiny-blue", "snapshots", "engines"):
        (root / name).mkdir(parents=True)
    for name, text in render_files(ROUTES).items():
        (root / "router" / name).write_text(text)
    (root / "slots/tiny-blue/manifest.json").write_text(json.dumps(MANIFEST))
    router_keys.apply(str(root), RING.as_json())


def test_a_damaged_file_is_named_and_hides_nothing_else(tmp_path: Path) -> None:
    furnish(tmp_path)
    with talk(tmp_path) as ask:
        assert ask("observe", label="")["result"]["damaged"] == []
        for path in ("router/routes.json", "router/keys.json", "slots/tiny-blue/manifest.json"):
            whole = (tmp_path / path).read_bytes()
            for words in (b"{", b"\xff" * 9, b"[" * 100_000):
                (tmp_path / path).write_bytes(words)
                seen = ask("observe", label="")["result"]
                assert seen["damaged"] == [path]
            (tmp_path / path).write_bytes(whole)


def test_a_slot_that_has_lost_its_manifest_is_named(tmp_path: Path) -> None:
    furnish(tmp_path)
    manifest = tmp_path / "slots/tiny-blue/manifest.json"
    manifest.unlink()
    with talk(tmp_path) as ask:
        # One that is being filled or emptied has no command.
        assert ask("observe", label="")["result"]["damaged"] == []
        (manifest.parent / "run").write_text("exec vllm\n")
        for plant in (lambda: None, lambda: manifest.symlink_to("run"), manifest.mkdir):
            plant()
            assert ask("observe", label="")["result"]["damaged"] == [
                "slots/tiny-blue/manifest.json"
            ]
            manifest.unlink(missing_ok=True) if not manifest.is_dir() else manifest.rmdir()


def test_a_damaged_order_of_a_guard_is_named_and_made_anew(tmp_path: Path) -> None:
    furnish(tmp_path)
    order, copy = tmp_path / "guard/tiny.json", tmp_path / "guard/tiny%copy"
    order.parent.mkdir()
    for each in (order, copy):
        each.write_text(json.dumps(GUARDED))
    with talk(tmp_path) as ask:
        assert ask("observe", label="")["result"]["damaged"] == []
        order.write_bytes(b"{")
        assert ask("observe", label="")["result"]["damaged"] == ["guard/tiny.json"]
        assert ask("repair-guards")["result"] == {"lost": []}
        assert json.loads(order.read_text()) == GUARDED
        for each in (order, copy):
            each.write_bytes(b"{")
        assert ask("repair-guards")["result"] == {"lost": ["guard/tiny.json"]}
        assert ask("observe", label="")["result"]["damaged"] == []


# All documents that an observation reads but those of `furnish`.
OTHERS = (
    "deployment.json", "deployments/x.json", "deployment.lock", "settings.json", "slots/tiny-blue/files.json",
    "guard/tiny.found.json", "guard/tiny.json", "router/withdrawn.json", "seals/base.json", "seals/programs.json",
    "seals/router.json", "watch/limits.json", "watch/tiny-blue.json", "watch/woken.json",
)  # fmt: skip
OPENED = {
    **dict.fromkeys(("rollout", "action", "model", "slot", "actor"), "x"),
    "starts": True,
    "started_at": 1.0,
    "release": None,
    "previous": None,
}
GUARDED = {
    **dict.fromkeys(("model", "rollout", "slot", "former", "token"), "x"),
    "phase": "bake",
    "number": 1,
}


ODD = (
    b"", b"7", b"[1]", b"\xff\xfe\x00", b"[" * 100_000, b'{"rollout": []}', b'{"rollout": "\\ud800"}',
    json.dumps({**OPENED, "release": RELEASE}).encode(), json.dumps({**OPENED, "started_at": True}).encode(),
    json.dumps(GUARDED).encode(), json.dumps({**GUARDED, "model": 5}).encode(),
    b'{"haproxy.cfg": 5, "bin/hostside": [], "a\\u0000b": ["x"], "at": [], "why": {}}',
    json.dumps({**GUARDED, "verdict": "x", "state": 5, "withdrawn": []}).encode(),
    json.dumps({**MANIFEST, "signs": 5}).encode(), json.dumps({**MANIFEST, "port": 10**400}).encode(),
    b'{"models": {"tiny": {"hang": 1%s}}, "idle": 1%s}' % (b"0" * 400, b"0" * 400),
)  # fmt: skip


# What is no document at all. A pipe has no writer, and one of the links leads to a file without an end.
IN_ITS_PLACE: tuple[Callable[[Path], None], ...] = (
    os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("/dev/zero"),
)  # fmt: skip


@pytest.mark.parametrize("path", (*OTHERS, "slots/tiny-blue/manifest.json"))
def test_no_document_of_a_host_ends_an_observation(tmp_path: Path, path: str) -> None:
    furnish(tmp_path)
    (tmp_path / path).parent.mkdir(exist_ok=True)
    if path.startswith("guard/"):
        (tmp_path / "guard/tiny.json").write_text(json.dumps({**GUARDED, "model": "tiny"}))
    with talk(tmp_path) as ask:
        for words in ODD:
            (tmp_path / path).write_bytes(words)
            seen = ask("observe", label="")
            assert "result" in seen, (words[:40], seen)
            facts_from_json("alpha", seen["result"])
        for put in IN_ITS_PLACE:
            (tmp_path / path).unlink()
            put(tmp_path / path)
            seen = ask("observe", label="")
            assert "result" in seen, seen
            facts_from_json("alpha", seen["result"])
            if (tmp_path / path).is_dir():
                (tmp_path / path).rmdir()
                (tmp_path / path).touch()


def test_edits_of_routes_that_a_host_does_not_have_change_nothing(tmp_path: Path) -> None:
    furnish(tmp_path)
    old, new = render_files(ROUTES), render_files(replace(ROUTES, serial=ROUTES.serial + 1))
    edits = file_edits(old, new)
    with talk(tmp_path) as ask:
        # A file that no change of the router has written has no seal yet, so it is written.
        assert set(ask("apply-routes", files=old)["result"]["changed"]) == set(old)
        done = ask("apply-routes", edits=edits)["result"]
        assert done["changed"] == ["routes.json"]
        assert (tmp_path / "router/routes.json").read_text() == new["routes.json"]
        assert ask("apply-routes", edits=edits)["result"] == {"stale": ["routes.json"]}
        del edits["holds.map"]
        assert "missing files of the router: holds.map" in ask("apply-routes", edits=edits)["error"]
        assert (tmp_path / "router/routes.json").read_text() == new["routes.json"]


def test_without_its_routes_a_host_still_shows_who_has_the_traffic(tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / "router/routes.json").write_text("{")
    with talk(tmp_path) as ask:
        seen = ask("observe", label="")["result"]
        assert [(each["slot"], each["weight"]) for each in seen["slots"]] == [("blue", 100)]
        assert seen["routes"] == {}
        # To tell the routes again repairs the file.
        assert "result" in ask("apply-routes", files=render_files(ROUTES))
        assert ask("observe", label="")["result"]["damaged"] == []
    # A file that is gone, or empty after a power cut, is damaged as well: its backends are there.
    for words in (None, ""):
        (tmp_path / "router/routes.json").unlink(missing_ok=True)
        if words is not None:
            (tmp_path / "router/routes.json").write_text(words)
        with talk(tmp_path) as ask:
            assert ask("observe", label="")["result"]["damaged"] == ["router/routes.json"]


def _ring_with(name: str, value: object) -> str:
    """Return the text of the ring in which a field of the first key has another value, None for none."""
    first, *others = RING.as_json()["keys"]
    changed = {each: found for each, found in {**first, name: value}.items() if found is not None}
    return json.dumps({**RING.as_json(), "keys": [changed, *others]})


@pytest.mark.parametrize(
    "words",
    [
        *("{", "", None, '{"keys": [{}]}'),
        *(_ring_with("name", each) for each in (5, ["ann"])),
        *(_ring_with("per_minute", each) for each in (None, "x", True)),
        *(_ring_with(name, float("nan")) for name in ("created", "revoked", "concurrency")),
        *(_ring_with(name, "x") for name in ("created", "digest", "tokens_per_day")),
        json.dumps({**RING.as_json(), "charge": 5}),
        json.dumps({**RING.as_json(), "charge": {"told": "x"}}),
    ],
)
def test_damaged_keys_let_nobody_in_and_nobody_lose_a_key(
    tmp_path: Path, words: str | None
) -> None:
    furnish(tmp_path)
    file = tmp_path / "router/keys.json"
    file.unlink()
    if words is not None:
        file.write_text(words)
    carl = with_key(KeyRing(), "carl", "c" * 40, now=3.0)
    with talk(tmp_path) as ask:
        # A new key must not push the others out.
        for command, more in (("keys", {}), ("apply-keys", {"ring": carl.as_json()})):
            answer = ask(command, **more)
            assert answer["error"].startswith(f"{file} ")
            assert answer["hint"] == "toolkit repair"
        repaired = ask("repair-keys", ring=carl.as_json())["result"]
        assert {each["name"] for each in repaired["keys"]} == {"ann", "bob", "carl"}
        assert ask("keys")["result"]["ring"] == repaired
        assert ask("observe", label="")["result"]["damaged"] == []


def test_keys_without_any_trace_leave_the_door_locked(tmp_path: Path) -> None:
    furnish(tmp_path)
    (tmp_path / "router/keys.json").write_text("{")
    (tmp_path / "router/keys-copy.json").write_text("{")
    (tmp_path / "router/keys.map").write_text("")
    with talk(tmp_path) as ask:
        ring = ask("repair-keys", ring={})["result"]
    assert (ring["keys"], ring["locked"] > ring["opened"]) == ([], True)


def test_what_a_killed_writer_left_is_swept_away_by_the_next(tmp_path: Path) -> None:
    furnish(tmp_path)
    left = [
        tmp_path / "router/.models.map.0123456789abcdef",
        tmp_path / ".deployment.json.00000000deadbeef",
    ]
    for path in left:
        path.write_text("half")
    with talk(tmp_path) as ask:
        assert "result" in ask("apply-routes", files=render_files(ROUTES))
        assert ask("keep-deployment", deployment={"rollout": "r1"}, head=None)["result"]["kept"]
    assert [path.exists() for path in left] == [False, False]


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    furnish(tmp_path)
    there = tmp_path / "router/models.map"
    there.unlink()
    there.mkdir()
    with talk(tmp_path) as ask:
        said = ask("apply-routes", files=render_files(Routes()))["error"]
    assert said.startswith(f"{there} is a directory, where a file of the toolkit")
    assert not list(tmp_path.glob("router/.models.map*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="to mount a small disk takes root")
def test_a_full_disk_changes_nothing_and_its_hint_is_to_make_room(tmp_path: Path) -> None:
    furnish(tmp_path / "root")
    # The disk is there in a namespace of its own, and goes with it.
    mount = 'mount -t tmpfs -o size=1m none "$1" && cp -a "$2/." "$1" && '
    fill = 'head -c 2m /dev/zero >"$1/filler" 2>/dev/null; python3 -I "$3" apply-routes; ls -A "$1/router"'
    request = json.dumps({"root": str(tmp_path / "disk"), "files": render_files(Routes())}) + "\n"
    (tmp_path / "disk").mkdir()
    places = [str(tmp_path / "disk"), str(tmp_path / "root"), str(HOSTSIDE)]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount + fill, "sh", *places],
        input=request, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    answer, _, left = done.stdout.partition("\n")
    said = json.loads(answer)
    assert "No space left" in said["error"], done
    assert said["hint"].startswith("make room on the host's disk: toolkit prune")
    assert set(left.split()) == {path.name for path in (tmp_path / "root/router").iterdir()}


def test_a_bare_host_takes_routes_and_gives_them_up(tmp_path: Path) -> None:
    root = tmp_path / "none" / "yet"
    with talk(root) as ask:
        assert "result" in ask("observe", label="")
        assert "result" in ask("apply-routes", files=render_files(ROUTES))
        assert "result" in ask("apply-routes", files=render_files(Routes()))
        assert ask("observe", label="")["result"]["routes"]["routes"] == []


def _spoil(root: Path, dice: random.Random) -> list[str]:
    """Take away or damage a few things below `root`; return how."""
    told = []
    for _ in range(dice.randrange(1, 5)):
        found = sorted(path for path in root.rglob("*") if not path.is_symlink())
        if not found:
            break
        path = dice.choice(found)
        way = dice.choice(["gone", "damaged", "damaged", "directory", "link"])
        told.append(f"{path.relative_to(root)} {way}")
        if way == "damaged" and path.is_file():
            path.write_bytes(dice.choice(DAMAGE))
            continue
        if path.is_dir():
            subprocess.run(["rm", "-rf", str(path)], check=True)
        else:
            path.unlink()
        if way == "directory":
            path.mkdir()
        elif way == "link":
            path.symlink_to(root / "nowhere")
    return told


@pytest.mark.parametrize("seed", range(40))
def test_every_state_is_observed_and_a_change_works_or_names_its_reason(
    tmp_path: Path, seed: int
) -> None:
    dice, root = random.Random(seed), tmp_path / "root"
    furnish(root)
    told = _spoil(root, dice)
    opened = {"rollout": "r1", "action": "deploy"}
    with talk(root) as ask:
        assert "result" in ask("observe", label=""), told
        for command, more in (
            ("keep-deployment", {"deployment": opened, "head": None}),
            ("apply-routes", {"files": render_files(Routes())}),
            ("apply-routes", {"files": render_files(ROUTES)}),
            ("keys", {}),
            ("repair-keys", {"ring": RING.as_json()}),
            ("drop-deployment", {"rollout": "r1"}),
        ):
            answer = ask(command, **more)
            # The class of an error is named where nobody foresaw it.
            assert not re.match(r"[A-Z]\w+: ", answer.get("error", "")), (command, told, answer)
        assert "result" in ask("observe", label=""), told
