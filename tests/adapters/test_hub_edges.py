"""Answers of the real Hub that the toolkit's mirror never gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from tests.adapters.hub_server import Misbehaving, PublishedFiles
from tests.on_thread import serve_on_thread
from toolkit.adapters.hub import transfer as hub_transfer
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.mirror.app import mirror_app
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import SourceError

REPO = "acme/tiny"
REVISION = "a" * 40
WEIGHTS = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
FILE = FileDigest("model.safetensors", len(WEIGHTS), SHA256)

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def answering(answers: dict[str, tuple[int, dict[str, str], bytes]], seen: list[Any]) -> App:
    """An application with a fixed answer for each path; `seen` gets every request."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        seen.append(scope)
        status, headers, body = answers[scope["path"]]
        named = [(key.lower().encode(), value.encode()) for key, value in headers.items()]
        if not any(key == b"content-length" for key, _ in named):
            named.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": named})
        await send({"type": "http.response.body", "body": body})

    return app


def headers_of(scope: dict[str, Any]) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in scope["headers"]}


def test_the_token_does_not_follow_a_redirect_to_a_file_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    at_hub: list[Any] = []
    at_host: list[Any] = []
    place = f"/{REPO}/resolve/{REVISION}/model.safetensors"
    with serve_on_thread(answering({"/blob": (200, {}, WEIGHTS)}, at_host)) as host:
        moved = {
            "Location": f"{host}/blob?signature=s3cret",
            "X-Repo-Commit": REVISION,
            "X-Linked-Etag": f'"{SHA256}"',
            "X-Linked-Size": str(len(WEIGHTS)),
        }
        with serve_on_thread(answering({place: (302, moved, b"")}, at_hub)) as endpoint:
            hub = HuggingFaceHub(endpoint, tries=1)
            found = hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None)
    assert found == SHA256
    assert [headers_of(each).get("authorization") for each in at_hub] == ["Bearer hf_canary"] * 2
    assert [headers_of(each).get("authorization") for each in at_host] == [None]


def test_a_signed_address_is_never_shown(tmp_path: Path) -> None:
    place = f"/{REPO}/resolve/{REVISION}/model.safetensors"
    gone = {"/blob": (500, {}, b"")}
    with serve_on_thread(answering(gone, [])) as host:
        moved = {"Location": f"{host}/blob?signature=s3cret", "X-Linked-Size": str(len(WEIGHTS))}
        with serve_on_thread(answering({place: (302, moved, b"")}, [])) as endpoint:
            hub = HuggingFaceHub(endpoint, tries=1)
            with pytest.raises(SourceError, match="answered 500") as caught:
                hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None)
    assert "s3cret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("below", "linked"),
    [
        ("", ""),
        # A server below a path names it in its links, or passes on the Hub's own.
        ("/artifactory/hf", "/artifactory/hf"),
        ("/artifactory/hf", ""),
        ("/api", "/api"),
        ("/api", ""),
    ],
)
def test_a_long_listing_comes_in_pages_from_the_endpoint_alone(below: str, linked: str) -> None:
    tree = f"{below}/api/models/{REPO}/tree/{REVISION}"
    first = [{"type": "file", "path": "b.txt", "size": 1, "oid": "b" * 40}]
    second = [
        {"type": "directory", "path": "d", "size": 0, "oid": "d" * 40},
        {"type": "file", "path": "a.txt", "size": 2, "oid": "c" * 40},
    ]
    elsewhere = f"https://hub.example{linked}{tree.removeprefix(below)}/next?cursor=2"
    answers = {
        tree: (200, {"Link": f'<{elsewhere}>; rel="next"'}, json.dumps(first).encode()),
        f"{tree}/next": (200, {}, json.dumps(second).encode()),
    }
    seen: list[Any] = []
    with serve_on_thread(answering(answers, seen)) as endpoint:
        files = HuggingFaceHub(endpoint + below, tries=1).files(REPO, REVISION)
    assert [file.path for file in files] == ["a.txt", "b.txt"]
    assert seen[1]["query_string"] == b"cursor=2"


@pytest.mark.parametrize("body", ["", "<html>", "{}", '{"error": 1}', "[1]", '[{"type": "file"}]'])
def test_a_listing_that_is_none_is_not_taken_for_one(body: str) -> None:
    tree = f"/api/models/{REPO}/tree/{REVISION}"
    with serve_on_thread(answering({tree: (200, {}, body.encode())}, [])) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        with pytest.raises(SourceError, match="not a Hub's"):
            hub.files(REPO, REVISION)


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("http://127.0.0.1:9/signed?secret=x", "127.0.0.1:9"),
        ("https://cdn.invalid/signed?secret=x", "cdn.invalid"),
        ("http://user:secret@127.0.0.1:9/x", "127.0.0.1:9"),
        ("file:///etc/secret", "an address of file"),
        ("ftp://127.0.0.1/secret", "an address of ftp"),
    ],
)
def test_the_host_that_an_endpoint_leads_to_is_named_where_it_cannot_be_reached(
    place: str, named: str, tmp_path: Path
) -> None:
    """Behind a firewall the Hub itself is often open, and the hosts of its files are not."""
    seen: list[Any] = []
    answers = {f"/{REPO}/resolve/{REVISION}/model.safetensors": (302, {"Location": place}, b"")}
    with serve_on_thread(answering(answers, seen)) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        with pytest.raises(SourceError) as caught:
            hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None)
    assert caught.value.message == (
        f"{endpoint} leads to {named} for model.safetensors, which cannot be reached"
    )
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("endpoint", ["http://[nowhere", "ftp://127.0.0.1", "nowhere"])
def test_an_endpoint_that_is_no_address_is_said_so(endpoint: str) -> None:
    with pytest.raises(SourceError) as caught:
        HuggingFaceHub(endpoint, tries=1).files(REPO, REVISION)
    assert "HF_ENDPOINT" in caught.value.hint


CARDS = [
    ({"cardData": {"license": "Apache-2.0"}}, "apache-2.0"),
    ({"cardData": {"license": ["mit", "other"]}}, "mit"),
    ({"cardData": {"license": "other", "license_name": "qwen-research"}}, "qwen-research"),
    ({"cardData": {"license": "other"}}, "other"),
    # No registry can name such a licence.
    ({"cardData": {"license": "other", "license_name": "Qwen Research: v2"}}, "other"),
    ({"cardData": {"license": "other", "license_name": "m\u0456t"}}, "other"),
    ({"cardData": {"license": "other", "license_name": "mit\n"}}, "other"),
    ({"tags": ["text-generation", "license:llama3.1"]}, "llama3.1"),
    ({"tags": []}, ""),
    ({}, ""),
]


@pytest.mark.parametrize(("card", "licence"), CARDS)
def test_licences_are_read_from_card_or_tags(card: dict[str, Any], licence: str) -> None:
    body = json.dumps({"id": REPO, "sha": REVISION, "gated": "manual", **card}).encode()
    answers = {f"/api/models/{REPO}/revision/main": (200, {}, body)}
    with serve_on_thread(answering(answers, [])) as endpoint:
        info = HuggingFaceHub(endpoint, tries=1).resolve(REPO, "main")
    assert (info.revision, info.licence, info.gated) == (REVISION, licence, True)


@pytest.mark.parametrize(
    "licence",
    [
        "mit\n# read",
        "mit\x1b[2J",
        "mit\u202e",
        "mit\x00",
        "mit\n",
        " mit",
        "m\u0456t",
        "mit, x]: {a}",
        "m" * 64,
    ],
)
def test_a_licence_that_no_registry_can_name_is_refused(licence: str) -> None:
    body = json.dumps({"id": REPO, "sha": REVISION, "cardData": {"license": licence}}).encode()
    answers = {f"/api/models/{REPO}/revision/main": (200, {}, body)}
    with serve_on_thread(answering(answers, [])) as endpoint, pytest.raises(SourceError) as raised:
        HuggingFaceHub(endpoint, tries=1).resolve(REPO, "main")
    assert raised.value.message.isprintable() and raised.value.message.isascii()
    assert "is not the id of one" in raised.value.message


def test_short_waits_that_a_hub_asks_for_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    body = json.dumps({"id": REPO, "sha": REVISION}).encode()
    place = f"/api/models/{REPO}/revision/main"
    answers = {place: (429, {"Retry-After": "3"}, b"")}

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        answers[place] = (200, {}, body)

    monkeypatch.setattr("toolkit.adapters.hub.client.time.sleep", sleep)
    with serve_on_thread(answering(answers, [])) as endpoint:
        assert HuggingFaceHub(endpoint).resolve(REPO, "main").revision == REVISION
    assert waited == [3]


def test_a_refused_range_without_a_range_request_ends_the_download(tmp_path: Path) -> None:
    place = f"/{REPO}/resolve/{REVISION}/model.safetensors"
    seen: list[Any] = []
    described = {"ETag": f'"{SHA256}"', "X-Repo-Commit": REVISION, "Content-Length": str(FILE.size)}

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        refused = scope["method"] == "GET" and len(seen) < 10
        answer = (416, {}, b"") if refused else (200, described, WEIGHTS)
        await answering({place: answer}, seen)(scope, receive, send)

    with serve_on_thread(app) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=2, pause=0.01)
        with pytest.raises(SourceError, match="answered 416"):
            hub.download(REPO, REVISION, FILE, tmp_path / "data", lambda _: None)
    assert [scope["method"] for scope in seen] == ["HEAD", "GET"]


def test_files_in_xet_come_through_the_clients_own_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the transfer, which would need Xet's servers."""

    def through_xet(repo: str, path: str, *, local_dir: Path, tqdm_class: Any, **_: Any) -> str:
        with tqdm_class(total=len(WEIGHTS), desc=path) as bar:
            bar.update(1000)
            bar.update_transfer(10)
            bar.set_postfix_str("1 MB/s", refresh=False)
        local_dir.mkdir()
        (local_dir / path).write_bytes(WEIGHTS)
        return str(local_dir / path)

    monkeypatch.setattr(hub_transfer, "hf_hub_download", through_xet)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    published = PublishedFiles(tmp_path / "origin")
    revision = published.publish(REPO, {"model.safetensors": WEIGHTS})
    server = Misbehaving(mirror_app(published))
    server.extra_headers = {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": "http://127.0.0.1:9/x"}
    gained: list[int] = []
    with serve_on_thread(server) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        found = hub.download(REPO, revision, FILE, tmp_path / "part" / "data", gained.append)
    assert found == SHA256
    assert gained[:2] == [1000, -1000]
    assert sum(gained) == len(WEIGHTS)
    assert [request for request in server.requests if request.startswith("GET")] == []
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["data"]
