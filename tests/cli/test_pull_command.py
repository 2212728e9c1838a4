"""`toolkit pull` and `toolkit mirror` as people run them, against a mirror on loopback."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi

from tests.cli.pull_desk import NEW, REPO, SECRET, Desk, open_desk
from tests.cli.shell import Prompt
from tests.json_documents import require_valid
from toolkit.adapters.hub.errors import Fault


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_desk(tmp_path) as opened:
        yield opened


def test_a_pull_ends_with_the_files_verified(desk: Desk) -> None:
    code, out, err = desk.run("pull", "tiny")
    assert code == 0, err
    path = desk.home / "store" / "snapshots" / "acme--tiny" / desk.revisions["v2"] / "files"
    assert out.splitlines()[0].startswith("tiny@v2 pulled and verified: 2 files, 10.2 MB; fetched")
    assert out.splitlines()[1] == str(path)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == NEW
    # A machine that is busy also tells how far the pull has come.
    assert [line for line in err.splitlines() if "%" not in line] == [
        "tiny@v2: 2 files, 10.2 MB",
        *sorted(
            ["  config.json  8 B  verified", "  model.safetensors  10.2 MB  verified"],
            key=err.index,
        ),
    ]
    assert "\r" not in err


def test_a_dry_run_says_what_it_would_fetch_and_asks_nobody(desk: Desk) -> None:
    assert desk.run("pull", "tiny@v1")[0] == 0
    desk.server.requests.clear()
    code, out, _ = desk.run("pull", "tiny@v2", "--dry-run")
    assert code == 0
    assert out.splitlines()[1].split() == ["tiny@v2", "8", "B", "1", "10.2", "MB"]
    assert out.splitlines()[2].endswith("dry run: nothing was fetched")
    document = json.loads(desk.run("pull", "tiny@v2", "--dry-run", "--json")[1])
    version = {"model": "tiny", "version": "v2", "fetch": 8, "resumed": 0, "files": 1}
    assert document == {"versions": [version], "dry_run": True}
    assert desk.server.requests == []


def test_a_second_pull_says_so_and_asks_nobody(desk: Desk) -> None:
    assert desk.run("pull", "tiny@v1")[0] == 0
    desk.server.requests.clear()
    code, out, err = desk.run("pull", "tiny@v1")
    assert (code, err) == (0, "")
    assert out.startswith("tiny@v1 is already there: ")
    assert desk.server.requests == []


def test_a_pull_reports_as_json(desk: Desk) -> None:
    code, out, _ = desk.run("pull", "tiny", "--json")
    (document,) = json.loads(out)["versions"]
    assert code == 0
    assert document["revision"] == desk.revisions["v2"]
    assert (document["files"], document["size"], document["fetched"]) == (2, 10240008, 10240008)
    assert not document["already_there"]
    (again,) = json.loads(desk.run("pull", "tiny", "--json")[1])["versions"]
    assert again["already_there"]


def test_all_refuses_before_the_first_byte(desk: Desk) -> None:
    code, out, err = desk.run("pull", "--all")
    assert (code, out) == (3, "")
    assert "odd-licence" in err
    assert "hint: read its terms" in err
    assert desk.server.requests == []


def test_all_pulls_every_version(desk: Desk) -> None:
    registry = desk.place / "model_registry.yaml"
    registry.write_text(registry.read_text().replace("[mit]", "[mit, odd-licence]"))
    code, out, _ = desk.run("pull", "--all", "--json")
    assert code == 0
    pulled = json.loads(out)["versions"]
    titles = [(each["model"], each["version"], each["already_there"]) for each in pulled]
    assert titles == [("tiny", "v1", False), ("tiny", "v2", False), ("odd", "v1", True)]


FAILURES = [
    (["pull"], 2, "name a MODEL"),
    (["pull", "tiny", "--all"], 2, "name a MODEL"),
    (["pull", "tyni"], 2, "did you mean tiny"),
    (["pull", "tiny@v3"], 2, "no version 'v3' of tiny"),
    (["pull", "odd"], 3, "not approved for odd"),
    (["pull", "tiny", "--registry", "/none.yaml"], 2, "/none.yaml"),
    (["mirror", "--bind", "nowhere"], 2, "no address to bind"),
    (["mirror", "--bind", "192.0.2.1:1"], 2, "cannot be bound"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES)
def test_failures_have_a_code_and_words(
    desk: Desk, prompt: Prompt, arguments: list[str], code: int, message: str
) -> None:
    for name, value in desk.environment.items():
        prompt.set(name, value)
    found, out, err = prompt(*arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert not (desk.home / "store" / "snapshots").exists()


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (Fault.GATED, "is gated"),
        (Fault.RATE_LIMITED, "limits the rate"),
    ],
)
def test_trouble_of_the_hub_ends_with_5(desk: Desk, trouble: Fault, message: str) -> None:
    desk.server.trouble = trouble
    code, out, err = desk.run("pull", "tiny")
    assert (code, out) == (5, "")
    assert f"error: {desk.endpoint}" in err or "error: acme/tiny" in err
    assert message in err
    assert "\nhint: " in err
    assert "Traceback" not in err


def test_a_changed_byte_ends_with_6_and_nothing_usable(desk: Desk) -> None:
    desk.server.flipped.add("model.safetensors")
    code, out, err = desk.run("pull", "tiny")
    assert (code, out) == (6, "")
    assert "tiny@v2 is not usable" in err
    assert "model.safetensors" in err
    assert not (desk.home / "store" / "snapshots").exists()
    assert len(list((desk.home / "store" / "quarantine").iterdir())) == 1


def test_the_token_is_used_and_kept_nowhere(desk: Desk) -> None:
    said = "".join(str(part) for part in desk.run("--debug", "pull", "tiny"))
    desk.server.trouble = Fault.REFUSED
    said += "".join(str(part) for part in desk.run("--debug", "pull", "tiny@v1"))
    assert set(desk.server.credentials) == {f"Bearer {SECRET}"}
    assert "refused access" in said
    assert SECRET not in said
    kept = [path for path in desk.place.rglob("*") if path.is_file()]
    assert any(path.name == "manifest.json" for path in kept)
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def hold(desk: Desk, *signals: signal.Signals) -> tuple[int, str]:
    """Start a pull that hangs in the middle of the weights, then send it the signals."""
    # A try that comes before those that are answered late gets nothing.
    cuts = desk.server.cuts["model.safetensors"] = [3_000_000, *[0] * 50]
    desk.server.trouble = None
    with desk.start("pull", "tiny") as process:
        wait_for(lambda: len(cuts) <= 50)
        # From now on every further try is answered late.
        desk.server.trouble = Fault.TIMED_OUT
        partial = desk.home / "store" / "partial"
        wait_for(lambda: any(p.stat().st_size >= 2_000_000 for p in partial.glob("*/data")))
        for number in signals:
            process.send_signal(number)
        _, err = process.communicate(timeout=60)
    desk.server.trouble = None
    cuts.clear()
    return process.returncode, err


def test_ctrl_c_ends_with_130_and_the_next_pull_goes_on(desk: Desk) -> None:
    code, err = hold(desk, signal.SIGINT)
    assert code == 130, err
    assert "to go on: toolkit pull tiny@v2" in err
    assert "Traceback" not in err
    store = desk.home / "store"
    assert list((store / "staging").iterdir()) == []
    assert not (store / "snapshots").exists()
    (pulled,) = json.loads(desk.run("pull", "tiny", "--json")[1])["versions"]
    assert pulled["resumed"] >= 2_000_000
    assert any(span.startswith("bytes=") for span in desk.server.ranges)


def test_sigkill_leaves_what_the_next_pull_goes_on_with(desk: Desk) -> None:
    code, _ = hold(desk, signal.SIGKILL)
    assert code == -signal.SIGKILL
    (document,) = json.loads(desk.run("pull", "tiny", "--json")[1])["versions"]
    assert document["resumed"] >= 2_000_000
    store = desk.home / "store"
    assert list((store / "staging").iterdir()) == []
    assert list((store / "partial").iterdir()) == []


def test_the_mirror_serves_what_is_pinned_pulled_and_allowed(desk: Desk) -> None:
    assert desk.run("pull", "tiny@v1")[0] == 0
    with desk.start("mirror", "--bind", "127.0.0.1:0", "--json") as mirror:
        assert mirror.stdout is not None
        lines = []
        while not lines or lines[-1] != "}\n":
            lines.append(mirror.stdout.readline())
        document = json.loads("".join(lines))
        require_valid("mirror", document)
        api = HfApi(endpoint=document["endpoint"])
        old, new = desk.revisions["v1"], desk.revisions["v2"]
        assert document["served"] == [{"repo": REPO, "revision": old}]
        assert api.model_info(REPO).sha == old
        url = f"{document['endpoint']}/{REPO}/resolve/{new}/config.json"
        assert httpx2.get(url, timeout=60).headers["X-Error-Code"] == "RevisionNotFound"
        # What is pulled while it runs is served at once; a licence withdrawn is, too.
        assert desk.run("pull", "tiny@v2")[0] == 0
        assert httpx2.get(url, timeout=60).content == NEW["config.json"]
        assert api.model_info(REPO).sha == new
        tags = {each.name: each.target_commit for each in api.list_repo_refs(REPO).tags}
        assert tags == {"v1": old, "v2": new}
        assert [each.id for each in api.list_models()] == [REPO]
        registry = desk.place / "model_registry.yaml"
        registry.write_text(registry.read_text().replace("[mit]", "[apache-2.0]"))
        assert httpx2.get(url, timeout=60).headers["X-Error-Code"] == "RepoNotFound"
        mirror.send_signal(signal.SIGTERM)
        _, err = mirror.communicate(timeout=60)
    assert (mirror.returncode, err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_mirror_stops_cleanly(desk: Desk, number: signal.Signals) -> None:
    with desk.start("mirror", "--bind", "127.0.0.1:0") as mirror:
        assert mirror.stdout is not None
        assert mirror.stdout.readline().startswith("serving 0 snapshots at http://127.0.0.1:")
        endpoint = mirror.stdout.readline().strip().removeprefix("export HF_ENDPOINT=")
        assert "toolkit pull MODEL adds to it" in httpx2.get(endpoint, timeout=60).text
        mirror.send_signal(number)
        out, err = mirror.communicate(timeout=60)
    assert mirror.returncode == 0
    assert (out, err) == (
        "",
        "nothing pinned is in the store yet; toolkit pull MODEL adds to it\n",
    )


def test_the_mirror_does_not_wait_for_a_client_that_does_not_read(desk: Desk) -> None:
    assert desk.run("pull", "tiny")[0] == 0
    with desk.start("mirror", "--bind", "127.0.0.1:0") as mirror:
        assert mirror.stdout is not None
        mirror.stdout.readline()
        endpoint = mirror.stdout.readline().strip().removeprefix("export HF_ENDPOINT=")
        host, port = endpoint.removeprefix("http://").split(":")
        with socket.socket() as client:
            # A small window, so that the file does not fit into the buffers on the way.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((host, int(port)))
            path = f"/{REPO}/resolve/main/model.safetensors"
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            mirror.send_signal(signal.SIGTERM)
            _, err = mirror.communicate(timeout=60)
    assert (mirror.returncode, err) == (0, "")


def wait_for(condition) -> None:  # type: ignore[no-untyped-def]
    """Wait until the condition holds, at most 60 s."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)
