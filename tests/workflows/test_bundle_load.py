"""What a bundle holds is there afterwards, or nothing is: checked byte by byte before anything changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.test_engine_packages import make_wheel
from tests.planning.facts import release
from tests.silent import Silent
from tests.workflows.bundled import REGISTRY, Office
from tests.workflows.carried import DIGEST, WHEEL, bundle, carried, damage, site
from toolkit.adapters.distribution.swarm_library import Wheels
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.store.compiled import CompiledTrees
from toolkit.config.engine_locks import read_locks
from toolkit.config.registry.lock_file import change_lock, read_lock
from toolkit.config.registry.reading import load_registry
from toolkit.domain.deployment.release import Release
from toolkit.domain.engines.compiled import CompiledTree
from toolkit.domain.files.bundle import BundleFile, Manifest
from toolkit.domain.files.snapshot import FileDigest, Snapshot, digest_of_files
from toolkit.errors import InputError, IntegrityError, RefusedError, SourceError
from toolkit.planning.upkeep.bundle import contradictions
from toolkit.workflows.files.bundle_load import LoadPlan, load_bundle
from toolkit.workflows.files.supplies import LocalSupplies

__all__ = ["bundle", "carried", "site"]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody answers: neither the Hub, whose port is bound and refuses, nor a package index."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield


def supplies_of(site: Office, registry_path: Path) -> LocalSupplies:
    return LocalSupplies(
        store=site.store,
        wheelhouse=site.wheelhouse,
        locks=read_locks(site.home),
        # named, since the client reads its variable only once in a process
        open_hub=lambda: HuggingFaceHub(os.environ["HF_ENDPOINT"]),
        policy=load_registry(registry_path).policy,
        snapshot_of=read_lock(registry_path).snapshot_of,
        report=Silent(),
    )


@pytest.mark.usefixtures("no_network")
def test_after_a_load_a_deployment_finds_all_it_needs_without_any_network(
    bundle: Path, site: Office
) -> None:
    site.load(bundle)
    shutil.rmtree(bundle)
    registry, lock = load_registry(site.registry), read_lock(site.registry)
    supplies, said = supplies_of(site, site.registry), list[str]()
    for title in ("tiny@v1", "tiny@v2", "other"):
        version = registry.version(title)
        pinned = lock.snapshot_of(version)
        supplies.fetch(version)
        wanted = Release.from_json(
            {
                **release(1).as_json(),
                "source": pinned.source,
                "revision": pinned.revision,
                "snapshot": pinned.digest,
            }
        )
        supplies.verify(wanted)
        assert set(supplies.snapshot(wanted).files) == set(pinned.files)
    variables = supplies.engine_variables(site.engine().id, said.append)
    house = Path(variables["engine_wheelhouse"])
    assert sorted(path.name for path in house.glob("[!.]*")) == [
        "anchor-1.0-py3-none-any.whl",
        "barge-1.0-py3-none-any.whl",
        "requirements.lock",
    ]
    assert (variables["engine_python"], said) == ("3.11", [])


@pytest.mark.usefixtures("no_network")
def test_without_the_load_the_same_deployment_fails(bundle: Path, site: Office) -> None:
    carried = bundle / "registry" / "model_registry.yaml"
    supplies = supplies_of(site, carried)
    for title, message in (("other", "127.0.0.1"), ("tiny", "No such file")):
        with pytest.raises(SourceError, match=message):
            supplies.fetch(load_registry(carried).version(title))
    engine = site.open(bundle).engines[0]
    with pytest.raises(SourceError, match=r"pip could not download anchor==1\.0"):
        site.wheelhouse.fill(engine)


def test_what_engines_have_compiled_travels_along(tmp_path: Path) -> None:
    office, site = Office(tmp_path / "office"), Office(tmp_path / "site")
    office.stock()
    files = (FileDigest("a/graph", 5, hashlib.sha256(b"graph").hexdigest()),)
    tree = CompiledTree(f"{'a' * 16}.{'b' * 16}.{digest_of_files(files)}", files)
    engine = office.engine().id
    CompiledTrees(office.home).take_in(tree, engine, [b"graph"])
    CompiledTrees(office.home).take_in(replace(tree, name=f"c{tree.name[1:]}"), "other", [b"graph"])
    root = office.create(tmp_path / "bundle", "tiny@v1")
    assert [each.name for each in (root / "compiled" / engine).iterdir()] == [tree.name]
    assert site.load(root).as_json()["compiled"] == [tree.name]
    found = CompiledTrees(site.home).find(tree.kind)
    assert found is not None
    assert (found.engine, (found.directory / "a/graph").read_bytes()) == (engine, b"graph")
    assert site.load(root).empty


def test_what_engines_have_compiled_must_be_what_its_name_says(tmp_path: Path) -> None:
    file = BundleFile(f"compiled/engine/{'a' * 16}.{'b' * 16}.{'c' * 64}/graph", 5, "d" * 64)
    manifest = Manifest("1", "", (), (), (file,))
    (fault,) = contradictions(manifest, {}, {})
    assert "do not have the digest" in fault


def test_what_hosts_pass_weights_on_with_travels_along(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel = make_wheel(shelf, "libtorrent", "2.1.1")
    pins = {"3.11": hashlib.sha256(wheel.read_bytes()).hexdigest(), "3.12": "0" * 64}
    office, site = (
        Office(tmp_path / "office", libraries=pins),
        Office(tmp_path / "site", libraries=pins),
    )
    office.stock()
    Wheels(office.home, pins=pins).take_in(wheel, pins["3.11"])
    root = office.create(tmp_path / "bundle", "tiny@v1")
    assert (root / "swarm" / wheel.name).read_bytes() == wheel.read_bytes()
    plan = site.load(root)
    assert plan.as_json()["swarm_libraries"] == [f"swarm/{wheel.name}"]
    there = Wheels(site.home, pins=pins)
    assert there.lacking("3.11") == ""
    assert there.wheel("3.11")[0].read_bytes() == wheel.read_bytes()
    assert site.load(root).empty
    # A toolkit that pins another one leaves it alone.
    other = Office(tmp_path / "other", libraries={"3.11": "1" * 64})
    assert other.load(root).libraries == ()


def test_a_damaged_library_of_hosts_goes_once_a_bundle_met_it(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wheel = make_wheel(shelf, "libtorrent", "2.1.1")
    pins = {"3.11": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    office = Office(tmp_path / "office", libraries=pins)
    office.stock()
    here = Wheels(office.home, pins=pins)
    here.take_in(wheel, pins["3.11"])
    assert here.lacking("3.11") == ""
    here.wheel("3.11")[0].write_bytes(b"!" + wheel.read_bytes()[1:])
    with pytest.raises(IntegrityError, match="libtorrent") as caught:
        office.create(tmp_path / "bundle", "tiny@v1")
    assert caught.value.hint == "the same command again fetches the damaged packages anew"
    assert here.wants(pins["3.11"])


def test_loading_twice_changes_nothing(bundle: Path, site: Office) -> None:
    first = site.load(bundle)
    assert (first.empty, first.added) == (False, ("tiny@v1", "tiny@v2", "other@v1"))
    assert first.before is None
    before = site.contents()
    second = site.load(bundle)
    assert second.empty
    assert site.contents() == before


def test_a_dry_run_checks_everything_and_takes_in_nothing(bundle: Path, site: Office) -> None:
    plan = site.load(bundle, dry_run=True)
    assert [version.title for version in plan.snapshots] == ["tiny@v1", "tiny@v2", "other@v1"]
    assert site.contents() == {}
    damage(bundle / WHEEL)
    with pytest.raises(IntegrityError):
        site.load(bundle, dry_run=True)


def test_no_is_an_answer(bundle: Path, site: Office) -> None:
    with pytest.raises(RefusedError, match="nothing was taken in"):
        load_bundle(site.open(bundle), site.site(), lambda _: False)
    assert site.contents() == {}


def test_a_registry_that_is_here_gets_the_versions_and_keeps_its_text(
    bundle: Path, site: Office
) -> None:
    site.place.mkdir()
    mine = REGISTRY.replace("    serving:", "    # ours\n    versions:\n      v0:\n", 1).replace(
        "      v0:\n", f"      v0: {{revision: {'1' * 40}}}\n    serving:"
    )
    mine = mine[: mine.index("  other:")].replace("approved: {odd: [other]}", "denied: [odd]")
    site.registry.write_text(mine)
    plan = site.load(bundle)
    text = site.registry.read_text()
    assert [line for line in mine.splitlines() if line not in text.splitlines()] == []
    registry = load_registry(site.registry)
    assert [version.name for version in registry.model("tiny").versions] == ["v0", "v1", "v2"]
    assert plan.added == ("tiny@v1", "tiny@v2", "other@v1")
    assert plan.notes[-2:] == (
        "tiny@v2 stands last and is what `toolkit upgrade tiny` takes now",
        "the licence odd of other@v1 is denied by policy, so deploy will refuse it; choose a model "
        "with another licence, or take odd out of policy.licences.denied",
    )


def test_a_version_that_means_something_else_here_is_never_changed(
    bundle: Path, site: Office
) -> None:
    site.place.mkdir()
    text = (bundle / "registry" / "model_registry.yaml").read_text()
    site.registry.write_text(text.replace("max-model-len: 512", "max-model-len: 256"))
    before = site.contents()
    with pytest.raises(RefusedError, match=r"tiny@v1: serving\n  tiny@v2: serving") as caught:
        site.load(bundle)
    assert "--registry FILE" in caught.value.hint
    assert site.contents() == before


def test_bytes_that_differ_from_those_pinned_here_are_refused(bundle: Path, site: Office) -> None:
    site.place.mkdir()
    for name in ("model_registry.yaml", "model_registry.lock.json"):
        shutil.copy(bundle / "registry" / name, site.place / name)
    lock = site.place / "model_registry.lock.json"
    lock.write_text(lock.read_text().replace(DIGEST, "f" * 64))
    before = site.contents()
    with pytest.raises(IntegrityError, match=r"other bytes of local/tiny@.*: model\.safetensors"):
        site.load(bundle)
    assert site.contents() == before


def test_an_engine_lock_that_was_made_here_is_never_replaced(bundle: Path, site: Office) -> None:
    (site.place / "shelf").mkdir(parents=True)
    mine = site.add_engine("cutter")
    with pytest.raises(RefusedError, match="is another lock than the bundle's") as caught:
        site.load(bundle)
    assert "move that file away" in caught.value.hint
    assert site.engine().id == mine.id


def test_an_engine_lock_that_stands_before_a_shipped_one_is_pointed_out(
    bundle: Path, site: Office
) -> None:
    plan = site.load(bundle)
    assert "which came with the toolkit: the next deploy" in plan.notes[0]


def test_a_load_goes_on_after_one_that_was_cut_short(
    bundle: Path, site: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.workflows.files import bundle_load

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bundle_load, "change_lock", cut)
        with pytest.raises(KeyboardInterrupt):
            site.load(bundle)
    assert not site.registry.exists()
    plan = site.load(bundle)
    assert (plan.snapshots, plan.wheels, plan.lock_changes) == ((), (), True)
    assert load_registry(site.registry).version("tiny").name == "v2"


def test_digests_that_are_locked_while_the_bundle_is_checked_stay(
    bundle: Path, site: Office
) -> None:
    other = Snapshot("acme/other", "c" * 40, (FileDigest("config.json", 2, "d" * 64),))

    def pin(_: LoadPlan) -> bool:
        change_lock(site.registry, lambda lock: lock.plus(other))
        return True

    site.load(bundle, confirm=pin)
    assert ("acme/other", "c" * 40) in read_lock(site.registry).snapshots
    assert read_lock(site.registry).has(load_registry(site.registry).version("tiny"))


def test_a_registry_that_appears_while_the_bundle_is_checked_is_not_overwritten(
    bundle: Path, site: Office
) -> None:
    def write(_: LoadPlan) -> bool:
        site.registry.write_text("models: {}  # mine\n")
        return True

    with pytest.raises(InputError, match="was changed meanwhile"):
        site.load(bundle, confirm=write)
    assert site.registry.read_text() == "models: {}  # mine\n"


def test_a_broken_registry_here_stops_it_before_anything_is_read(
    bundle: Path, site: Office
) -> None:
    site.place.mkdir()
    site.registry.write_text("models: [")
    with pytest.raises(InputError, match=r"model_registry\.yaml:1"):
        site.load(bundle)
    assert list(site.contents()) == ["model_registry.yaml"]
