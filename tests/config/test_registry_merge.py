"""A registry that came with a bundle: merged by lines inserted, and never by a version changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.config.registry.lock_file import Lock
from toolkit.config.registry.merge import cut_registry, merge_lock, merge_registry
from toolkit.config.registry.reading import RegistryFile, parse_registry
from toolkit.domain.files.capabilities import ModelFacts
from toolkit.domain.files.snapshot import FileDigest, Snapshot
from toolkit.errors import InputError, IntegrityError, RefusedError

ONE, TWO = "1" * 40, "2" * 40
BODY = """\
    licence: mit
    openness: open-weights
    source: {repo: acme/a}
    engine: {name: vllm, version: 0.32.0}
    resources: {accelerators: [cpu], memory: 1GiB}
"""
POLICY = "policy:\n  licences: {allowed: [mit], approved: {odd: [a, b]}}\n"


def registry(text: str, path: str = "/here/model_registry.yaml") -> RegistryFile:
    return parse_registry(Path(path), text, unpinned=True)


def model(name: str, versions: str, body: str = BODY) -> str:
    return f"  {name}:\n{body}    versions:\n{versions}"


def carried(versions: str, body: str = BODY) -> RegistryFile:
    return registry("models:\n" + model("a", versions, body), "/usb/registry/model_registry.yaml")


HERE = "# ours\nmodels:\n" + model("a", f'      "1": {{revision: {ONE}}}  # the first\n')


def test_a_cut_keeps_order_policy_and_what_the_versions_mean() -> None:
    versions = f'      "2.5": {{revision: {TWO}, licence: mit}}\n      b1: {{revision: {ONE}}}\n'
    file = registry(
        POLICY + "models:\n" + model("a", versions) + model("b", versions) + model("c", versions)
    )
    wanted = [file.registry.version(spec) for spec in ("c@2.5", "a@2.5", "a@b1")]
    cut = registry(cut_registry(file, wanted))
    assert {name: [v.name for v in m.versions] for name, m in cut.registry.models.items()} == {
        "a": ["2.5", "b1"],
        "c": ["2.5"],
    }
    assert cut.registry.version("a@2.5") == file.registry.version("a@2.5")
    assert cut.registry.policy.approved == {"odd": ("a",)}


def test_a_version_is_added_as_it_is_where_its_model_says_the_same() -> None:
    merged = merge_registry(registry(HERE), carried(f'      "2": {{revision: "{TWO}"}}\n'))
    assert merged.added == ("a@2",)
    assert merged.file.document.text == HERE + f"      '2':\n        revision: '{TWO}'\n"


def test_a_version_brings_along_what_its_model_says_otherwise() -> None:
    theirs = BODY.replace("1GiB", "2GiB") + "    env: {TZ: x}\n"
    incoming = carried(f'      "2": {{revision: {TWO}}}\n', theirs)
    merged = merge_registry(registry(HERE), incoming)
    found = merged.file.registry.version("a@2")
    assert found == incoming.registry.version("a@2")
    assert merged.file.registry.version("a@1") == registry(HERE).registry.version("a@1")


def test_a_version_may_spell_a_flag_otherwise_than_its_model() -> None:
    own = f'      "2": {{revision: {TWO}, serving: {{max-model-len: 2}}}}\n'
    incoming = carried(own, BODY + "    env: {TZ: x}\n    serving: {max_model_len: 1}\n")
    merged = merge_registry(registry(HERE), incoming)
    assert merged.file.registry.version("a@2").serving == {"max-model-len": 2}


def test_a_version_is_added_to_a_model_that_leaves_everything_to_its_versions() -> None:
    whole = ", ".join(line.strip() for line in BODY.splitlines())
    here = f"models:\n  a:\n    versions:\n      x: {{revision: {ONE}, {whole}}}\n"
    incoming = carried(f'      "2": {{revision: {TWO}}}\n')
    merged = merge_registry(registry(here), incoming)
    assert merged.file.registry.version("a@2") == incoming.registry.version("a@2")


def test_what_is_here_already_changes_nothing() -> None:
    here = registry(HERE)
    merged = merge_registry(here, carried(f'      "1": {{revision: {ONE}}}\n'))
    assert (merged.added, merged.file.document.text) == ((), HERE)


@pytest.mark.parametrize("here", [True, False])
def test_each_site_says_itself_which_versions_are_candidates(here: bool) -> None:
    said = {True: f'      "2": {{revision: {TWO}, candidate: true}}\n'}
    said[False] = said[True].replace(", candidate: true", "")
    target = registry(HERE + said[here])
    merged = merge_registry(target, carried(said[not here]))
    assert (merged.added, merged.file.document.text) == ((), target.document.text)
    other = said[not here].replace("revision", "env: {TZ: x}, revision")
    with pytest.raises(RefusedError, match=r"a@2: env$"):
        merge_registry(target, carried(other))


def test_where_a_directory_lies_is_no_difference() -> None:
    body = BODY.replace("{repo: acme/a}", "{path: ./a}")
    here = registry("models:\n" + model("a", f'      "1": {{revision: {ONE}}}\n', body))
    assert merge_registry(here, carried(f'      "1": {{revision: {ONE}}}\n', body)).added == ()


def test_a_new_model_is_added_below_the_others_in_their_indentation() -> None:
    here = registry(HERE + "\n# the end\npolicy: {}\n")
    incoming = registry("models:\n" + model("z", f'      "1": {{revision: {ONE}}}\n'))
    text = merge_registry(here, incoming).file.document.text
    assert text.startswith(HERE + "\n  z:\n    licence: mit\n")
    assert text.endswith("\n\n# the end\npolicy: {}\n")


@pytest.mark.parametrize(
    ("here", "versions", "error", "message"),
    [
        (HERE, f'      "1": {{revision: {TWO}}}\n', RefusedError, "a@1: revision"),
        (
            HERE,
            f'      "1": {{revision: {ONE}, licence: odd, env: {{TZ: b}}}}\n',
            RefusedError,
            "a@1: licence, env",
        ),
        (
            HERE.replace("    versions", "    env: {LANG: c}\n    versions"),
            f'      "2": {{revision: {TWO}}}\n',
            RefusedError,
            "its model there sets env for all versions",
        ),
        (
            HERE.replace("    versions:\n      ", "    versions: {").rstrip().split("  #")[0]
            + "}\n",
            f'      "2": {{revision: {TWO}}}\n',
            InputError,
            "written in braces",
        ),
    ],
)
def test_what_cannot_be_merged_without_a_change_is_refused(
    here: str, versions: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        merge_registry(registry(here), carried(versions))


def test_models_in_braces_have_no_place_for_another() -> None:
    with pytest.raises(InputError, match="no lines for 'a' can be inserted"):
        merge_registry(registry("models: {}\n"), carried(f'      "1": {{revision: {ONE}}}\n'))


def snapshot(**files: str) -> Snapshot:
    return Snapshot(
        "acme/a", ONE, tuple(FileDigest(path, 1, digit * 64) for path, digit in files.items())
    )


@pytest.mark.parametrize(
    ("incoming", "error", "message"),
    [
        (snapshot(a="1", b="2"), None, ""),
        (snapshot(a="1", b="3"), IntegrityError, "other bytes of acme/a@111111111111 .*: b"),
        (snapshot(a="1"), RefusedError, "another choice of files of acme/a@111111111111: b"),
    ],
)
def test_a_lock_gains_pins_and_changes_none(
    incoming: Snapshot, error: type[Exception] | None, message: str
) -> None:
    here = snapshot(a="1", b="2")
    lock = Lock(Path("/here/model_registry.lock.json"), {("acme/a", ONE): here})
    if error is None:
        assert merge_lock(lock, [incoming]).snapshots == lock.snapshots
        return
    with pytest.raises(error, match=message):
        merge_lock(lock, [incoming])


def test_a_lock_of_an_older_toolkit_learns_from_a_bundle_what_a_model_can_do() -> None:
    here = snapshot(a="1")
    lock = Lock(Path("/here/model_registry.lock.json"), {("acme/a", ONE): here})
    facts = ModelFacts(("BertModel",), pooling=True)
    learned = merge_lock(lock, [replace(here, facts=facts)])
    assert learned.snapshots["acme/a", ONE].facts == facts
    # A bundle of an older toolkit takes nothing away.
    assert merge_lock(learned, [here]).snapshots["acme/a", ONE].facts == facts
