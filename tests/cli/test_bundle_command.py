"""`toolkit bundle` as a person types it, from one ops machine to another one without network."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import Said, run
from tests.workflows.bundled import Office


def bundle(office: Office, *words: str) -> Said:
    """Run `toolkit bundle` on that ops machine; no Hub answers it."""
    environment = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
        "UV_NO_CACHE": "1",
        "TOOLKIT_HOME": str(office.home),
        "TOOLKIT_REGISTRY": str(office.registry),
    }
    return run(environment, "bundle", *words)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    found = Office(tmp_path_factory.mktemp("made") / "office")
    found.stock()
    return found


def create(office: Office, target: Path, *arguments: str) -> Said:
    return bundle(office, "create", "tiny", "tiny@v1", "--to", str(target), *arguments)


def test_a_bundle_travels_from_one_machine_to_another(office: Office, tmp_path: Path) -> None:
    target, site = tmp_path / "bundle", Office(tmp_path / "site")
    site.place.mkdir()

    preview = create(office, target, "--python", "3.11", "--dry-run")
    assert (preview.code, target.exists()) == (0, False)
    assert f"to {target}, as hard links, which take no room; dry run" in preview.out

    made = create(office, target, "--python", "3.11", "--json")
    assert made.code == 0, made.err
    document = made.json()
    assert document["versions"] == ["tiny@v2", "tiny@v1"]
    assert document["engines"] == [office.engine().id]
    assert "bundle: 9 files, " in made.err
    assert "hosts with Python 3.11 will get weights over SSH alone: " in made.err

    shown = bundle(site, "show", str(target))
    assert "tiny@v1" in shown.out and f"fingerprint {document['fingerprint']}" in shown.out
    listed = bundle(site, "show", str(target), "--json").json()
    assert (listed["fingerprint"], listed["size"]) == (document["fingerprint"], document["size"])

    asked = bundle(site, "load", str(target))
    assert (asked.code, "not a terminal" in asked.err) == (3, True)
    assert not site.registry.exists()

    arguments = ("load", str(target), "--fingerprint", document["fingerprint"])
    loaded = bundle(site, *arguments, "--yes")
    assert loaded.code == 0, loaded.err
    assert loaded.out.endswith("toolkit deploy tiny@v2\n")
    assert f"write {site.registry}: tiny@v1, tiny@v2" in loaded.err

    again = bundle(site, *arguments, "--json").json()
    assert (again["changed"], again["snapshots"], again["bytes"]) == (False, [], 0)
    repeated = create(office, target, "--python", "3.11")
    assert repeated.out.startswith("nothing to do: ")


def test_a_damaged_bundle_is_refused_in_both_languages(office: Office, tmp_path: Path) -> None:
    target, site = tmp_path / "bundle", Office(tmp_path / "site")
    site.place.mkdir()
    assert create(office, target, "--python", "3.11").code == 0
    (target / "wheels" / "barge-1.0-py3-none-any.whl").unlink()
    said = bundle(site, "load", str(target), "--yes")
    assert (said.code, said.out) == (6, "")
    assert "\n  wheels/barge-1.0-py3-none-any.whl: missing\n" in said.err
    error = bundle(site, "load", str(target), "--yes", "--json").json()["error"]
    assert (error["kind"], error["exit_code"]) == ("integrity", 6)
    # The attempt is recorded, and nothing else is there.
    assert list(site.contents()) == ["home/audit/log.jsonl"]


def test_no_text_of_a_bundle_commands_the_terminal(office: Office, tmp_path: Path) -> None:
    target, site = tmp_path / "bundle", Office(tmp_path / "site")
    site.place.mkdir()
    assert create(office, target, "--python", "3.11").code == 0
    (target / "more\x1b[8m\nfingerprint").touch()
    loaded = bundle(site, "load", str(target), "--dry-run")
    assert loaded.code == 0, loaded.err
    assert r"'more\x1b[8m\nfingerprint' is not of the bundle and is left alone" in loaded.err
    manifest = target / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"toolkit": "', r'"toolkit": "1\nfingerprint \u001b[8m')
    )
    shown = bundle(site, "show", str(target))
    assert (shown.code, shown.out) == (6, "")
    assert r"'1\nfingerprint \x1b[8m" in shown.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("create", "--to", "x"), 2, "Missing argument 'MODEL[@VERSION]...'"),
        (("create", "tiny"), 2, "Missing option '--to'"),
        (("create", "tony", "--to", "x", "--python", "3.11"), 2, "did you mean tiny?"),
        (("create", "tiny", "--to", "x", "--python", "three"), 2, "is not a version of Python"),
        (("create", "tiny", "--to", "x", "--python", "3.9"), 3, "engine lock 0.32.0"),
        (("show", "/nowhere/at/all"), 2, "is no bundle"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_type_next(
    office: Office, arguments: tuple[str, ...], code: int, message: str
) -> None:
    said = bundle(office, *arguments)
    assert (said.code, message in said.err) == (code, True), said.err


def test_without_a_python_the_fleets_own_is_taken(office: Office, tmp_path: Path) -> None:
    said = create(office, tmp_path / "bundle", "--accelerator", "cpu", "--dry-run", "--json")
    here = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert said.code == 0, said.err
    assert [f"-py{here}-" in engine for engine in said.json()["engines"]] == [True]
