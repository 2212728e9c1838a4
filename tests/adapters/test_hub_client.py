"""The real client alone: it resumes downloads, refuses wrong files early, and keeps its token secret."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.adapters.hub_lab import (
    FILES,
    REPO,
    WEIGHTS,
    RealWorld,
    ignore,
    safetensors,
    weights_of,
)
from tests.on_thread import serve_on_thread
from toolkit.adapters.hub.client import HuggingFaceHub
from toolkit.adapters.hub.errors import Fault
from toolkit.domain.files.snapshot import FileDigest
from toolkit.errors import IntegrityError, SourceError, ToolkitError


def test_no_more_than_the_header_is_asked_for(real_hub: RealWorld) -> None:
    revision = real_hub.publish({"model.safetensors": safetensors({"w": ("I8", [2**23], 2**23)})})
    real_hub.server.ranges.clear()
    real_hub.hub.tensors(
        REPO, revision, "model.safetensors", weights_of(real_hub.hub, revision).size
    )
    assert real_hub.server.ranges == ["bytes=0-100000"]


def test_the_real_client_heals_broken_connections(real_hub: RealWorld, tmp_path: Path) -> None:
    revision = real_hub.publish(FILES)
    hub = HuggingFaceHub(real_hub.endpoint, tries=3, pause=0.01)
    file = weights_of(hub, revision)
    real_hub.cut("model.safetensors", 1_000_000, 2_000_000, 500_000)
    gained: list[int] = []
    assert hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert sum(gained) == len(WEIGHTS)
    assert real_hub.server.ranges == ["bytes=1000000-", "bytes=3000000-", "bytes=3500000-"]


def test_a_server_without_ranges_is_asked_from_the_start(
    real_hub: RealWorld, tmp_path: Path
) -> None:
    revision = real_hub.publish(FILES)
    hub = HuggingFaceHub(real_hub.endpoint, tries=3, pause=0.01)
    file = weights_of(hub, revision)
    real_hub.server.ignore_ranges = True
    (tmp_path / "data").write_bytes(WEIGHTS[:1_000_000])
    gained: list[int] = []
    assert hub.download(REPO, revision, file, tmp_path / "data", gained.append) == file.sha256
    assert (tmp_path / "data").read_bytes() == WEIGHTS
    assert sum(gained) == len(WEIGHTS)


def test_connections_that_never_bring_anything_are_given_up(
    real_hub: RealWorld, tmp_path: Path
) -> None:
    revision = real_hub.publish(FILES)
    hub = HuggingFaceHub(real_hub.endpoint, tries=3, pause=0.01)
    file = weights_of(hub, revision)
    real_hub.cut("model.safetensors", *[0] * 20)
    with pytest.raises(SourceError, match=r"3 times in a row$"):
        hub.download(REPO, revision, file, tmp_path / "data", ignore)
    assert len(real_hub.server.cuts["model.safetensors"]) == 17


@pytest.mark.parametrize(
    ("size", "sha256", "message"),
    [
        (5, "", r"has 5120000 bytes, the lock says 5"),
        (len(WEIGHTS), "0" * 64, r"the lock says 0000"),
    ],
)
def test_other_bytes_than_pinned_are_refused_before_they_are_fetched(
    real_hub: RealWorld, tmp_path: Path, size: int, sha256: str, message: str
) -> None:
    revision = real_hub.publish(FILES)
    file = FileDigest("model.safetensors", size, sha256)
    with pytest.raises(IntegrityError, match=message):
        real_hub.hub.download(REPO, revision, file, tmp_path / "data", ignore)
    assert [r for r in real_hub.server.requests if r.startswith("GET") and "resolve" in r] == []


def test_a_mirror_that_only_names_xet_is_read_over_http(
    real_hub: RealWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_XET_CACHE", str(tmp_path / "xet"))
    revision = real_hub.publish(FILES)
    file = weights_of(real_hub.hub, revision)
    route = f"{real_hub.endpoint}/api/models/{REPO}/xet-read-token/{revision}"
    real_hub.server.extra_headers = {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": route}
    found = real_hub.hub.download(REPO, revision, file, tmp_path / "part" / "data", ignore)
    assert found == file.sha256
    assert any("xet-read-token" in request for request in real_hub.server.requests)
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["data"]


def test_the_token_goes_to_the_hub_and_nowhere_else(
    real_hub: RealWorld,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    secret = "hf_canaryCANARYcanary"
    monkeypatch.setenv("HF_TOKEN", secret)
    revision = real_hub.publish(FILES)
    hub = HuggingFaceHub(real_hub.endpoint)
    file = weights_of(hub, revision)
    messages = []
    with caplog.at_level(logging.DEBUG):
        hub.download(REPO, revision, file, tmp_path / "data", ignore)
        for trouble in (Fault.GATED, Fault.REFUSED, Fault.RATE_LIMITED):
            real_hub.trouble(trouble)
            with pytest.raises(ToolkitError) as caught:
                hub.resolve(REPO, "main")
            messages.append(f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}")
    assert real_hub.server.credentials
    assert set(real_hub.server.credentials) == {f"Bearer {secret}"}
    said = caplog.text + "".join(messages) + "".join(capfd.readouterr())
    assert secret not in said
    assert "gated" in said
    left = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert secret.encode() not in left


def test_a_name_that_is_none_is_refused_without_a_request(real_hub: RealWorld) -> None:
    with pytest.raises(SourceError, match="not the name of a repository"):
        real_hub.hub.resolve("a/b/c", "main")
    assert real_hub.server.requests == []


def test_an_answer_that_is_not_a_hubs_is_said_to_be_one(tmp_path: Path) -> None:
    async def website(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"<html>hello</html>"})

    with serve_on_thread(website) as endpoint:
        hub = HuggingFaceHub(endpoint, tries=1)
        with pytest.raises(SourceError, match="not a Hub's") as caught:
            hub.files(REPO, "a" * 40)
        assert "HF_ENDPOINT" in caught.value.hint
