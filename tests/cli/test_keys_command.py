"""`toolkit keys` as a person types it, on a host of this machine that has no router yet."""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.cli.main import main

KEY = "a-key-from-elsewhere-" + "k" * 32


class Shell:
    """Runs the command line with a home and a host root of its own."""

    def __init__(
        self, place: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
    ) -> None:
        self.root, self.capsys, self.patch = place / "root", capsys, patch
        self.fleet(f"localhost: {{ansible_connection: local, toolkit_root: {self.root}}}")
        patch.setenv("TOOLKIT_FLEET", str(place / "fleet.yaml"))
        patch.setenv("TOOLKIT_HOME", str(place / "home"))

    def fleet(self, *hosts: str) -> None:
        lines = "".join(f"    {host}\n" for host in hosts)
        (self.root.parent / "fleet.yaml").write_text(f"all:\n  hosts:\n{lines}")

    def __call__(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        self.patch.setattr(sys, "argv", ["toolkit", *words])
        self.patch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capsys.readouterr()
        return int(str(ended.value.code)), said.out, said.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    # Short: sockets of shared connections lie below it.
    place = Path(tempfile.mkdtemp(prefix="tkk-"))
    yield Shell(place, capsys, monkeypatch)
    shutil.rmtree(place)


def test_a_key_is_shown_once_on_standard_output_and_kept_by_its_digest(shell: Shell) -> None:
    code, out, err = shell("keys", "add", "ann", "--requests-per-minute", "60")
    assert code == 0
    # 32 bytes: 43 characters of base64
    assert re.fullmatch(r"tk-[A-Za-z0-9_-]{43}\n", out)
    assert "not shown again" in err
    written = [path.read_text() for path in shell.root.rglob("*") if path.is_file()]
    assert any("ann|60|0" in text for text in written)
    assert not any(out.strip() in text for text in written)
    code, out, _ = shell("keys", "list")
    assert (code, out.split()[:9]) == (
        0,
        ["NAME", "KEY", "A", "MINUTE", "AT", "ONCE", "SINCE", "ann", out.split()[8]],
    )


def test_two_keys_are_never_the_same(shell: Shell) -> None:
    assert shell("keys", "add", "ann")[1] != shell("keys", "add", "bob")[1]


def test_an_open_door_is_told_loudly(shell: Shell) -> None:
    code, out, _ = shell("keys", "list")
    assert code == 0
    assert "THE DOOR IS OPEN: there are no keys" in out
    shell("keys", "add", "ann")
    assert "OPEN" not in shell("keys", "list")[1]
    assert "nobody gets in" in shell("keys", "revoke", "ann")[1]
    assert "nobody gets in" in shell("keys", "list")[1]
    assert "THE DOOR IS OPEN" in shell("keys", "open")[1]


def test_a_key_from_elsewhere_comes_over_standard_input_and_is_not_said(shell: Shell) -> None:
    code, out, err = shell("keys", "add", "ann", "--key-stdin", stdin=KEY + "\n")
    assert (code, out) == (0, "")
    assert KEY not in err
    code, out, _ = shell("keys", "add", "bob", "--key-stdin", "--json", stdin="short\n")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "bad-input")


def test_json_says_what_was_changed(shell: Shell) -> None:
    code, out, _ = shell("keys", "add", "ann", "--concurrency", "4", "--json")
    made = json.loads(out)
    assert (code, made["door"], made["behind"], made["silent"]) == (0, "locked", [], {})
    assert (made["keys"][0]["name"], made["keys"][0]["at_once"]) == ("ann", 4)
    assert made["key"].startswith("tk-")
    listed = json.loads(shell("keys", "list", "--json")[1])
    assert listed["keys"] == made["keys"]
    assert made["key"] not in str(listed)
    revoked = json.loads(shell("keys", "revoke", "ann", "--json")[1])
    assert revoked["keys"][0]["revoked"] > 0
    assert json.loads(shell("keys", "sync", "--json")[1])["door"] == "locked"
    assert json.loads(shell("keys", "open", "--json")[1])["door"] == "open"


def test_a_host_that_did_not_answer_is_named_after_the_key_was_shown(shell: Shell) -> None:
    here = f"{{ansible_connection: local, toolkit_address: 127.0.0.1, toolkit_root: {shell.root}}}"
    # nothing listens on port 1
    away = "{ansible_host: 127.0.0.1, ansible_port: 1, toolkit_address: 127.0.0.2}"
    shell.fleet(f"here: {here}", f"away: {away}")
    code, out, err = shell("keys", "add", "ann")
    assert (code, out[:3]) == (7, "tk-")
    assert re.search(r"away: .*connect to host 127\.0\.0\.1 port 1: Connection refused", err)
    assert "hint: when they are back: toolkit keys sync" in err
    code, out, _ = shell("keys", "revoke", "ann", "--json")
    assert (code, list(json.loads(out)["silent"])) == (7, ["away"])
    shell.fleet(f"away: {away}")
    code, out, err = shell("keys", "add", "bob")
    assert (code, out) == (7, "")
